"""When may an answer be given? Thresholds on a confidence that keep the error rate down, with a guarantee.

An answer is right if its correctness is at least 0.5 (a set that is half complete), else it is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray
SHARE_AT_START = 0.2
"""Share of all answers that pass the first threshold tested (more if a perfect record needs more)."""
BET = 0.9
"""Fraction of the largest possible bet that is placed on each group (see `p_values`).
`python -m benchmarks thresholds` compares others."""
FEWEST = 20
"""Test answers without which a share of them says nothing about how often such answers are wrong."""


def unavoidable_abstention(accuracy: float, error_rate: float) -> float:
    """Share of questions that must be left unanswered to be wrong at most `error_rate` of the time, even if every
    confidence told right from wrong: with accuracy a, correct answers may carry a error_rate / (1 - error_rate) wrong
    ones, so a / (1 - error_rate) can be answered."""
    return max(0.0, 1.0 - accuracy / (1.0 - error_rate))


def find_threshold(
    score: Array | Sequence[float],
    correct: Array | Sequence[float],
    groups: Array | Sequence[Any] | None = None,
    error_rate: float = 0.1,
    sure: float = 0.9,
) -> float | None:
    """The lowest threshold t such that answers with score >= t are wrong at most `error_rate` of the time, with
    probability `sure` over draws of the groups of these n calibration answers; None if the answers support none.

    `score` [n] must not have been fitted on these answers: a raw confidence or log-odds, not a calibrated one. Answers
    of one group (labels [n]; each by itself where None) may be right or wrong together. New groups are taken to be no
    larger than these.
    Learn then test (Angelopoulos et al. 2021): the scores themselves are tested as thresholds from high to low, by
    `p_values`. Tests start at two places, with half of 1 - `sure` each, so that a few errors at the very top do not end
    the search; a chain of passed tests that reaches the second start brings its half along (fallback procedure, Wiens
    and Dmitrienko 2005). The starts depend on scores alone. Valid for new questions of the same kind only.

    Raises ValueError unless `score`, `correct` and `groups` are of one length, scores are no NaN, `correct` is in
    [0, 1], and `error_rate` and `sure` lie between 0 and 1.
    """
    score, correct = np.asarray(score, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    groups = np.arange(len(score)) if groups is None else np.asarray(groups)
    for name, share in (("error_rate", error_rate), ("sure", sure)):
        if not 0 < share < 1:
            raise ValueError(f"{name} is {share}; it must be between 0 and 1")
    if score.ndim != 1 or not score.shape == correct.shape == groups.shape:
        raise ValueError(f"score {score.shape}, correct {correct.shape}, groups {groups.shape}: must be of one length")
    if np.isnan(score).any():
        raise ValueError(f"score[{int(np.isnan(score).argmax())}] is NaN")
    if (bad := ~((correct >= 0) & (correct <= 1))).any():
        raise ValueError(f"correct[{int(bad.argmax())}] is {correct[bad][0]}, outside [0, 1]")
    values, answered, _ = threshold_counts(score, correct)
    _, sizes = np.unique(groups, return_counts=True)
    least = perfect_record(int(sizes.max(initial=1)), error_rate, (1 - sure) / 2)
    passed = last_passed(p_values(score, correct, groups, error_rate), starts(answered, least), 1 - sure)
    return None if passed is None else float(values[passed])


def p_values(score: Array, correct: Array, groups: Array, error_rate: float) -> Array:
    """By threshold, from high to low: p-value of "more than `error_rate` of the answers above it are wrong".

    Where every group is one answer it is the exact P(Bin(n_t, error_rate) <= errors_t). Else it is 1 / W_t, where W_t
    is the product over groups of 1 - bet x (errors - error_rate x answers of the group above t): what a bettor has who
    bets the same share on each group (Waudby-Smith and Ramdas 2024). Groups are independent, and under the hypothesis
    the expectation of each factor is at most 1, so P(W_t >= 1/p) <= p (Markov), however the answers of a group depend
    on each other.
    """
    _, answered, errors = threshold_counts(score, correct)
    _, labels, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if sizes.max(initial=1) == 1:
        from scipy.stats import binom  # slow to import

        return np.asarray(binom.cdf(errors, answered, error_rate))
    bet = _bet(int(sizes.max()), error_rate)
    excess, log_wealth = np.zeros(len(sizes)), 0.0
    by_answer = np.empty(len(score))
    for position, i in enumerate(np.argsort(-score, kind="stable")):
        group = labels[i]
        log_wealth -= np.log1p(-bet * excess[group])
        excess[group] += float(correct[i] < 0.5) - error_rate
        log_wealth += np.log1p(-bet * excess[group])
        by_answer[position] = log_wealth
    return np.exp(np.minimum(0.0, -by_answer[answered - 1]))


def perfect_record(largest: int, error_rate: float, level: float) -> float:
    """Number of answers without a single error that are needed to pass at `level`, if the largest group has `largest`
    answers."""
    gain = -np.log1p(-error_rate) if largest == 1 else np.log1p(_bet(largest, error_rate) * error_rate)
    return float(-np.log(level) / gain)


def _bet(largest: int, error_rate: float) -> float:
    """The stake per group, small enough that a group of only errors cannot lose all the wealth."""
    return BET / ((1 - error_rate) * largest)


def threshold_counts(score: Array, correct: Array) -> tuple[Array, Array, Array]:
    """The different scores from high to low, how many answers have at least each, and how many of these are wrong."""
    values, position = np.unique(-score, return_inverse=True)
    answered = np.cumsum(np.bincount(position, minlength=len(values)))
    errors = np.cumsum(np.bincount(position, weights=correct < 0.5, minlength=len(values)))
    return -values, answered, errors


def last_passed(p_values: Array, starts: Sequence[int], level: float) -> int | None:
    """The last of ordered hypotheses that is rejected at a family-wise `level`, shared by the `starts` equally.

    From each start tests go on until one fails; a chain that reaches a later start adds its part of the level to that
    one's (the fallback procedure of Wiens and Dmitrienko 2005).
    """
    added = np.bincount(starts, minlength=len(p_values)) * level / max(1, len(starts))
    last, at_hand = None, 0.0
    for position, (p, more) in enumerate(zip(p_values, added, strict=True)):
        at_hand += more
        if at_hand and p <= at_hand:
            last = position
        else:
            at_hand = 0.0
    return last


def starts(answered: Array, least: float) -> list[int]:
    """Where tests start, as positions in `answered` (how many answers each threshold lets through): at a fifth of the
    answers, though not before the `least` that a perfect record needs, and at twice that many; at the last where there
    are no more. None where there are no answers."""
    if not len(answered):
        return []
    wanted = (max(least, SHARE_AT_START * answered[-1]), 2 * least)
    return [int(np.searchsorted(answered, min(n, answered[-1]))) for n in wanted]


def answers_needed(
    coverage: Sequence[float], risk: Sequence[float], n: int, error_rate: float, sure: float = 0.9
) -> int | None:
    """About how many independent calibration answers `find_threshold` needs to find one at this error rate, five times
    out of six.

    `coverage` and `risk` are points of a risk-coverage curve of n other answers, whose errors stand for those to come;
    shares of fewer than `FEWEST` answers are left out. None if no other share is wrong less than `error_rate`, or a
    million answers would not do.
    """
    from scipy.stats import binom  # slow to import

    level, points = (1 - sure) / 2, [(c, r) for c, r in zip(coverage, risk, strict=True) if c * n >= FEWEST]
    least = float(np.log(level) / np.log1p(-error_rate))
    for count in np.unique(np.geomspace(max(1.0, least), 1e6, 300).round().astype(int)):
        answered = np.array([np.floor(c * count) for c, _ in points])
        # As many errors as are to be expected, and a standard deviation more.
        errors = np.array(
            [np.ceil(r * k + np.sqrt(k * r * (1 - r))) for (_, r), k in zip(points, answered, strict=True)]
        )
        if (binom.cdf(errors, answered, error_rate)[answered >= least] <= level).any():
            return int(count)
    return None


def answered_above(
    score: Array, correct: Array, groups: Array, threshold: float | None
) -> dict[str, float | int | None]:
    """What a threshold does on other answers: how many it lets through, and how often those are wrong, with the 95%
    Clopper-Pearson interval of n^2 / sum of squared group sizes answers: those of a group are right or wrong together
    at worst (Kish 1965). In groups of one size that is the number of groups."""
    from scipy.stats import beta  # slow to import

    answered = score >= threshold if threshold is not None else np.zeros(len(score), dtype=bool)
    n = int(answered.sum())
    if not n:
        return {"answered": 0, "coverage": 0.0, "error": None, "error_low": None, "error_high": None}
    _, sizes = np.unique(groups[answered], return_counts=True)
    independent = n**2 / float((sizes**2).sum())
    error = float((correct[answered] < 0.5).mean())
    wrong = error * independent
    return {
        "answered": n,
        "coverage": n / len(score),
        "error": error,
        "error_low": float(beta.ppf(0.025, wrong, independent - wrong + 1)) if wrong else 0.0,
        "error_high": float(beta.ppf(0.975, wrong + 1, independent - wrong)) if wrong < independent else 1.0,
    }
