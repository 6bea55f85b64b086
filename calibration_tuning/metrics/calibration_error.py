"""How far confidences are from how often they come true: ECE and its relatives, all in [0, 1].

Bins are [m/M, (m+1)/M), the last one closed, so confidence 1.0 belongs to it. A binned error of fewer examples than
bins is None: nearly every bin would hold one answer, and the error would be that of single coin flips.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from scipy.special import ndtr

Array = np.ndarray
FOLDED = 40.0
FEW_ANSWERS = 10
"""With fewer answers in a bin, its accuracy is hardly known, and intervals contain the truth too seldom."""


def bin_index(confidence: Array, num_bins: int) -> Array:
    """Bin of each probability: how many of the edges 1/M, ..., (M-1)/M are at or below it."""
    return np.searchsorted(np.arange(1, num_bins) / num_bins, confidence, side="right")


def sparse_bins(confidence: Array, num_bins: int) -> str | None:
    """A warning in words where bins, of those that are not empty, hold fewer than ten answers; else None."""
    counts = np.bincount(bin_index(confidence, num_bins), minlength=num_bins)
    sparse = counts[(counts > 0) & (counts < FEW_ANSWERS)]
    if not len(sparse):
        return None
    return (
        f"{len(sparse)} of {int((counts > 0).sum())} bins hold fewer than {FEW_ANSWERS} answers "
        f"({sparse.sum() / len(confidence):.0%} of all), so the interval may be too narrow"
    )


def ece(confidence: Array, correct: Array, num_bins: int = 10) -> float | None:
    """Expected calibration error: sum_m n_m/n |acc_m - conf_m| over equal-width bins (Guo et al. 2017).

    `confidence` [n] and `correct` [n] in [0, 1]. The result is in [0, 1]; None for fewer answers than bins.
    """
    if len(confidence) < num_bins:
        return None
    _, gaps, _ = _bins(confidence, correct, num_bins)
    return float(np.abs(gaps).sum() / len(confidence))


def mce(confidence: Array, correct: Array, num_bins: int = 10) -> float | None:
    """Maximum calibration error: the largest |acc_m - conf_m| (Naeini et al. 2015).

    `confidence` [n] and `correct` [n] in [0, 1]. The result is in [0, 1]; None for fewer answers than bins.
    """
    if len(confidence) < num_bins:
        return None
    counts, gaps, _ = _bins(confidence, correct, num_bins)
    return float((np.abs(gaps[counts > 0]) / counts[counts > 0]).max())


def debiased_ece(confidence: Array, correct: Array, num_bins: int = 10) -> float | None:
    """ECE less its bias: 2 ECE - E[ECE of resampled labels], after Kumar, Liang and Ma (2019).

    acc_m varies by s_m = sqrt(variance of `correct` in bin m / n_m), which is acc_m (1 - acc_m) / n_m for 0 and 1; the
    mean of |N(gap_m, s_m^2)| is that of a folded normal, which they simulate.

    `confidence` [n] and `correct` [n] in [0, 1]. The result is at most 1 and may be slightly negative if ECE is only
    noise; None for fewer answers than bins.
    """
    if len(confidence) < num_bins:
        return None
    counts, gaps, hits = _bins(confidence, correct, num_bins)
    squares = np.bincount(bin_index(confidence, num_bins), weights=correct**2, minlength=num_bins)
    filled = counts > 0
    n, gap = counts[filled], np.abs(gaps[filled]) / counts[filled]
    variance = squares[filled] / n - (hits[filled] / n) ** 2
    folded = mean_folded_normal(gap, np.sqrt(np.clip(variance, 0, None) / n))
    return float((n * (2 * gap - folded)).sum() / len(confidence))


def mean_folded_normal(mean: Array, spread: Array) -> Array:
    """Of |N(mean, spread^2)|, mean >= 0."""
    # Beyond z = 40 the folded normal is the normal, to the last digit; z itself may overflow where spread is next to 0.
    z = np.where(mean > FOLDED * spread, FOLDED, np.divide(mean, spread, out=np.zeros_like(mean), where=spread > 0))
    return spread * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2) + mean * (1 - 2 * ndtr(-z))


def ace(confidence: Array, correct: Array, num_bins: int = 10) -> float | None:
    """Adaptive calibration error: bins of equal mass (Nixon et al. 2019).

    `confidence` [n] and `correct` [n] in [0, 1]. The result is in [0, 1]; None for fewer answers than bins. Equal
    confidences may straddle a bin edge; sharing their gap evenly first makes the value independent of order.
    """
    if len(confidence) < num_bins:
        return None
    _, group = np.unique(confidence, return_inverse=True)
    shared = np.bincount(group, weights=correct) / np.bincount(group)
    order = np.argsort(confidence, kind="stable")
    gaps = (shared[group] - confidence)[order]
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, num_bins)) / len(confidence))


def smooth_ece(confidence: Array, correct: Array) -> float | None:
    """Smooth ECE, without bins: the error after kernel smoothing, at the bandwidth that equals it (Błasiok and Nakkiran
    2023), by the authors' relplot.

    `confidence` [n] and `correct` [n] in [0, 1]. The result is in [0, 1]; None if relplot is not installed.
    """
    if find_spec("relplot") is None:
        return None
    import relplot

    return float(relplot.smECE(confidence, correct))


def _bins(confidence: Array, correct: Array, num_bins: int) -> tuple[Array, Array, Array]:
    """Count, sum of (correct - confidence) and sum of correct of each bin, [M] each."""
    index = bin_index(confidence, num_bins)
    counts = np.bincount(index, minlength=num_bins)
    gaps = np.bincount(index, weights=correct - confidence, minlength=num_bins)
    return counts, gaps, np.bincount(index, weights=correct, minlength=num_bins)
