"""The best of the other confidences, and of those without tuning; chosen without the test split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration_tuning.metrics.cross_fitting import FOLDS, cross_fitted
from calibration_tuning.metrics.scoring_rules import brier
from evaluation.evidence import Evidence, Side


def best_other(evidence: Evidence) -> Side | None:
    """The confidence besides the checkpoint's readout with the lowest Brier score within the calibration split, under
    its kind of calibrator (`Evidence.kind_of`), cross-fitted; None where no other is there for every answer, or there
    are too few groups to fold.

    A probe is left out: its scores on that split are of other fits than those on the test split.
    """
    scores = _candidates(evidence, [side for side in evidence.scores if side[0] not in (evidence.readout[0], "probe")])
    return min(scores, key=lambda side: scores[side]) if scores else None


def untuned_candidates(evidence: Evidence) -> dict[Side, float]:
    """The Brier scores by which `best_other` chooses, of every confidence of the untuned model that is there for every
    answer, the query and the probe included; empty where there are too few groups to fold.

    A probe's scores on the calibration split are of folds that have not seen the answer, so they may choose it. If
    nothing was trained, the untuned readout is the checkpoint's confidence itself and is left out.
    """
    itself = evidence.readout[0] if evidence.record.method == "none" else None
    return _candidates(evidence, [side for side in evidence.scores if side[1] == "before" and side[0] != itself])


def incomplete(evidence: Evidence) -> dict[Side, int]:
    """The confidences that nothing is chosen from, because some calibration or test answers have none, with the number
    of these answers."""
    lacking = {
        side: sum(int(np.isnan(scores[split]).sum()) for split in ("calibration", "test"))
        for side, scores in evidence.scores.items()
    }
    return {side: n for side, n in lacking.items() if n}


def _candidates(evidence: Evidence, sides: Sequence[Side]) -> dict[Side, float]:
    left_out = incomplete(evidence)
    scores = {side: cross_fitted_brier(evidence, side) for side in sides if side not in left_out}
    return {side: score for side, score in scores.items() if score is not None}


def cross_fitted_brier(evidence: Evidence, side: Side) -> float | None:
    """Brier score on the calibration answers that have this confidence, by calibrators of the other folds."""
    score = evidence.scores[side]["calibration"]
    there = ~np.isnan(score)
    correct, groups = evidence.correct("calibration")[there], evidence.groups("calibration")[there]
    if len(np.unique(groups)) < FOLDS:
        return None
    return brier(
        cross_fitted(evidence.kind_of(side), score[there], correct, groups, seed=evidence.config.seed), correct
    )
