"""Files of confidences or logits from elsewhere, checked as they are read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from calibration_tuning.config.settings import nearest
from calibration_tuning.errors import UserError

TABLES = ("csv", "tsv", "json", "jsonl", "parquet")
TENSORS = ("safetensors", "npz")
CHUNK = 256
"""Rows of logits in memory at a time."""
WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class Pairs:
    confidence: np.ndarray
    correct: np.ndarray
    groups: np.ndarray | None


def read_pairs(file: Path, confidence: str, correct: str, group: str | None) -> Pairs:
    """[n] each. Raises `UserError` naming file, row and column of the first value that is no probability."""
    frame = _read_table(file)
    for column in filter(None, (confidence, correct, group)):
        if column not in frame.columns:
            raise UserError(f"{file}: no column {column!r}; {nearest(column, [str(c) for c in frame.columns])}")
    if not len(frame):
        raise UserError(f"{file}: holds no rows")
    if group is not None and frame[group].isna().any():
        row = int(np.flatnonzero(frame[group].isna())[0])
        raise UserError(f"{file}, row {row}, {group}: missing; every row needs a group")
    return Pairs(
        _probabilities(file, confidence, frame[confidence]),
        _probabilities(file, correct, frame[correct]),
        None if group is None else frame[group].astype(str).to_numpy(),
    )


def _read_table(file: Path) -> Any:
    import pandas as pd

    ending = file.suffix.removeprefix(".").lower()
    read = {
        "csv": pd.read_csv,
        "tsv": lambda path: pd.read_csv(path, sep="\t"),
        "json": pd.read_json,
        "jsonl": lambda path: pd.read_json(path, lines=True),
        "parquet": pd.read_parquet,
    }[ending]
    try:
        return read(file)
    except (ValueError, OSError, UnicodeDecodeError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{file}: not a readable {ending} file ({' '.join(str(error).split())})") from None


def _probabilities(file: Path, column: str, values: Any) -> np.ndarray:
    parsed = np.empty(len(values))
    for number, value in enumerate(values):
        text = str(value).strip().casefold()
        try:
            parsed[number] = WORDS[text] if text in WORDS else float(text)
        except ValueError:
            raise UserError(f"{file}, row {number}, {column}: {value!r} is not a number") from None
        if not 0 <= parsed[number] <= 1:
            raise UserError(f"{file}, row {number}, {column}: {value!r} is not in [0, 1]")
    return parsed


def token_chunks(file: Path) -> Iterator[tuple[int, Any, Any, np.ndarray | None]]:
    """(first row, logits [n, K], targets [n], sequence ids [n] or None) in chunks, so that large files are never whole
    in memory (npz: their compressed members are). Nothing is unpickled. Raises `UserError` for other contents."""
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
        yield start, logits, targets[part], None if ids is None else ids[part]


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
