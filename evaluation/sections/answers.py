"""Does tuning change the answers? The same questions asked again, adapter off and adapter on."""

from __future__ import annotations

import numpy as np

from calibration_tuning.metrics.bootstrap import Interval, draws_of, mean_interval, share_interval, units_of
from evaluation.evidence import Evidence
from evaluation.schema import Answers


def answers(evidence: Evidence) -> Answers | None:
    """Share of answers that differ, and their accuracy off and on; None where none were asked for."""
    findings = evidence.findings
    rows = [row for row in evidence.splits["test"] if findings.of("reanswered", "before", row)]
    if not rows:
        return None
    off, on = ([findings.need("reanswered", state, row) for row in rows] for state in ("before", "after"))  # type: ignore[arg-type]
    before, after = (np.array([finding["correct"] for finding in side]) for side in (off, on))
    changed = np.array([x["answer"] != y["answer"] for x, y in zip(off, on, strict=True)])
    groups = np.array([row.group for row in rows])
    drawn = (groups, evidence.config.evaluation.bootstrap_samples, evidence.config.seed)

    def share(values: np.ndarray) -> Interval:
        draws = draws_of(lambda indices: {"share": float(values[indices].mean())}, *drawn).get("share", ())
        return share_interval(float(values.mean()), draws, units_of(groups))

    return Answers(
        n=len(rows),
        changed=share(changed),
        accuracy_adapter_off=share(before),
        accuracy_adapter_on=share(after),
        accuracy_difference=mean_interval(after - before, *drawn),
    )
