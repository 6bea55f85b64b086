"""What post-hoc calibrators are worth: each kind on each confidence, fitted on `calibration`, scored on `test`."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.calibrators import CALIBRATORS
from evaluation.confidence_metrics import confidence_metrics, point_metrics
from evaluation.evidence import Evidence, Side
from evaluation.posthoc import FOLDS, cross_fitted

SHOWN = ("brier", "ece", "nll")


def posthoc(evidence: Evidence) -> dict[str, Any]:
    """`table`: by confidence (`query/after`) and kind (`none` is the confidence as it is) the metrics on the test split
    with intervals, and `cross_fitted`: the Brier score within the calibration split by five folds. `best`: the kind
    with the lowest of these, chosen without the test split."""
    table = {}
    for side in evidence.scores:
        if found := _kinds(evidence, side):
            table["/".join(side)] = found
    best = {
        name: min((kind for kind in own if "cross_fitted" in own[kind]), key=lambda kind: own[kind]["cross_fitted"])
        for name, own in table.items()
        if any("cross_fitted" in entry for entry in own.values())
    }
    return {"n_calibration": len(evidence.splits["calibration"]), "table": table, "best": best}


def _kinds(evidence: Evidence, side: Side) -> dict[str, Any]:
    score = evidence.scores[side]
    there, fitted_on = (~np.isnan(score[split]) for split in ("test", "calibration"))
    if not there.any():
        return {}
    correct, groups = evidence.correct("test")[there], evidence.groups("test")[there]
    settings = evidence.config.evaluation
    known, own = evidence.correct("calibration")[fitted_on], evidence.groups("calibration")[fitted_on]
    found: dict[str, Any] = {}
    for kind in (None, *evidence.fits[side]):
        confidence = evidence.confidence(side, "test", kind)[there]
        entry: dict[str, Any] = confidence_metrics(
            confidence, correct, settings.num_bins, evidence.config.seed, settings.bootstrap_samples, groups, SHOWN
        )
        if len(np.unique(own)) >= FOLDS:
            logit = score["calibration"][fitted_on]
            out_of_fold = (
                1 / (1 + np.exp(-logit))
                if kind is None
                else cross_fitted(kind, logit, known, own, seed=evidence.config.seed)  # type: ignore[arg-type]
            )
            entry["cross_fitted"] = point_metrics(out_of_fold, known, only=("brier",))["brier"]
        found[kind or "none"] = entry
    return found


KINDS = ("none", *CALIBRATORS)
