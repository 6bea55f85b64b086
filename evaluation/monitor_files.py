"""Answers of a model in use, whose labels come late, and those of its evaluation, as `monitor` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from calibration_tuning.config.settings import nearest
from calibration_tuning.errors import UserError
from calibration_tuning.values import is_missing
from evaluation.score_files import TABLES, Table, names_of, probabilities, read_table

PER_EXAMPLE = Path("evaluation") / "per_example.parquet"
OF_A_RUN = ("confidence_as_loaded", "correct", "group")
"""Columns of a run's own file: the calibrated confidence of the loaded checkpoint, its grade and its group."""
EMPTY = ("", "nan", "na", "none", "null")


@dataclass(frozen=True)
class Monitored:
    confidence: np.ndarray
    """[n], of the answers that have a label, in the order in which the labels came."""
    correct: np.ndarray
    groups: list[Any] | None
    unlabelled: int = 0
    unlabelled_confidence: float = float("nan")
    """Mean confidence of the answers without a label; NaN where there are none."""


def read_stream(file: Path, confidence: str, correct: str, time: str | None, group: str | None) -> Monitored:
    """Raises `UserError` naming file, row and column of what cannot be read, and where no answer has a label."""
    table = _table(file, [confidence, correct, *filter(None, (time, group))])
    is_labelled = np.array([not _is_empty(value) for value in table[correct]], dtype=bool)
    if not is_labelled.any():
        raise UserError(f"{file}, {correct}: no answer has a label yet; fill in 1 or 0 where it is known")
    labelled_rows = is_labelled.nonzero()[0].tolist()
    if time is not None:
        labelled_rows = _in_order(file, time, table[time], labelled_rows)
    stated = probabilities(file, confidence, table[confidence])
    labels = probabilities(
        file, correct, [value if has_label else 0 for value, has_label in zip(table[correct], is_labelled, strict=True)]
    )
    groups = None if group is None else names_of(file, group, "group", table[group])
    return Monitored(
        stated[labelled_rows],
        labels[labelled_rows],
        None if groups is None else [groups[row] for row in labelled_rows],
        int((~is_labelled).sum()),
        float(stated[~is_labelled].mean()) if not is_labelled.all() else float("nan"),
    )


def read_evaluation(path: Path, confidence: str, correct: str, group: str | None) -> Monitored:
    """The test split of a run's folder, or a file with the same columns."""
    if not path.is_dir():
        if not path.is_file():
            raise UserError(f"--evaluation {path}: neither a run's folder nor a file")
        return read_stream(path, confidence, correct, None, group)
    file = path / PER_EXAMPLE
    if not file.is_file():
        raise UserError(f"{file}: does not exist; run `calibration-tuning evaluate CONFIG` for that run first")
    table = _table(file, ["split", *OF_A_RUN])
    rows = [number for number, split in enumerate(table["split"]) if split == "test"]
    stated, labels, groups = ([table[name][row] for row in rows] for name in OF_A_RUN)
    return Monitored(probabilities(file, OF_A_RUN[0], stated), probabilities(file, OF_A_RUN[1], labels), groups)


def _table(file: Path, columns: list[str]) -> Table:
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    if file.suffix.removeprefix(".").lower() not in TABLES:
        raise UserError(f"{file}: cannot be read; known endings are {', '.join(TABLES)}")
    table = read_table(file)
    for column in columns:
        if column not in table:
            raise UserError(f"{file}: no column {column!r}; {nearest(column, list(map(str, table)))}")
    if not table[columns[0]]:
        raise UserError(f"{file}: holds no rows")
    return table


def _in_order(file: Path, column: str, values: list[Any], rows: list[int]) -> list[int]:
    """The rows by time; those of equal times in the order of the file."""
    moments: dict[int, Any] = {}
    for row in rows:
        try:
            moments[row] = _moment(values[row])
        except ValueError:
            raise UserError(f"{file}, row {row}, {column}: {values[row]!r} is neither ISO 8601 nor a number") from None
    try:
        return sorted(rows, key=moments.__getitem__)
    except TypeError:
        raise UserError(
            f"{file}, {column}: some times are numbers or have a time zone and others do not; write all in one way"
        ) from None


def _moment(value: Any) -> float | datetime:
    if isinstance(value, datetime):
        return value
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return datetime.fromisoformat(text)
    if not np.isfinite(number):
        raise ValueError(text)
    return number


def _is_empty(value: Any) -> bool:
    return is_missing(value) or str(value).strip().casefold() in EMPTY
