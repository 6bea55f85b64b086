"""Every confidence on the same questions, before and after tuning, as it is and after the run's kind of calibrator."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.metrics.comparison import adjust
from calibration_tuning.metrics.confidence_metrics import MAIN, METRICS
from evaluation.estimators import ESTIMATORS
from evaluation.evidence import AFTER, Evidence, Side

LEAST = 20
"""Fewer answers with a confidence than this are not worth a row."""


def estimators(evidence: Evidence) -> dict[str, Any]:
    """By split, then by estimator: `family`, `label`, and for `before` and `after` the number of answers that have
    such a confidence, `raw` and `calibrated` metrics, and `against_query`: how the calibrated confidence differs from
    the tuned query's on the same answers (Holm-corrected over the split's table)."""
    found = {split: _split(evidence, split) for split in ("test", "evaluation") if split in evidence.splits}
    for table in found.values():
        sides = [side for entry in table.values() for side in entry["states"].values()]
        adjust([(METRICS["brier"], side["against_query"]["brier"]) for side in sides if "against_query" in side])
    return found


def unrated(evidence: Evidence) -> dict[str, Any] | None:
    """Confidences that too few test answers have (the model wrote none that could be read, or there were no choices),
    with their number."""
    counts = {side: int((~np.isnan(own["test"])).sum()) for side, own in evidence.scores.items()}
    few = {f"{ESTIMATORS[name].label}, {state}": n for (name, state), n in counts.items() if n < LEAST}  # type: ignore[index]
    return few or None


def _split(evidence: Evidence, split: str) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for side in evidence.scores:
        name, state = side
        if (there := int((~np.isnan(evidence.scores[side][split])).sum())) >= LEAST:
            estimator = ESTIMATORS[name]  # type: ignore[index]
            entry = table.setdefault(name, {"label": estimator.label, "family": estimator.family, "states": {}})
            entry["states"][state] = {"n": there, **_rated(evidence, side, split)}
    return table


def _rated(evidence: Evidence, side: Side, split: str) -> dict[str, Any]:
    there = ~np.isnan(evidence.scores[side][split])
    found: dict[str, Any] = {"raw": evidence.rated(evidence.confidence(side, split), split, MAIN, there)}
    calibrated = evidence.confidence(side, split, evidence.kind)
    if np.isnan(calibrated[there]).any():  # nothing to fit on
        return found
    both = evidence.compared(evidence.after(split), calibrated, split, MAIN, there)
    found["calibrated"] = both["after"]
    return found if side == AFTER else found | {"against_query": both["difference"]}
