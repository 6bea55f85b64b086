"""Does tuning change the answers? The same questions asked again, adapter off and adapter on."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.metrics.bootstrap import draws_of, percentile_interval
from evaluation.evidence import Evidence
from evaluation.passes.base import BOTH


def answers(evidence: Evidence) -> dict[str, Any] | None:
    """Share of answers that differ, and their accuracy off and on; None where none were asked for."""
    rows = [row for row in evidence.splits["test"] if evidence.findings.of("reanswered", "before", row)]
    if not rows:
        return None
    off, on = ([evidence.findings.of("reanswered", state, row) or {} for row in rows] for state in BOTH)
    changed = np.array([one["answer"] != other["answer"] for one, other in zip(off, on, strict=True)])
    before, after = (np.array([one["correct"] for one in found]) for found in (off, on))

    def metrics(indices: np.ndarray) -> dict[str, float | None]:
        return {
            "changed": float(changed[indices].mean()),
            "accuracy_adapter_off": float(before[indices].mean()),
            "accuracy_adapter_on": float(after[indices].mean()),
            "accuracy_difference": float((after - before)[indices].mean()),
        }

    groups = np.array([row.group for row in rows])
    draws = draws_of(metrics, groups, evidence.config.evaluation.bootstrap_samples, evidence.config.seed)
    values = metrics(np.arange(len(rows)))
    intervals = {name: percentile_interval(value or 0.0, draws.get(name, ())) for name, value in values.items()}
    return {"n": len(rows), **intervals}
