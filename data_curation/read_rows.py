"""Rows of question files, one by one: a line that cannot be read is reported and the others are still read."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from calibration_tuning.errors import UserError

Row = dict[str, Any]


class Unreadable(str):
    """Stands in for a row that could not be read; says why."""


def read_file(path: Path) -> Iterator[Row | Unreadable]:
    """Rows of a json, jsonl, csv, tsv or parquet file, gzipped or not.

    Raises `UserError` naming the file if it is missing, empty or damaged as a whole.
    """
    suffixes = [suffix.lower().lstrip(".") for suffix in path.suffixes]
    packed = suffixes[-1:] == ["gz"]
    kind = suffixes[-2:][0] if packed else suffixes[-1]
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: is empty")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            yield from READERS[kind](file)  # type: ignore[arg-type]
    # pyarrow's own errors are among these
    except (OSError, EOFError, ValueError, RecursionError, csv.Error, zlib.error) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: cannot be read as {kind} ({first}); mend the file") from None


def is_file_path(path: str) -> bool:
    """True if `path` names a file of a kind that is read here, and not a data set on the hub."""
    parts = path.lower().removesuffix(".gz").rsplit(".", 1)
    return len(parts) == 2 and parts[1] in READERS


def _json_lines(file: IO[bytes]) -> Iterator[Row | Unreadable]:
    for number, line in enumerate(file):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8" if number else "utf-8-sig"), parse_constant=_no_number)
        except UnicodeDecodeError as error:
            yield Unreadable(f"not UTF-8 ({error.reason} at byte {error.start})")
        except json.JSONDecodeError as error:
            yield Unreadable(f"not JSON ({error.msg} at character {error.pos})")
        except (ValueError, RecursionError) as error:
            yield Unreadable(f"not JSON ({error})")
        else:
            yield row if isinstance(row, dict) else Unreadable(f"a JSON {type(row).__name__}, not an object")


def _json(file: IO[bytes]) -> Iterator[Row | Unreadable]:
    """A list of objects; files that are JSON lines under another name are read as such."""
    head = file.peek(64) if isinstance(file, io.BufferedReader | gzip.GzipFile) else b""
    if not head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        yield from _json_lines(file)
        return
    for row in json.load(file, parse_constant=_no_number):
        yield row if isinstance(row, dict) else Unreadable(f"a JSON {type(row).__name__}, not an object")


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _separated(delimiter: str) -> Callable[[IO[bytes]], Iterator[Row | Unreadable]]:
    def rows(file: IO[bytes]) -> Iterator[Row | Unreadable]:
        # Bytes that are not UTF-8 come through as lone surrogates, so that only their own row is lost.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        csv.field_size_limit(1 << 24)
        # Quotes mean nothing in a tsv; in a csv one that is not closed would swallow the rows after it.
        quoting: Any = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
        reader = csv.DictReader(text, delimiter=delimiter, quoting=quoting, strict=True)
        for row in reader:
            if None in row or None in row.values():
                yield Unreadable(f"not {len(reader.fieldnames or [])} fields, as the header has")
            elif any("\udc80" <= c <= "\udcff" for value in row.values() for c in value):
                yield Unreadable("not UTF-8")
            else:
                yield row

    return rows


def _parquet(file: IO[bytes]) -> Iterator[Row | Unreadable]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(file).iter_batches():
        yield from batch.to_pylist()


READERS: dict[str, Callable[[IO[bytes]], Iterator[Row | Unreadable]]] = {
    "jsonl": _json_lines,
    "json": _json,
    "csv": _separated(","),
    "tsv": _separated("\t"),
    "parquet": _parquet,
}
