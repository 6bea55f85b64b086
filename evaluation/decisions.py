"""When may an answer be given? Thresholds on a confidence that keep the error rate down, with a guarantee."""

from __future__ import annotations

import numpy as np
from scipy.stats import beta, binom

Array = np.ndarray
GRID = np.arange(100) / 100
"""Candidate thresholds, fixed before any data are seen."""


def unavoidable_abstention(accuracy: float, error_rate: float) -> float:
    """Share of questions that must be left unanswered to be wrong at most `error_rate` of the time, even if every
    confidence told right from wrong: with accuracy a, correct answers may carry a error_rate / (1 - error_rate) wrong
    ones, so a / (1 - error_rate) can be answered."""
    return max(0.0, 1.0 - accuracy / (1.0 - error_rate))


def find_threshold(confidence: Array, correct: Array, error_rate: float, sure: float = 0.9) -> float | None:
    """The lowest threshold t such that answers with confidence >= t are wrong at most `error_rate` of the time, with
    probability `sure` over draws of these n calibration answers; None if none can be vouched for.

    Learn then test (Angelopoulos et al. 2021) with fixed-sequence testing: thresholds are tested from the highest on,
    each with the exact binomial p-value P(Bin(n_t, error_rate) <= errors_t) against 1 - sure, until the first fails.
    Thresholds that so few answers reach that even a perfect record would not pass are skipped, which depends on
    confidences alone. `correct` is rounded to right or wrong. Valid for new questions of the same kind only.
    """
    wrong = correct < 0.5
    found = None
    for threshold in GRID[::-1]:
        answered = confidence >= threshold
        n = int(answered.sum())
        if n == 0 or (1 - error_rate) ** n > 1 - sure:
            continue
        if binom.cdf(int(wrong[answered].sum()), n, error_rate) > 1 - sure:
            break
        found = float(threshold)
    return found


def answered_above(confidence: Array, correct: Array, threshold: float | None) -> dict[str, float | int | None]:
    """What a threshold does on other answers: how many it lets through, and how often those are wrong (with the 95%
    Clopper-Pearson interval)."""
    answered = confidence >= threshold if threshold is not None else np.zeros(len(confidence), dtype=bool)
    n, wrong = int(answered.sum()), int((correct[answered] < 0.5).sum())
    low = float(beta.ppf(0.025, wrong, n - wrong + 1)) if wrong else 0.0
    high = float(beta.ppf(0.975, wrong + 1, n - wrong)) if wrong < n else 1.0
    return {
        "answered": n,
        "coverage": n / len(confidence),
        "error": wrong / n if n else None,
        "error_low": low if n else None,
        "error_high": high if n else None,
    }
