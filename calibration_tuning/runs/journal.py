"""Finished work, kept on disk the moment it is there, so that a killed run loses and repeats none."""

from __future__ import annotations

import json
import os
import weakref
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from calibration_tuning.errors import RunError, UserError


class Journal:
    """A folder of JSON-lines files, one for each process that wrote; whoever opens it sees the rows of all.

    Every row is an object with a `key`, written with its CRC-32 as `sum`. A row that does not match its sum is ignored,
    so that its work is done again; a last line that a killed process did not finish is cut off by its process before it
    writes again.
    """

    def __init__(self, folder: Path, writer: str) -> None:
        self.folder = folder
        self._file = folder / f"{writer}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._file.exists() and not (content := self._file.read_bytes()).endswith(b"\n"):
                os.truncate(self._file, content.rfind(b"\n") + 1)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another output_dir") from None

    def rows(self) -> Rows:
        """Everything finished so far, by key; the first row of a key counts."""
        return Rows(sorted(self.folder.glob("*.jsonl")))

    def append_rows(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows and wait until they are on disk. Raises `RunError` if that cannot be."""
        try:
            with self._file.open("ab") as file:
                file.write(b"".join(_dumped(row | {"sum": _sum(row)}) + b"\n" for row in rows))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"{self._file}: cannot be written ({error.strerror}); what was finished is kept") from None


class Rows(Mapping[str, dict[str, Any]]):
    """Rows of some files by key. Only their places are in memory; a row is read whenever it is asked for, also from a
    file that has been deleted meanwhile."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [path.open("rb") for path in paths]
        weakref.finalize(self, _close, self._files)
        self._places: dict[str, tuple[int, int, int]] = {}
        for number, file in enumerate(self._files):
            begin = 0
            for line in file:
                if line.endswith(b"\n") and (row := _checked(line)) is not None:
                    self._places.setdefault(row["key"], (number, begin, len(line)))
                begin += len(line)

    def __getitem__(self, key: str) -> dict[str, Any]:
        number, begin, length = self._places[key]
        file = self._files[number]
        try:
            row: dict[str, Any] = json.loads(os.pread(file.fileno(), length, begin))
        except (OSError, ValueError) as error:
            raise RunError(f"{file.name}: cannot be read any more ({error}); run the same command to resume") from None
        return {name: value for name, value in row.items() if name not in ("key", "sum")}

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _close(files: Iterable[BinaryIO]) -> None:
    for file in files:
        file.close()


def _dumped(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode()


def _sum(row: dict[str, Any]) -> str:
    return f"{zlib.crc32(_dumped(row)):08x}"


def _checked(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
        return row if row.pop("sum") == _sum(row) else None
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
