"""Confidence estimators turn the findings of the passes into a number that says how sure the model is.

To add an estimator, write a function, a line in `ESTIMATORS`, and its name in
`calibration_tuning/config/evaluation.py`.

Estimators return log-odds, [n] with NaN where an answer has none, so that nothing is lost near 0 and 1; a confidence is
their sigmoid. Some are not probabilities by themselves: a sequence's likelihood falls with its length. So the report
gives each confidence also after a post-hoc calibrator fitted on the calibration split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration_tuning.config.evaluation import EstimatorName
from calibration_tuning.grading.choice_parsing import choice_index
from calibration_tuning.metrics.calibrators import log_odds
from calibration_tuning.readout.likelihood import LIKELIHOODS, among_choices, of_logprob
from calibration_tuning.records import GradedAnswer
from evaluation.agreement import agreement, cocoa, semantic_entropy
from evaluation.density import density
from evaluation.findings import Findings
from evaluation.passes.base import BOTH, Finding, State
from evaluation.passes.verbalised import read_percent, read_words
from evaluation.probing import p_ik, probe
from evaluation.stacking import likelihood_blend, stacked

Array = np.ndarray
Splits = Mapping[str, Sequence[GradedAnswer]]
Scores = dict[str, Array]
"""By split: log-odds [n], NaN where an answer has none."""
EMPTY = -np.inf
"""Log-odds by the tokens of an empty answer, which has none."""
Family = Literal["stacked", "expressed", "token probability", "hidden state", "sampling"]


@dataclass(frozen=True)
class Estimator:
    label: str
    family: Family
    passes: tuple[str, ...]
    scores: Callable[[Splits, Findings, State], Scores]
    states: tuple[State, ...] = BOTH


def each(
    name: str, read: Callable[[GradedAnswer, Finding], float | None]
) -> Callable[[Splits, Findings, State], Scores]:
    """Scores from a function of an answer and the finding of the pass `name` about it. The function returns log-odds,
    None for no score, or `EMPTY` for an empty answer."""

    def scores(splits: Splits, findings: Findings, state: State) -> Scores:
        def score(row: GradedAnswer) -> float:
            finding = findings.of(name, state, row)
            value = None if finding is None else read(row, finding)
            return np.nan if value is None else value

        return _each_row(splits, score)

    return scores


def _each_row(splits: Splits, score: Callable[[GradedAnswer], float]) -> Scores:
    """Scores of all rows. `EMPTY` becomes the lowest score of the calibration split, as in a blend."""
    scores = {split: np.array([score(row) for row in rows], dtype=np.float64) for split, rows in splits.items()}
    known = scores.get("calibration", np.zeros(0))
    least = np.min(known[np.isfinite(known)], initial=0.0)
    return {split: np.where(split_scores == EMPTY, least, split_scores) for split, split_scores in scores.items()}


def of_probability(p: float | None) -> float | None:
    return None if p is None else float(log_odds(np.array(p)))


def _of_logprobs(name: str) -> Callable[[GradedAnswer, Finding], float | None]:
    """A likelihood of `LIKELIHOODS`."""

    def read(row: GradedAnswer, finding: Finding) -> float | None:
        return LIKELIHOODS[name](finding["answer_logprobs"]) if finding["answer_logprobs"] else EMPTY

    return read


def _entropy(row: GradedAnswer, finding: Finding) -> float | None:
    """log-odds of exp(-H), H being the mean entropy over the answer's tokens."""
    entropies = finding["answer_entropies"]
    return of_logprob(-float(np.mean(entropies))) if entropies else EMPTY


def _cocoa(splits: Splits, findings: Findings, state: State) -> Scores:
    def score(row: GradedAnswer) -> float:
        drawn, read = findings.of("samples", state, row), findings.of("tokens", state, row)
        if drawn is None or read is None or not drawn["samples"]:
            return np.nan
        value = cocoa(row, drawn["samples"], read["answer_logprobs"])
        # Where all samples agree the score is 1, which has as much log-odds as an agreement of 1 by itself.
        return EMPTY if value is None else min(of_logprob(value), float(log_odds(np.ones(1))[0]))

    return _each_row(splits, score)


def _choice(row: GradedAnswer, finding: Finding) -> float | None:
    """log-odds of the chosen answer among the choices, by their likelihoods; of the likeliest if none was chosen."""
    logprobs = finding["choice_logprobs"]
    chosen = choice_index(row.answer, row.choices or [], lettered=row.style == "choice")
    best = int(np.argmax(logprobs)) if chosen is None else chosen
    return among_choices(logprobs, best)


ESTIMATORS: dict[EstimatorName, Estimator] = {
    "stacked": Estimator("stacked readout", "stacked", ("query", "reading", "reading_as_loaded"), stacked),
    "likelihood_blend": Estimator(
        "likelihoods, blended",
        "token probability",
        ("query", "reading", "reading_as_loaded"),
        likelihood_blend,
        states=("before",),
    ),
    "query": Estimator("uncertainty query", "expressed", ("query",), each("query", lambda row, f: f["logit"])),
    "query_zero_shot": Estimator(
        "uncertainty query, zero-shot",
        "expressed",
        ("query_zero_shot",),
        each("query_zero_shot", lambda row, f: f["logit"]),
    ),
    "probe": Estimator("linear probe at the query", "hidden state", ("query",), probe),
    "p_ik": Estimator("P(IK), from the question", "hidden state", ("question_states",), p_ik, states=("before",)),
    "density": Estimator("density of the states", "hidden state", ("answer_states",), density, states=("before",)),
    "average_token_probability": Estimator(
        "average token probability",
        "token probability",
        ("tokens",),
        each("tokens", _of_logprobs("average_token_probability")),
    ),
    "sequence_likelihood": Estimator(
        "sequence likelihood", "token probability", ("tokens",), each("tokens", _of_logprobs("sequence_likelihood"))
    ),
    "length_normalised_likelihood": Estimator(
        "likelihood per token",
        "token probability",
        ("tokens",),
        each("tokens", _of_logprobs("length_normalised_likelihood")),
    ),
    "minimum_token_probability": Estimator(
        "least probable token",
        "token probability",
        ("tokens",),
        each("tokens", _of_logprobs("minimum_token_probability")),
    ),
    "token_entropy": Estimator("token entropy", "token probability", ("tokens",), each("tokens", _entropy)),
    "choice_probability": Estimator(
        "probability of the choice", "token probability", ("choices",), each("choices", _choice)
    ),
    "p_true": Estimator("P(True)", "expressed", ("p_true",), each("p_true", lambda row, f: f["logit"])),
    "verbalised_percent": Estimator(
        "verbalised, in percent",
        "expressed",
        ("verbalised_percent",),
        each("verbalised_percent", lambda row, f: of_probability(read_percent(f["reply"]))),
    ),
    "verbalised_words": Estimator(
        "verbalised, in words",
        "expressed",
        ("verbalised_words",),
        each("verbalised_words", lambda row, f: of_probability(read_words(f["reply"]))),
    ),
    "self_consistency": Estimator(
        "self-consistency",
        "sampling",
        ("samples",),
        each("samples", lambda row, f: of_probability(agreement(row, f["samples"]))),
        states=("before",),
    ),
    "semantic_entropy": Estimator(
        "semantic entropy",
        "sampling",
        ("samples",),
        each("samples", lambda row, f: of_probability(semantic_entropy(row, f["samples"]))),
        states=("before",),
    ),
    "cocoa": Estimator("CoCoA", "sampling", ("samples", "tokens"), _cocoa, states=("before",)),
}
