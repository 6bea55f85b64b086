"""Files of confidences or logits from elsewhere, checked as they are read."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from calibration_tuning.config.settings import nearest
from calibration_tuning.errors import UserError
from calibration_tuning.values import is_missing
from evaluation.harness_samples import NOTE, confidence_and_correct, is_samples

DEFAULT_COLUMNS = ("confidence", "correct")
Table = dict[str, list[Any]]
"""Values by column."""
TENSORS = ("safetensors", "npz")
CHUNK = 256
"""Rows of logits in memory at a time."""
IGNORED = -100
"""A target that PyTorch's and transformers' losses leave out."""
FAR = 1000.0
"""A logit so far below another has probability 0 beside it, in float64 too."""
ROUNDING = 0.02
"""By how much probabilities in bfloat16 may miss a sum of 1."""
WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class Pairs:
    confidence: np.ndarray
    correct: np.ndarray
    groups: np.ndarray | None
    subjects: np.ndarray | None = None
    note: str | None = None
    """What the file was recognised as."""


def read_pairs(
    file: Path, confidence: str, correct: str, group: str | None = None, subject: str | None = None
) -> Pairs:
    """Read [n] confidences and [n] correctness. Raises `UserError` with file, row and column of the first value that is
    not a probability."""
    table, note = read_table(file), None
    if is_samples(table) and (confidence, correct) == DEFAULT_COLUMNS and confidence not in table:
        table, note = table | confidence_and_correct(file, table), NOTE
    for column in filter(None, (confidence, correct, group, subject)):
        if column not in table:
            raise UserError(f"{file}: no column {column!r}; {nearest(column, list(map(str, table)))}")
    if not table[confidence]:
        raise UserError(f"{file}: holds no rows")
    groups, subjects = (
        None if column is None else names_of(file, column, kind, table[column])
        for column, kind in ((group, "group"), (subject, "subject"))
    )
    values, right = (probabilities(file, column, table[column]) for column in (confidence, correct))
    return Pairs(values, right, groups, subjects, note)


def read_table(file: Path) -> Table:
    ending = file.suffix.removeprefix(".").lower()
    try:
        return READERS[ending](file)
    except (ValueError, OSError, csv.Error, RecursionError) as error:  # pyarrow's own errors are among these
        raise UserError(f"{file}: not a readable {ending} file ({' '.join(str(error).split())})") from None


def _separated(delimiter: str) -> Callable[[Path], Table]:
    def read(file: Path) -> Table:
        csv.field_size_limit(1 << 24)
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=delimiter)
            names = [name.strip() for name in next(filter(None, reader), [])]
            if not names:
                raise ValueError("it is empty")
            _refuse_twice(file, names)
            columns: Table = {name: [] for name in names}
            for row in filter(None, reader):
                if len(row) > len(names):
                    raise ValueError(f"line {reader.line_num} has {len(row)} fields, the header {len(names)}")
                for name, value in zip_longest(names, row, fillvalue=""):
                    columns[name].append(value)
        return columns

    return read


def _json(file: Path) -> Table:
    """A list of rows, or an object of columns that are all lists or all objects by row (pandas' `columns`), or UQLM's
    with `data`."""
    value = json.loads(file.read_text(encoding="utf-8-sig"))
    if isinstance(value, dict) and isinstance(value.get("data"), dict) and {*value} <= {"data", "metadata"}:
        value = value["data"]
    if isinstance(value, list):
        return _by_column(value)
    columns = value if isinstance(value, dict) else {}
    if all(isinstance(part, dict) for part in columns.values()):
        columns = _by_key(columns)
    if not columns or not all(isinstance(part, list) for part in columns.values()):
        raise ValueError("neither a list of rows nor lists by column")
    if len({len(part) for part in columns.values()}) > 1:
        raise ValueError("its columns differ in length")
    return columns


def _by_key(columns: dict[str, dict[str, Any]]) -> Table:
    """The values of each column in the order of the first one's keys."""
    keys = list(next(iter(columns.values()), {}))
    if other := [name for name, part in columns.items() if part.keys() != {*keys}]:
        raise ValueError(f"its column {other[0]!r} has other keys than {next(iter(columns))!r}")
    return {name: [part[key] for key in keys] for name, part in columns.items()}


def _json_lines(file: Path) -> Table:
    lines = file.read_text(encoding="utf-8-sig").split("\n")  # splitlines would also split at breaks within a text
    return _by_column([json.loads(line) for line in lines if line.strip()])


def _by_column(rows: list[Any]) -> Table:
    if other := [type(row).__name__ for row in rows if not isinstance(row, dict)]:
        raise ValueError(f"a row is {other[0]}, not an object")
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


def _parquet(file: Path) -> Table:
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    _refuse_twice(file, table.column_names)
    columns: Table = table.to_pydict()
    return columns


READERS: dict[str, Callable[[Path], Table]] = {
    "csv": _separated(","),
    "tsv": _separated("\t"),
    "json": _json,
    "jsonl": _json_lines,
    "parquet": _parquet,
}
TABLES = tuple(READERS)


def _refuse_twice(file: Path, names: list[str]) -> None:
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise UserError(f"{file}: the header names {twice[0]!r} twice; rename one of the columns")


def names_of(file: Path, column: str, kind: str, values: list[Any]) -> np.ndarray:
    """Names of groups or subjects [n], unchanged: 001 and 1 differ, and NA is a name."""
    for number, value in enumerate(values):
        if is_missing(value) or value == "":
            raise UserError(f"{file}, row {number}, {column}: missing; every row needs a {kind}")
    return np.array([str(value) for value in values], dtype=object)


def probabilities(file: Path, column: str, values: list[Any]) -> np.ndarray:
    parsed = np.empty(len(values))
    for number, value in enumerate(values):
        text = "nan" if value is None else str(value).strip().casefold()
        if text in ("", "nan", "na", "none", "null"):
            raise UserError(f"{file}, row {number}, {column}: missing; remove the row or fill it in")
        try:
            parsed[number] = WORDS[text] if text in WORDS else float(text)
        except ValueError:
            raise UserError(f"{file}, row {number}, {column}: {value!r} is not a number") from None
        if not 0 <= parsed[number] <= 1:
            raise UserError(f"{file}, row {number}, {column}: {text} is not in [0, 1]")
    return parsed


@dataclass
class TokenNotes:
    """What is to be said of a file of logits beside its numbers, counted while it is read."""

    rows: int = 0
    """Scored positions."""
    skipped: int = 0
    """Positions whose target is -100, as losses ignore them."""
    impossible: int = 0
    """Targets of probability 0."""
    probabilities: int = 0
    """Rows that are probabilities already, not logits."""
    log_probabilities: int = 0

    def warnings(self) -> list[str]:
        most = 0.9 * self.rows
        several = [(self.skipped, f"{self.skipped} positions with the target {IGNORED} are skipped")]
        if self.probabilities > most:
            several.append((1, "the logits are probabilities already; pass logits, or the probabilities' logarithms"))
        elif self.log_probabilities > most:
            several.append((1, "the logits are log-probabilities already, which gives the same numbers"))
        impossible = f"{self.impossible} targets have a logit of -inf, so the NLL is infinite"
        return [text for count, text in [*several, (self.impossible, impossible)] if count]


def token_chunks(file: Path, notes: TokenNotes) -> Iterator[tuple[int, Any, Any, np.ndarray | None]]:
    """(first row, logits [n, K], targets [n], sequence ids [n] or None) in chunks, so that large files are never whole
    in memory (npz: their compressed members are). Logits of -inf, which are of probability 0, are made finite.

    Positions with the target -100 are left out; `notes` counts them. Nothing is unpickled. Raises `UserError` for other
    contents.
    """
    import torch

    names, shape, get = _open(file)
    if missing := [name for name in ("logits", "targets") if name not in names]:
        raise UserError(f"{file}: holds no {' and no '.join(missing)}; it has {', '.join(names) or 'nothing'}")
    targets = torch.as_tensor(_whole_numbers(file, "targets", get("targets", slice(None))))
    ids = _whole_numbers(file, "sequence_ids", get("sequence_ids", slice(None))) if "sequence_ids" in names else None
    if len(shape("logits")) != 2:
        raise UserError(f"{file}: logits must be [N, K], not of shape {shape('logits')}")
    rows = shape("logits")[0]
    for name, array in (("targets", targets), ("sequence_ids", ids)):
        if array is not None and array.shape != (rows,):
            raise UserError(f"{file}: {rows} rows of logits, but {name} of shape {tuple(array.shape)}")
    for start in range(0, len(targets), CHUNK):
        part = slice(start, start + CHUNK)
        logits = get("logits", part)
        logits = logits if isinstance(logits, torch.Tensor) else torch.as_tensor(logits)
        scored = targets[part] != IGNORED
        notes.skipped += int((~scored).sum())
        if scored.any():
            chosen, realised = logits[scored], targets[part][scored]
            _note(notes, chosen)
            yield start, _finite(file, start, chosen, realised, notes), realised, _of(ids, part, scored)
    if not notes.rows:
        raise UserError(f"{file}: every target is {IGNORED}; there is nothing to score")


def _of(ids: np.ndarray | None, part: slice, scored: Any) -> np.ndarray | None:
    return None if ids is None else ids[part][scored.numpy()]


def _note(notes: TokenNotes, logits: Any) -> None:
    """Count rows of `logits` [n, K] whose values add up to 1, or whose exponentials do."""
    values = logits.double()
    notes.rows += len(values)
    is_probability = (values >= 0).all(1) & ((values.sum(1) - 1).abs() < ROUNDING)
    is_log = (values <= 0).all(1) & (values.logsumexp(1).abs() < ROUNDING)
    notes.probabilities += int(is_probability.sum())
    notes.log_probabilities += int((is_log & ~is_probability).sum())


def _finite(file: Path, start: int, logits: Any, targets: Any, notes: TokenNotes) -> Any:
    """The logits with -inf replaced by what is far enough below the row's highest for a probability of exactly 0."""
    import torch

    excluded = logits == -torch.inf
    if not excluded.any():
        return logits
    if excluded.all(1).any():
        raise UserError(f"{file}, rows from {start}: all logits of a row are -inf; a row needs a token that can follow")
    within = (targets >= 0) & (targets < logits.shape[1])  # others are reported by the metric
    notes.impossible += int(excluded[within].gather(1, targets[within].unsqueeze(1)).sum())
    return torch.where(excluded, logits.max(1, keepdim=True).values - FAR, logits)


def _whole_numbers(file: Path, name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"{file}: {name} are {array.dtype}, not whole numbers")
    return array.astype(np.int64)


def _open(file: Path) -> tuple[list[str], Callable[[str], tuple[int, ...]], Callable[[str, slice], Any]]:
    """Names of the arrays, their shapes, and a function (name, rows) -> array or tensor."""
    if file.suffix.lower() == ".npz":
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, TypeError, AttributeError, BadZipFile, zlib.error) as error:
            raise UserError(f"{file}: not a readable npz file without pickles ({error})") from None
        return list(arrays), lambda name: arrays[name].shape, lambda name, rows: arrays[name][rows]
    from safetensors import SafetensorError, safe_open

    try:
        opened = safe_open(file, framework="pt")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: not a readable safetensors file ({error})") from None
    return (
        list(opened.keys()),
        lambda name: tuple(opened.get_slice(name).get_shape()),
        lambda name, rows: opened.get_slice(name)[rows],
    )
