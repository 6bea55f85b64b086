"""Does tuning change the answers? Those given with the adapter off, which are used, against those with it left on."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation.bootstrap import draws_of, percentile_interval
from evaluation.evidence import Evidence


def answers(evidence: Evidence) -> dict[str, Any] | None:
    """Share of answers that differ, and their accuracy off and on; None where none were asked for."""
    pairs = [(row, evidence.measured.of("reanswered", "after", row)) for row in evidence.splits["test"]]
    asked = [(row, found) for row, found in pairs if found is not None]
    if not asked:
        return None
    off = np.array([row.correct for row, _ in asked])
    on = np.array([found["correct"] for _, found in asked])
    changed = np.array([row.answer != found["answer"] for row, found in asked])

    def metrics(indices: np.ndarray) -> dict[str, float | None]:
        return {
            "changed": float(changed[indices].mean()),
            "accuracy_adapter_off": float(off[indices].mean()),
            "accuracy_adapter_on": float(on[indices].mean()),
            "accuracy_difference": float((on - off)[indices].mean()),
        }

    groups = np.array([row.group for row, _ in asked])
    draws = draws_of(metrics, groups, evidence.config.evaluation.bootstrap_samples, evidence.config.seed)
    values = metrics(np.arange(len(asked)))
    return {"n": len(asked), **{name: percentile_interval(value or 0.0, draws[name]) for name, value in values.items()}}
