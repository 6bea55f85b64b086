"""When may an answer be given? Thresholds on a confidence that keep the error rate down, with a guarantee.

An answer is right if its correctness is at least 0.5 (a set that is half complete), else it is an error.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import beta, binom

Array = np.ndarray


def unavoidable_abstention(accuracy: float, error_rate: float) -> float:
    """Share of questions that must be left unanswered to be wrong at most `error_rate` of the time, even if every
    confidence told right from wrong: with accuracy a, correct answers may carry a error_rate / (1 - error_rate) wrong
    ones, so a / (1 - error_rate) can be answered."""
    return max(0.0, 1.0 - accuracy / (1.0 - error_rate))


def one_of_each(groups: Array, seed: int) -> Array:
    """Positions [k] of one answer of every group, drawn by the seed: those of one group are no independent evidence."""
    order = np.random.default_rng(seed).permutation(len(groups))
    _, first = np.unique(groups[order], return_index=True)
    return np.sort(order[first])


def find_threshold(score: Array, correct: Array, error_rate: float, sure: float = 0.9) -> float | None:
    """The lowest threshold t such that answers with score >= t are wrong at most `error_rate` of the time, with
    probability `sure` over draws of these n independent calibration answers; None if the answers support none.

    `score` [n] must not have been fitted on these answers: a raw confidence or log-odds, not a calibrated one.
    Learn then test (Angelopoulos et al. 2021) with fixed-sequence testing: the scores themselves are tested as
    thresholds from the highest on, each with the exact binomial p-value P(Bin(n_t, error_rate) <= errors_t) against
    1 - sure, until the first fails. Thresholds that so few answers reach that even a perfect record would not pass are
    skipped; where the tests begin depends on scores alone. Valid for new questions of the same kind only.
    """
    values, position = np.unique(-score, return_inverse=True)  # the highest score first
    answered = np.cumsum(np.bincount(position, minlength=len(values)))
    errors = np.cumsum(np.bincount(position, weights=correct < 0.5, minlength=len(values)))
    threshold = None
    for value, n, wrong in zip(-values, answered, errors, strict=True):
        if (1 - error_rate) ** n > 1 - sure:
            continue
        if binom.cdf(wrong, n, error_rate) > 1 - sure:
            break
        threshold = float(value)
    return threshold


def answered_above(
    score: Array, correct: Array, groups: Array, threshold: float | None
) -> dict[str, float | int | None]:
    """What a threshold does on other answers: how many it lets through, and how often those are wrong, with the 95%
    Clopper-Pearson interval of as many answers as there are groups among them."""
    answered = score >= threshold if threshold is not None else np.zeros(len(score), dtype=bool)
    n, independent = int(answered.sum()), len(np.unique(groups[answered]))
    if not n:
        return {"answered": 0, "coverage": 0.0, "error": None, "error_low": None, "error_high": None}
    error = float((correct[answered] < 0.5).mean())
    wrong = error * independent
    return {
        "answered": n,
        "coverage": n / len(score),
        "error": error,
        "error_low": float(beta.ppf(0.025, wrong, independent - wrong + 1)) if wrong else 0.0,
        "error_high": float(beta.ppf(0.975, wrong + 1, independent - wrong)) if wrong < independent else 1.0,
    }
