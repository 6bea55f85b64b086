"""The likelihood of an answer as log-odds, from the log-probabilities of its tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from calibration_tuning.metrics.calibrators import log_odds

SURE = 40.0
"""Stands for the log-odds of a probability of 1, which are infinite."""


def of_logprob(logprob: float) -> float:
    """Log-odds of exp(logprob), exact also where exp(logprob) is 0 in floating point."""
    if logprob >= 0:
        return SURE
    return float(np.clip(logprob - np.log(-np.expm1(logprob)), -700.0, SURE))


def sequence_likelihood(logprobs: Sequence[float]) -> float:
    """Log-odds of the probability of the whole answer."""
    return of_logprob(sum(logprobs))


def average_token_probability(logprobs: Sequence[float]) -> float:
    """Log-odds of the mean of the tokens' probabilities (not of their logarithms)."""
    return float(log_odds(np.exp(np.asarray(logprobs)).mean()))


def minimum_token_probability(logprobs: Sequence[float]) -> float:
    """Log-odds of the least probable token."""
    return of_logprob(min(logprobs))


def length_normalised_likelihood(logprobs: Sequence[float]) -> float:
    """Log-odds of the geometric mean of the tokens' probabilities."""
    return of_logprob(sum(logprobs) / len(logprobs))


def among_choices(choice_logprobs: Sequence[float], index: int) -> float:
    """Log-odds of a choice among all choices offered, by the natural log-probabilities of their texts."""
    logprobs = np.asarray(choice_logprobs, dtype=np.float64)
    rivals = np.delete(logprobs, index)
    return float(np.clip(logprobs[index] - np.logaddexp.reduce(rivals), -700.0, SURE)) if len(rivals) else SURE


def chosen_log_odds(answer: str, choices: Sequence[str] | None, choice_logprobs: Sequence[float] | None) -> float:
    """`among_choices` for an answer that was chosen by likelihood; NaN for a written answer."""
    if not choice_logprobs or not choices or answer not in choices:
        return float("nan")
    return among_choices(choice_logprobs, list(choices).index(answer))


LIKELIHOODS: dict[str, Callable[[Sequence[float]], float]] = {
    "sequence_likelihood": sequence_likelihood,
    "average_token_probability": average_token_probability,
    "minimum_token_probability": minimum_token_probability,
    "length_normalised_likelihood": length_normalised_likelihood,
}


def likelihoods(
    token_logprobs: Sequence[Sequence[float]], names: Sequence[str], chosen: np.ndarray | None = None
) -> np.ndarray:
    """Log-odds [n, len(names)] of n answers with these natural log-probabilities; NaN for an empty answer.

    `chosen` [n] are the log-odds of answers among the choices they were chosen from, NaN for written ones. They stand
    in for every likelihood: that of a choice's text depends on its length, and cannot be compared with that of a
    written answer.
    """
    rows = [[LIKELIHOODS[name](row) if len(row) else np.nan for name in names] for row in token_logprobs]
    table = np.array(rows, dtype=np.float64).reshape(len(token_logprobs), len(names))
    return table if chosen is None else np.where(np.isnan(chosen)[:, None], table, chosen[:, None])
