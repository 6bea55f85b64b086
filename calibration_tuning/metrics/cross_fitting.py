"""Calibrators where there is no other set to fit them on: each answer by a fit that has not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration_tuning.metrics.calibrators import CALIBRATORS, AnyCalibrator, fit, log_odds
from calibration_tuning.metrics.confidence import check, check_labels

if TYPE_CHECKING:
    from calibration_tuning.config.training import CalibratorName

Array = np.ndarray
FOLDS = 5


def calibrate(
    confidence: Array | Sequence[float],
    correct: Array | Sequence[float],
    kind: CalibratorName = "platt",
    groups: Array | Sequence[Any] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> Array:
    """Calibrated confidences [n] of answers with `confidence` [n] and correctness `correct` [n], both in [0, 1].

    `kind` is one of `CALIBRATORS`. Nothing is scored by what it was fitted on: see `cross_fitted`, which also says what
    `groups`, `folds` and `seed` are, and which errors are raised, besides ValueError for values outside [0, 1] and for
    NaN. To fit on one set and use it on another, call `fit`.
    """
    p, c = check(confidence, correct)
    return cross_fitted(kind, log_odds(p), c, groups, folds, seed)


def cross_fitted(
    kind: CalibratorName,
    logit: Array,
    correct: Array,
    groups: Array | Sequence[Any] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> Array:
    """Confidences [n], each by a calibrator fitted on the folds that the example is not in.

    `logit` [n] are log-odds, `correct` [n] is in [0, 1]. Examples of one group (labels [n]) share a fold; folds are
    drawn by `seed`. Raises ValueError for fewer groups than folds, and for groups of other examples.
    """
    check_labels("groups", groups, len(logit))
    fold_of = grouped_folds(np.arange(len(logit)) if groups is None else np.asarray(groups), folds, seed)
    confidence = np.empty(len(logit))
    for fold in range(folds):
        left_out = fold_of == fold
        confidence[left_out] = fit(kind, logit[~left_out], correct[~left_out])(logit[left_out])
    return confidence


def grouped_folds(groups: Array, folds: int = FOLDS, seed: int = 0) -> Array:
    """Return the fold [n], counted from 0, of each example; examples of one group (labels [n]) share a fold.

    Raises ValueError for fewer groups than folds.
    """
    _, labels = np.unique(groups, return_inverse=True)
    count = int(labels.max(initial=-1)) + 1
    if count < folds:
        raise ValueError(f"{count} independent examples cannot be cut into {folds} folds")
    return (np.random.default_rng(seed).permutation(count) % folds)[labels]


def fit_all(logit: Array, correct: Array) -> dict[str, AnyCalibrator]:
    """A calibrator of every kind, fitted on the answers that have a score (are not NaN); empty if there are fewer than
    two."""
    scored = ~np.isnan(logit)
    if scored.sum() < 2:
        return {}
    return {kind: fit(kind, logit[scored], correct[scored]) for kind in CALIBRATORS}  # type: ignore[arg-type]


def apply(calibrator: AnyCalibrator, logit: Array) -> Array:
    """Confidences [n] of log-odds [n], NaN where there is no score."""
    confidence = np.full(len(logit), np.nan)
    scored = ~np.isnan(logit)
    confidence[scored] = calibrator(logit[scored])
    return confidence
