"""Scores of the stacked readout on sources it was not fitted on, and how far to trust hidden states by these scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from calibration_tuning.metrics.confidence import point_metrics
from calibration_tuning.readout.read_answers import ReadAnswers, fit_blends
from calibration_tuning.readout.stacked import QUERY, LeftOutScores, SourceScores, Trust, signals_of
from calibration_tuning.readout.states import fit_probe

Array = np.ndarray
FAMILIAR = (0.1, 0.25, 0.5, 1.0)
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Parts of a `Trust` that are tried."""
LEAST_SOURCES = 3
LEAST_ANSWERS = 10
"""Readings of a left-out source from which its scores say something; `metrics.calibration_error` asks for as many."""


@dataclass(frozen=True)
class HeldOut:
    """Log-odds of held-out answers by both blends."""

    correct: Array
    """[n]"""
    with_states: Array
    """Log-odds [n]."""
    stateless: Array
    familiar: Array

    def where(self, mask: Array) -> HeldOut:
        return HeldOut(self.correct[mask], self.with_states[mask], self.stateless[mask], self.familiar[mask])

    def brier(self, trust: Trust) -> float:
        confidence = expit(trust(self.with_states, self.stateless, self.familiar))
        return float(np.mean((confidence - self.correct) ** 2))


@dataclass(frozen=True)
class LeftOut(HeldOut):
    """A source's answers, judged by what was fitted on the other sources."""

    base_rate: float
    """Accuracy of the other sources' calibration answers."""


def leave_sources_out(train: ReadAnswers, calibration: ReadAnswers) -> dict[str, LeftOut]:
    """Each source's training and calibration answers, where the probe and both blends have seen the other sources
    alone.

    The query is left out of the blends: the adapter was tuned on the left-out source too. Empty for a single source.
    """
    sources = np.unique(train.sources)
    judged = {str(source): _left_out(train, calibration, source) for source in sources if len(sources) > 1}
    return {source: left_out for source, left_out in judged.items() if left_out is not None}


def _left_out(train: ReadAnswers, calibration: ReadAnswers, source: str) -> LeftOut | None:
    trained_on, fitted = train.where(train.sources != source), calibration.where(calibration.sources != source)
    probe = fit_probe(trained_on.read.states, trained_on.correct, trained_on.groups, fitted.read.states)
    if probe is None:
        return None
    signals = signals_of(fitted.read, probe)
    signals.pop(QUERY)
    with_states, stateless = fit_blends(signals, fitted.correct)
    parts = [part.where(part.sources == source) for part in (train, calibration)]
    first, second = (
        np.concatenate([blend(signals_of(part.read, probe)) for part in parts]) for blend in (with_states, stateless)
    )
    familiar = np.concatenate([probe.familiar(part.read.states) for part in parts])
    correct = np.concatenate([part.correct for part in parts])
    return LeftOut(correct, first, second, familiar, float(fitted.correct.mean()))


def chosen_trust(calibration: HeldOut, left_out: Mapping[str, HeldOut]) -> Trust:
    """Return the most cautious trust whose score is as good as the best.

    The score is the sum of two Brier scores: of the calibration split, cross-fitted, and the mean over the left-out
    sources, each counting the same. So half of the questions in use are taken to be like those of training. As good
    means within one standard error of the difference, over sources (the one-standard-error rule of Breiman et al.
    1984): few sources cannot tell small differences. Cautious means a low weight of unfamiliar states; of equally
    cautious ones the best is taken. Sources of fewer than ten readings have no vote. With fewer than three others it is
    the default, since two cannot tell what holds for an unseen one.
    """
    left_out = {name: part for name, part in left_out.items() if len(part.correct) >= LEAST_ANSWERS}
    if len(left_out) < LEAST_SOURCES:
        return Trust()
    tried = [Trust(familiar=familiar, weight=weight) for weight in WEIGHTS for familiar in FAMILIAR]
    by_source = np.array([[part.brier(trust) for part in left_out.values()] for trust in tried])
    scores = np.array([calibration.brier(trust) for trust in tried]) + by_source.mean(1)
    best = int(scores.argmin())
    error = (by_source - by_source[best]).std(1, ddof=1) / np.sqrt(len(left_out))
    as_good = np.flatnonzero(scores <= scores[best] + error)
    return tried[min(as_good, key=lambda i: (tried[i].weight, scores[i]))]


def source_scores(calibration: HeldOut, sources: Array, left_out: Mapping[str, LeftOut]) -> dict[str, SourceScores]:
    """Return each left-out source's scores, those of the readout with a trust that was chosen without the source.

    `sources` [n] are those of the calibration answers."""
    return {
        source: SourceScores(
            n=len(part.correct),
            accuracy=float(part.correct.mean()),
            familiar=float(part.familiar.mean()),
            confidences=_confidences(part, _trust_without(source, calibration, sources, left_out)),
        )
        for source, part in left_out.items()
    }


def _trust_without(source: str, calibration: HeldOut, sources: Array, left_out: Mapping[str, LeftOut]) -> Trust:
    other_sources = {name: part for name, part in left_out.items() if name != source}
    return chosen_trust(calibration.where(sources != source), other_sources)


def _confidences(part: LeftOut, trust: Trust) -> dict[str, LeftOutScores]:
    confidences = {
        "base rate": np.full(len(part.correct), part.base_rate),
        "likelihoods": expit(part.stateless),
        "likelihoods and states": expit(part.with_states),
        "readout": expit(trust(part.with_states, part.stateless, part.familiar)),
    }
    return {name: _scores(values, part.correct) for name, values in confidences.items()}


def _scores(confidence: Array, correct: Array) -> LeftOutScores:
    scores = point_metrics(confidence, correct, only=("brier", "auroc", "ece"))
    return LeftOutScores.model_validate(scores)
