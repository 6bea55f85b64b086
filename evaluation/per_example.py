"""per_example.parquet: one row a question, with its answer, its grade and every confidence in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evaluation.evidence import Evidence

REPORTED_SPLITS = ("test", "evaluation")
ABOUT = ("id", "source", "subject", "group", "question", "references", "answer", "correct")


def columns(evidence: Evidence) -> dict[str, list[Any]]:
    """`confidence_before` and `confidence_after` are the headline's, `confidence_as_loaded` that of a loaded checkpoint
    for the same answers; `ESTIMATOR_STATE` and `ESTIMATOR_STATE_calibrated`
    those of every estimator (null where an answer has none); `reanswered` what the tuned model answers itself."""
    splits = [split for split in REPORTED_SPLITS if split in evidence.splits]
    rows = [(split, row) for split in splits for row in evidence.splits[split]]
    table: dict[str, list[Any]] = {"split": [split for split, _ in rows]}
    table |= {field: [getattr(row, field) for _, row in rows] for field in ABOUT}
    table["confidence_before"] = _joined([evidence.before(split) for split in splits])
    table["confidence_after"] = _joined([evidence.after(split) for split in splits])
    table["confidence_as_loaded"] = _joined([evidence.as_loaded(split) for split in splits])
    for side in evidence.scores:
        name = "_".join(side)
        table[name] = _joined([evidence.confidence(side, split) for split in splits])
        table[f"{name}_calibrated"] = _joined(
            [evidence.confidence(side, split, evidence.kind_of(side)) for split in splits]
        )
    for state in ("before", "after"):
        masses = [(evidence.findings.of("query", state, row) or {}).get("mass") for _, row in rows]  # type: ignore[arg-type]
        table[f"mass_{state}"] = masses
    again = [evidence.findings.of("reanswered", "after", row) for _, row in rows]
    table["reanswered"] = [finding and finding["answer"] for finding in again]
    table["reanswered_correct"] = [finding and finding["correct"] for finding in again]
    return table


def write_per_example(path: Path, evidence: Evidence) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns(evidence)), path)


def _joined(parts: list[np.ndarray]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in np.concatenate(parts)]
