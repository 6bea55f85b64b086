"""Proper scores of a confidence: Brier with its parts, and the log score."""

from __future__ import annotations

import numpy as np

from calibration_tuning.metrics.calibration_error import bin_index

Array = np.ndarray
EPSILON = 1e-12


def brier(confidence: Array, correct: Array) -> float:
    """Mean squared difference (Brier 1950), in [0, 1]."""
    return float(np.mean((confidence - correct) ** 2))


def brier_skill(confidence: Array, correct: Array) -> float | None:
    """1 - Brier / that of always saying the mean correctness of these very answers: 0 is no better than the base rate,
    1 perfect. Comparable where accuracies differ, as Brier is not; None for one class only."""
    if np.ptp(correct) == 0:  # the variance may be 1e-33 then
        return None
    return 1 - brier(confidence, correct) / float(np.var(correct))


def brier_parts(confidence: Array, correct: Array, num_bins: int) -> tuple[float, float, float]:
    """(reliability, resolution, uncertainty) with brier = reliability - resolution + uncertainty (Murphy 1973).

    reliability = sum_m n_m/n (conf_m - acc_m)^2 over equal-width bins; uncertainty is the variance of `correct`.
    Resolution takes in what confidences tell apart within a bin (its within-bin terms: Stephenson, Coelho and
    Jolliffe 2008), so that the sum is exact; without spread within bins it is sum_m n_m/n (acc_m - acc)^2.
    """
    index = bin_index(confidence, num_bins)
    counts = np.bincount(index, minlength=num_bins)
    gaps = np.bincount(index, weights=confidence - correct, minlength=num_bins)
    filled = counts > 0
    reliability = float((gaps[filled] ** 2 / counts[filled]).sum() / len(confidence))
    uncertainty = float(np.var(correct))
    return reliability, reliability + uncertainty - brier(confidence, correct), uncertainty


def nll(confidence: Array, correct: Array) -> float:
    """Mean negative log-likelihood in nats; confidences are clipped to 1e-12 from 0 and 1 so that it stays finite."""
    p = np.clip(confidence, EPSILON, 1 - EPSILON)
    return float(-np.mean(correct * np.log(p) + (1 - correct) * np.log1p(-p)))
