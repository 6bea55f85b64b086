"""Files that appear whole or not at all, and fingerprints that say which files belong together."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from calibration_tuning.errors import RunError, UserError

DISK_FAULTS = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EIO)


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
    try:
        yield temporary
    except Exception as error:
        if (reason := _disk_fault(error)) is None:
            raise
        raise RunError(f"{target}: {unwritable(reason)}") from None
    previous = _aside(target)
    if target.exists():
        target.rename(previous)
    temporary.rename(target)
    shutil.rmtree(previous, ignore_errors=True)


def unwritable(reason: str | None) -> str:
    return f"cannot be written ({reason}); finished work is kept; free some disk space and run the same command again"


def _disk_fault(error: Exception) -> str | None:
    """What is wrong with the disk; libraries in Rust and C++ only say so in their messages."""
    number = getattr(error, "errno", None)
    if number is None and (match := re.search(r"(?:os error|[Ee]rrno) (\d+)", str(error))):
        number = int(match.group(1))
    return os.strerror(number) if number in DISK_FAULTS else None


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


def nearest_existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path}: {unwritable(error.strerror)}") from None


def append_text(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RunError(f"{path}: {unwritable(error.strerror)}") from None


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, made_by: str) -> dict[str, Any]:
    """Read a JSON object; a missing or broken file is a `UserError` that names the command that writes it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: does not exist; run `{made_by}` first") from None
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
