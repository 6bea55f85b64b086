"""The best of the other confidences, and of those without tuning; chosen without the test split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration_tuning.metrics.cross_fitting import FOLDS, cross_fitted
from calibration_tuning.metrics.scoring_rules import brier
from evaluation.evidence import Evidence, Side


def best_other(evidence: Evidence) -> Side | None:
    """The confidence besides the checkpoint's readout with the lowest Brier score within the calibration split, under
    the run's kind of calibrator cross-fitted; None where no other is there for every answer, or there are too few
    groups to fold.

    A probe is left out: its scores on that split are of other fits than those on the test split.
    """
    return _best(evidence, [side for side in evidence.scores if side[0] not in (evidence.readout[0], "probe")])


def best_untuned(evidence: Evidence) -> Side | None:
    """As `best_other`, among every confidence of the untuned model, the query and the probe included.

    A probe's scores on the calibration split are of folds that have not seen the answer, so they may choose it.
    """
    return _best(evidence, untuned(evidence))


def untuned(evidence: Evidence) -> list[Side]:
    return [side for side in evidence.scores if side[1] == "before"]


def _best(evidence: Evidence, sides: Sequence[Side]) -> Side | None:
    whole = (
        side
        for side in sides
        if not any(np.isnan(evidence.scores[side][split]).any() for split in ("calibration", "test"))
    )
    scores = {side: cross_fitted_brier(evidence, side) for side in whole}
    defined = {side: score for side, score in scores.items() if score is not None}
    return min(defined, key=lambda side: defined[side]) if defined else None


def cross_fitted_brier(evidence: Evidence, side: Side) -> float | None:
    """Brier score on the calibration answers that have this confidence, by calibrators of the other folds."""
    score = evidence.scores[side]["calibration"]
    there = ~np.isnan(score)
    correct, groups = evidence.correct("calibration")[there], evidence.groups("calibration")[there]
    if len(np.unique(groups)) < FOLDS:
        return None
    return brier(cross_fitted(evidence.kind, score[there], correct, groups, seed=evidence.config.seed), correct)
