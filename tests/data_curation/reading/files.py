"""Question files of these tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from calibration_tuning.config.questions import MixtureEntry
from data_curation.question_sets import Loaded, load_questions

LETTERS = {"A": "lime", "B": "plum", "C": "pear"}


def load(path: Path, **values: Any) -> Loaded:
    return load_questions(MixtureEntry(source="set", path=str(path), **values), "train")


def lines(folder: Path, *rows: Any) -> Path:
    path = folder / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(folder: Path, rows: list[dict[str, Any]], schema: Any = None) -> Path:
    path = folder / "q.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path
