"""One process at a time in a folder."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from calibration_tuning.errors import RunError, UserError
from calibration_tuning.runs.files import unwritable

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What flock says on file systems that have no locks: Lustre without `flock`, some NFS mounts."""


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Let one process at a time into the block; the others wait. `path` is a file beside what is worked on.

    Where the file system has no locks, a warning is printed and nobody waits."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        _flock(file, fcntl.LOCK_EX)
        yield


def _flock(file: IO[str], kind: int) -> None:
    """Lock `file`, or warn that its file system cannot. Raises BlockingIOError where another process holds it."""
    import fcntl

    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        print(
            f"warning: {Path(file.name).parent}: this file system has no file locks ({error.strerror}), so two runs "
            "in one folder are not noticed; start only one",
            file=sys.stderr,
        )


def lock_folder(folder: Path) -> IO[str]:
    """Make `folder` and lock it for as long as the returned file is open; the lock goes with its process, however that
    ends. Raises `UserError` where a living process holds it, saying which and for how long. Where the file system has
    no locks, a warning is printed instead.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another output_dir") from None
    try:
        _flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _owner(file)
        file.close()
        raise UserError(
            f"{folder.parent}: another process is at work here{owner}; wait for it, or choose name=NEW"
        ) from None
    try:
        file.truncate(0)
        file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
        file.flush()
    except OSError as error:
        raise RunError(f"{folder / 'lock'}: {unwritable(error.strerror)}") from None
    return file


def _owner(file: IO[str]) -> str:
    file.seek(0)
    try:
        owner = json.loads(file.read())
        minutes = (time.time() - owner["since"]) / 60
        return f" (process {owner['process']} on {owner['host']}, for {minutes:.0f} minutes)"
    except (ValueError, KeyError, TypeError):  # it has only just come
        return ""
