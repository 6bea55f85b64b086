"""Files that appear whole or not at all, and fingerprints that say which files belong together."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from calibration_tuning.errors import UserError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; it takes target's place when the block ends without an error.

    An existing target is moved aside first and removed last, so a crash at any point leaves one whole folder.
    """
    recover_folder(target)
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}); choose another output_dir") from None
    yield temporary
    previous = _aside(target)
    if target.exists():
        target.rename(previous)
    temporary.rename(target)
    shutil.rmtree(previous, ignore_errors=True)


def recover_folder(target: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    previous = _aside(target)
    if not previous.exists():
        return
    if target.exists():
        shutil.rmtree(previous)
    else:
        previous.rename(target)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.previous")


def lock_folder(folder: Path) -> IO[str]:
    """Make `folder` and lock it for as long as the returned file is open; the lock goes with its process, however that
    ends. Raises `UserError` where a living process holds it.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a")  # which leaves its time as it is
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another output_dir") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UserError(f"{folder.parent}: another process is at work here; wait for it, or choose name=NEW") from None
    return file


def write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, made_by: str) -> dict[str, Any]:
    """Read a JSON object; a missing or broken file is a `UserError` that names the command that writes it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run `{made_by}` first") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); run `{made_by}` again with --force") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object; run `{made_by}` again with --force")
    return value


def fingerprint(value: Any) -> str:
    """Short hash of any JSON-like value, the same on every machine."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
