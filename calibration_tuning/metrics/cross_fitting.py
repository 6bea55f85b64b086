"""Post-hoc calibrators of every confidence: fitted on the calibration split, scored on the others, saved as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from calibration_tuning.config.training import CalibratorName
from calibration_tuning.errors import UserError, first_problem
from calibration_tuning.metrics.calibrators import CALIBRATORS, AnyCalibrator, fit
from calibration_tuning.runs.files import read_json

Array = np.ndarray
FOLDS = 5
FILE = "calibrators.json"


def fit_defined(kind: CalibratorName, logit: Array, correct: Array) -> AnyCalibrator | None:
    """`fit` on the answers that have a score (are not NaN); None if there are fewer than two."""
    there = ~np.isnan(logit)
    return fit(kind, logit[there], correct[there]) if there.sum() >= 2 else None


def apply(calibrator: AnyCalibrator, logit: Array) -> Array:
    """Confidences [n], NaN where there is no score."""
    found = np.full(len(logit), np.nan)
    there = ~np.isnan(logit)
    found[there] = calibrator(logit[there])
    return found


def cross_fitted(
    kind: CalibratorName,
    logit: Array,
    correct: Array,
    groups: Array | Sequence[Any] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> Array:
    """Confidences [n], each by a calibrator fitted on the folds that the example is not in.

    For a set that has no other to fit on: nothing is scored by what it was fitted on. Examples of one group share a
    fold. Raises ValueError for fewer groups than folds.
    """
    _, labels = np.unique(np.arange(len(logit)) if groups is None else np.asarray(groups), return_inverse=True)
    count = int(labels.max(initial=-1)) + 1
    if count < folds:
        raise ValueError(f"{count} independent examples cannot be cut into {folds} folds")
    fold_of = np.random.default_rng(seed).permutation(count) % folds
    own = fold_of[labels]
    found = np.empty(len(logit))
    for fold in range(folds):
        left_out = own == fold
        found[left_out] = fit(kind, logit[~left_out], correct[~left_out])(logit[left_out])
    return found


def all_fits(logit: Array, correct: Array) -> dict[str, AnyCalibrator]:
    """A calibrator of every kind; empty where there are too few scores."""
    found = {kind: fit_defined(kind, logit, correct) for kind in CALIBRATORS}  # type: ignore[arg-type]
    return {kind: calibrator for kind, calibrator in found.items() if calibrator is not None}


def dump(fits: Mapping[str, Mapping[str, AnyCalibrator]]) -> dict[str, Any]:
    """JSON of calibrators by confidence and kind."""
    return {name: {kind: c.model_dump() for kind, c in own.items()} for name, own in fits.items()}


def load(path: Path) -> dict[str, dict[str, AnyCalibrator]]:
    """Calibrators by confidence (such as `query/after`) and kind. Raises `UserError` for a damaged file."""
    values = read_json(path, "calibration-tuning evaluate CONFIG")
    try:
        return TypeAdapter(dict[str, dict[str, AnyCalibrator]]).validate_python(values)
    except ValidationError as error:
        raise UserError(f"{path}{first_problem(error)}; evaluate again with --force") from None
