"""Finished work, kept on disk the moment it is there, so that a killed run loses and repeats none."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from calibration_tuning.errors import RunError, UserError


class Journal:
    """A folder of JSON-lines files, one for each process that wrote; whoever opens it sees the rows of all.

    Every row is an object with a `key`, written with its CRC-32 as `sum`. A row that does not match its sum is ignored,
    so that its work is done again; a last line that a killed process did not finish is cut off by its process before it
    writes again.
    """

    def __init__(self, folder: Path, writer: str) -> None:
        self._folder = folder
        self._file = folder / f"{writer}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._file.exists() and not (content := self._file.read_bytes()).endswith(b"\n"):
                os.truncate(self._file, content.rfind(b"\n") + 1)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another output_dir") from None

    def rows(self) -> Rows:
        """Everything finished so far, by key; the first row of a key counts."""
        places: dict[str, tuple[Path, int]] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                begin = 0
                for line in file:
                    if line.endswith(b"\n") and (row := _checked(line)) is not None:
                        places.setdefault(row["key"], (path, begin))
                    begin += len(line)
        return Rows(places)

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
    """Rows by key, as they were when they were looked for: in memory is where they lie, and they are read when asked
    for, so that it does not grow with what is in them."""

    def __init__(self, places: Mapping[str, tuple[Path, int]]) -> None:
        self._places = places

    def __getitem__(self, key: str) -> dict[str, Any]:
        path, begin = self._places[key]
        with path.open("rb") as file:
            file.seek(begin)
            row: dict[str, Any] = json.loads(file.readline())
        return {name: value for name, value in row.items() if name not in ("key", "sum")}

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


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
