"""Will it hold on other questions? Each source is judged by confidences that were calibrated on the other sources."""

from __future__ import annotations

import numpy as np

from calibration_tuning.metrics.bootstrap import FEWEST
from calibration_tuning.metrics.calibrators import fit
from calibration_tuning.metrics.cross_fitting import apply
from evaluation.estimators import ESTIMATORS
from evaluation.evidence import Evidence, Side
from evaluation.schema import LeftOutSource, Numbers

SHOWN = ("brier", "auroc", "ece")
LEARNT = {name for name, estimator in ESTIMATORS.items() if estimator.family in ("stacked", "hidden state")} | {
    "likelihood_blend"
}
"""What has more to fit than a calibrator, and was fitted on the left-out source too. `readout.left_out` has the scores
of readout and likelihoods without it, from training."""


def left_out_sources(evidence: Evidence) -> dict[str, LeftOutSource] | None:
    """The test answers of each source by every confidence of the untuned model. None for a single source.

    Calibrators are fitted on the calibration answers of the other sources. Tuned confidences are not rated: the adapter
    was tuned on the left-out source too.
    """
    sources, calibration = (np.array([row.source for row in evidence.splits[name]]) for name in ("test", "calibration"))
    if len(set(sources)) < 2:
        return None
    untuned = [side for side in evidence.scores if side[1] == "before" and side[0] not in LEARNT]
    table = {}
    for source in sorted(set(sources)):
        rows, fitted_on = sources == source, calibration != source
        rated = {side[0]: _rated(evidence, side, rows, fitted_on) for side in untuned}
        table[str(source)] = LeftOutSource(
            n=int(rows.sum()),
            accuracy=float(evidence.correct("test")[rows].mean()),
            confidences={name: numbers for name, numbers in rated.items() if numbers is not None},
        )
    return table


def _rated(evidence: Evidence, side: Side, rows: np.ndarray, fitted_on: np.ndarray) -> Numbers | None:
    """None where too few answers have the confidence."""
    scores = evidence.scores[side]
    scored, known = rows & ~np.isnan(scores["test"]), fitted_on & ~np.isnan(scores["calibration"])
    if min(len(np.unique(evidence.groups("test")[scored])), known.sum()) < FEWEST:
        return None
    calibrator = fit(evidence.kind_of(side), scores["calibration"][known], evidence.correct("calibration")[known])
    confidence = np.full(len(rows), np.nan)
    confidence[scored] = apply(calibrator, scores["test"][scored])
    return evidence.rated(confidence, "test", SHOWN, scored)
