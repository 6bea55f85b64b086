"""What post-hoc calibrators are worth: each kind on each confidence, fitted on `calibration`, scored on `test`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from calibration_tuning.metrics.calibrators import CALIBRATORS
from calibration_tuning.metrics.cross_fitting import FOLDS, cross_fitted
from calibration_tuning.metrics.scoring_rules import brier
from evaluation.best_other import best_other
from evaluation.evidence import Evidence, Side

SHOWN = ("brier", "ece", "nll")


def posthoc(evidence: Evidence) -> dict[str, Any]:
    """`table`: by confidence (`query/after`) and kind (`none` is the confidence as it is) the metrics on the test split
    with intervals, and `cross_fitted`: the Brier score within the calibration split by five folds. `best`: the kind
    with the lowest of these, and `best_other`, the best confidence besides the query, both chosen without the test
    split."""
    table = {"/".join(side): found for side in evidence.scores if (found := _kinds(evidence, side))}
    best = {
        name: min((kind for kind in own if "cross_fitted" in own[kind]), key=lambda kind: own[kind]["cross_fitted"])
        for name, own in table.items()
        if any("cross_fitted" in entry for entry in own.values())
    }
    other = best_other(evidence)
    return {
        "n_calibration": len(evidence.splits["calibration"]),
        "kinds": ["none", *CALIBRATORS],
        "table": table,
        "best": best,
        "best_other": other and "/".join(other),
    }


def _kinds(evidence: Evidence, side: Side) -> dict[str, Any]:
    score = evidence.scores[side]
    there, fitted_on = (~np.isnan(score[split]) for split in ("test", "calibration"))
    if not there.any():
        return {}
    known, groups = evidence.correct("calibration")[fitted_on], evidence.groups("calibration")[fitted_on]
    logit = score["calibration"][fitted_on]
    found: dict[str, Any] = {}
    for kind in (None, *evidence.fits[side]):
        entry: dict[str, Any] = evidence.rated(evidence.confidence(side, "test", kind), "test", SHOWN, there)
        if len(np.unique(groups)) >= FOLDS:
            seed = evidence.config.seed
            own = expit(logit) if kind is None else cross_fitted(kind, logit, known, groups, seed=seed)  # type: ignore[arg-type]
            entry["cross_fitted"] = brier(own, known)
        found[kind or "none"] = entry
    return found
