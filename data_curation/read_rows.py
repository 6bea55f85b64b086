"""Rows of question files, one by one: a line that cannot be read is reported and the others are still read."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from calibration_tuning.errors import UserError
from calibration_tuning.values import plain, unwrapped

Row = dict[str, Any]
_REWRITTEN = re.compile(r"\b(?:half)?float\b|\bmap<")
"""Arrow types, as Arrow names them, of which Python's values are not what the data set says."""


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
        raise UserError(f"{path}: cannot be read as {kind} ({first}); fix the file") from None


def is_file_path(path: str) -> bool:
    """True if `path` names a file of a kind that is read here, and not a data set on the hub."""
    parts = path.lower().removesuffix(".gz").rsplit(".", 1)
    return len(parts) == 2 and parts[1] in READERS


def _json_lines(file: IO[bytes]) -> Iterator[Row | Unreadable]:
    """A JSON object a line; a file that is one JSON list is read as such."""
    if (first := _beginning(file)).startswith(b"[") and b"{" in first:
        try:
            yield from map(_row, _parsed(file.read().decode("utf-8-sig")))
            return
        except (ValueError, RecursionError):
            file.seek(0)
    for number, line in enumerate(file):
        if not line.strip():
            continue
        try:
            row = _parsed(line.decode("utf-8" if number else "utf-8-sig"))
        except UnicodeDecodeError as error:
            yield Unreadable(f"not UTF-8 ({error.reason} at byte {error.start})")
        except json.JSONDecodeError as error:
            yield Unreadable(f"not JSON ({error.msg} at character {error.pos})")
        except (ValueError, RecursionError) as error:
            yield Unreadable(f"not JSON ({error})")
        else:
            yield _row(row)


def _json(file: IO[bytes]) -> Iterator[Row | Unreadable]:
    """One value that holds the rows; files that are JSON lines under another name are read as such."""
    try:
        rows = table_rows(_parsed(file.read().decode("utf-8-sig")))
    except (ValueError, RecursionError):
        file.seek(0)
        if _beginning(file).startswith(b"["):
            raise
        yield from _json_lines(file)
        return
    yield from map(_row, rows)


def _beginning(file: IO[bytes]) -> bytes:
    file.seek(0)
    first = file.read(64).removeprefix(codecs.BOM_UTF8).lstrip()
    file.seek(0)
    return first


def table_rows(value: Any) -> list[Any]:
    """The rows of a JSON value: a list; lists by column; pandas' orients `columns`, `index`, `split` and `table`; rows
    under one name (`data`, `examples`, `rows` of the hub's viewer, the only one); the files of SQuAD and TriviaQA.
    Another object is a row.
    """
    if isinstance(value, list):
        rows = value
    elif not isinstance(value, dict) or not value:
        rows = [value]
    elif set(value) >= {"columns", "data"}:
        rows = [dict(zip(value["columns"], row, strict=True)) for row in value["data"]]
    elif nested := next((value[name] for name in _names_of_rows(value) if _is_rows(value.get(name))), None):
        rows = [part for row in nested for part in _nested_rows(row)]
    elif all(map(_is_column, value.values())) and len(set(map(len, value.values()))) == 1:
        rows = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    elif all(isinstance(column, dict) and column for column in value.values()):
        first = next(iter(value.values()))
        if all(str(key).isdecimal() for key in first):
            rows = [{name: column.get(key) for name, column in value.items()} for key in first]
        else:
            rows = [{"id": key, **row} for key, row in value.items()]
    else:
        rows = [value]
    return rows


def _names_of_rows(value: dict[str, Any]) -> list[str]:
    only = [name for name, part in value.items() if len(value) == 1 and _is_column(part)]
    return ["data", "Data", "rows", "examples", *only]


def _is_column(value: Any) -> bool:
    """A list, but not the turns of a conversation, which are one value."""
    return isinstance(value, list) and not any(isinstance(part, dict) and {"role", "from"} & {*part} for part in value)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _nested_rows(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows within an entry of SQuAD's files (articles of paragraphs of questions), of TriviaQA's, of the hub's
    viewer; another entry is a row."""
    if _is_rows(row.get("paragraphs")):
        return [
            {"title": row.get("title"), "context": paragraph.get("context"), **asked}
            for paragraph in row["paragraphs"]
            for asked in paragraph.get("qas", [])
        ]
    return [row["row"]] if "row_idx" in row and isinstance(row.get("row"), dict) else [row]


def _parsed(text: str) -> Any:
    return json.loads(text, parse_constant=_no_number, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"names {next(name for name in names if names.count(name) > 1)!r} twice")
    return parsed


def _row(row: Any) -> Row | Unreadable:
    return row if isinstance(row, dict) else Unreadable(f"a JSON {type(row).__name__}, not an object")


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _separated(delimiter: str) -> Callable[[IO[bytes]], Iterator[Row | Unreadable]]:
    def rows(file: IO[bytes]) -> Iterator[Row | Unreadable]:
        # Bytes that are not UTF-8 come through as lone surrogates, so that only their own row is lost.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        csv.field_size_limit(1 << 24)
        # In a csv a quote that is not closed would swallow the rows after it; in a tsv quotes may be letters.
        quoting: Any = csv.QUOTE_MINIMAL
        if delimiter == "\t" and _whole_rows(text, csv.QUOTE_MINIMAL) < _whole_rows(text, csv.QUOTE_NONE):
            quoting = csv.QUOTE_NONE
        reader = _readable(csv.reader(text, delimiter=_delimiter(text, delimiter), quoting=quoting, strict=True))
        names = [name.strip() for name in next(reader, [])]
        twice = sorted({name for name in names if name and names.count(name) > 1})
        for row in filter(None, reader):
            if len(row) != len(names):
                yield Unreadable(f"not {len(names)} fields, as the header has")
            elif any("\udc80" <= c <= "\udcff" for value in row for c in value):
                yield Unreadable("not UTF-8")
            elif twice:
                yield Unreadable(f"the header names {', '.join(map(repr, twice))} twice")
            else:
                yield dict(zip(names, map(unwrapped, row), strict=True))

    return rows


def _delimiter(text: io.TextIOWrapper, delimiter: str) -> str:
    """The semicolon, where Excel writes it: in countries whose decimal sign is the comma."""
    header = text.readline()
    text.seek(0)
    return ";" if delimiter == "," and ";" in header and "," not in header else delimiter


def _readable(reader: Any) -> Iterator[list[str]]:
    """The rows of a csv reader. Raises `csv.Error` naming the line in which a row begins that cannot be read."""
    begin = 1
    try:
        for row in reader:
            yield row
            begin = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(f"{error} in the row that begins in line {begin}") from None


def _whole_rows(text: io.TextIOWrapper, quoting: Any) -> int:
    """How many rows of a tsv have as many fields as its header; -1 where quotes stand that cannot be quotes."""
    reader = csv.reader(text, delimiter="\t", quoting=quoting, strict=True)
    try:
        width = len(next(reader, []))
        return sum(len(row) == width for row in reader)
    except csv.Error:
        return -1
    finally:
        text.seek(0)


def _parquet(file: IO[bytes]) -> Iterator[Row | Unreadable]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(file)
    names = table.schema_arrow.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"it names the column {twice[0]!r} twice")
    for batch in table.iter_batches():
        yield from arrow_rows(batch)


def arrow_rows(table: Any) -> Iterator[Row | Unreadable]:
    """The rows of an Arrow table; a map that names a key twice costs its row."""
    rewritten = [field for field in table.schema if _REWRITTEN.search(str(field.type))]
    for row in table.to_pylist():
        try:
            row |= {field.name: _as_python(row[field.name], field.type) for field in rewritten}
        except ValueError as error:
            yield Unreadable(f"a map {error}")
        else:
            yield plain(row)


def _as_python(value: Any, kind: Any) -> Any:
    """The value of an Arrow type: a map is a struct, and 0.1 of 32 bits is not 0.10000000149011612."""
    import pyarrow as pa

    if value is None:
        return None
    if pa.types.is_dictionary(kind):
        return _as_python(value, kind.value_type)
    if pa.types.is_map(kind):
        return _object([(key, _as_python(part, kind.item_type)) for key, part in value])
    if pa.types.is_struct(kind):
        return {field.name: _as_python(value[field.name], field.type) for field in kind}
    if pa.types.is_nested(kind):
        return [_as_python(part, kind.value_type) for part in value]
    return float(str(kind.to_pandas_dtype()(value))) if kind in (pa.float16(), pa.float32()) else value


READERS: dict[str, Callable[[IO[bytes]], Iterator[Row | Unreadable]]] = {
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "json": _json,
    "csv": _separated(","),
    "tsv": _separated("\t"),
    "parquet": _parquet,
}
