"""When may an answer be given? Thresholds on a confidence that keep the error rate down, with a guarantee.

An answer is right if its correctness is at least 0.5 (a set that is half complete), else it is an error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray
SHARE_AT_START = 0.2
"""Of all answers: what the first threshold that is tested lets through."""


def unavoidable_abstention(accuracy: float, error_rate: float) -> float:
    """Share of questions that must be left unanswered to be wrong at most `error_rate` of the time, even if every
    confidence told right from wrong: with accuracy a, correct answers may carry a error_rate / (1 - error_rate) wrong
    ones, so a / (1 - error_rate) can be answered."""
    return max(0.0, 1.0 - accuracy / (1.0 - error_rate))


def independent_answers(groups: Array, seed: int) -> Array:
    """Positions [k] of answers that are independent, and each as likely to be any answer as any other.

    Answers of one group (labels [n]) are no independent evidence, so one is drawn of each. That alone would make it an
    answer of a random group, and answers of small groups too frequent: a group is therefore kept with probability
    size / largest size. Groups of equal size all stay.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(groups))
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    kept = generator.random(len(sizes)) * sizes.max(initial=0) < sizes
    return np.sort(order[first[kept]])


def find_threshold(score: Array, correct: Array, error_rate: float, sure: float = 0.9) -> float | None:
    """The lowest threshold t such that answers with score >= t are wrong at most `error_rate` of the time, with
    probability `sure` over draws of these n independent calibration answers; None if the answers support none.

    `score` [n] must not have been fitted on these answers: a raw confidence or log-odds, not a calibrated one.
    Learn then test (Angelopoulos et al. 2021): the scores themselves are tested as thresholds from high to low, each
    with the exact binomial p-value P(Bin(n_t, error_rate) <= errors_t). Tests start at two places, with half of
    1 - `sure` each, so that a few errors at the very top do not end the search; a chain of passed tests that reaches
    the second start brings its half along (fallback procedure, Wiens and Dmitrienko 2005). The starts depend on scores
    alone. Valid for new questions of the same kind only.
    """
    from scipy.stats import binom  # slow to import

    values, answered, errors = records(score, correct)
    p_values = binom.cdf(errors, answered, error_rate)
    passed = last_passed(p_values, starts(answered, error_rate, (1 - sure) / 2), 1 - sure)
    return None if passed is None else float(values[passed])


def records(score: Array, correct: Array) -> tuple[Array, Array, Array]:
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


def starts(answered: Array, error_rate: float, level: float) -> list[int]:
    """Where tests start, as positions in `answered` (how many answers each threshold lets through): at a fifth of the
    answers, though no fewer than a perfect record needs to pass at this level, and at twice that many; at the last
    where there are no more. None where there are no answers."""
    if not len(answered):
        return []
    least = np.log(level) / np.log1p(-error_rate)
    wanted = (max(least, SHARE_AT_START * answered[-1]), 2 * least)
    return [int(np.searchsorted(answered, min(n, answered[-1]))) for n in wanted]


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
