"""What post-hoc calibrators are worth: each kind on each confidence, fitted on `calibration`, scored on `test`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from calibration_tuning.metrics.calibrators import CALIBRATORS
from calibration_tuning.metrics.cross_fitting import FOLDS, cross_fitted
from calibration_tuning.metrics.scoring_rules import brier
from evaluation.best_other import best_other, incomplete
from evaluation.evidence import Evidence, Side
from evaluation.schema import Calibrators, CalibratorScores

SHOWN = ("brier", "ece", "nll")


def posthoc(evidence: Evidence) -> Calibrators:
    """Metrics on the test split by confidence and kind. What is best is chosen without the test split."""
    table = {"/".join(side): scores for side in evidence.scores if (scores := _kinds(evidence, side))}
    best: dict[str, str] = {}
    for name, by_kind in table.items():
        fitted = {kind: scores.cross_fitted for kind, scores in by_kind.items() if scores.cross_fitted is not None}
        if fitted:
            best[name] = min(fitted, key=lambda kind: fitted[kind])
    other = best_other(evidence)
    return Calibrators(
        n_calibration=len(evidence.splits["calibration"]),
        kinds=["none", *CALIBRATORS],
        table=table,
        best=best,
        best_other=other and "/".join(other),
        incomplete={"/".join(side): n for side, n in incomplete(evidence).items()},
    )


def _kinds(evidence: Evidence, side: Side) -> dict[str, CalibratorScores]:
    score = evidence.scores[side]
    scored, fitted_on = (~np.isnan(score[split]) for split in ("test", "calibration"))
    if not scored.any():
        return {}
    correct, groups = evidence.correct("calibration")[fitted_on], evidence.groups("calibration")[fitted_on]
    logit = score["calibration"][fitted_on]
    table: dict[str, CalibratorScores] = {}
    for kind in (None, *evidence.fits[side]):
        rated: dict[str, Any] = evidence.rated(evidence.confidence(side, "test", kind), "test", SHOWN, scored)
        scores = CalibratorScores(**rated)
        if len(np.unique(groups)) >= FOLDS:
            seed = evidence.config.seed
            confidence = expit(logit) if kind is None else cross_fitted(kind, logit, correct, groups, seed=seed)  # type: ignore[arg-type]
            scores = scores.model_copy(update={"cross_fitted": brier(confidence, correct)})
        table[kind or "none"] = scores
    return table
