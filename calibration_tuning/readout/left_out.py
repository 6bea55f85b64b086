"""How the stacked readout does on a source that it was not fitted on, and how far states are to be trusted for that."""

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


@dataclass(frozen=True)
class Judged:
    """Answers, judged by blends that were not fitted on them."""

    correct: Array
    """[n]"""
    home: Array
    """Log-odds [n]."""
    abroad: Array
    familiar: Array

    def brier(self, trust: Trust) -> float:
        confidence = expit(trust(self.home, self.abroad, self.familiar))
        return float(np.mean((confidence - self.correct) ** 2))


@dataclass(frozen=True)
class LeftOut(Judged):
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
    seen, fitted = train.where(train.sources != source), calibration.where(calibration.sources != source)
    probe = fit_probe(seen.read.states, seen.correct, seen.groups, fitted.read.states)
    if probe is None:
        return None
    signals = signals_of(fitted.read, probe)
    signals.pop(QUERY)
    home, abroad = fit_blends(signals, fitted.correct)
    parts = [part.where(part.sources == source) for part in (train, calibration)]
    first, second = (
        np.concatenate([blend(signals_of(part.read, probe)) for part in parts]) for blend in (home, abroad)
    )
    familiar = np.concatenate([probe.familiar(part.read.states) for part in parts])
    correct = np.concatenate([part.correct for part in parts])
    return LeftOut(correct, first, second, familiar, float(fitted.correct.mean()))


def chosen_trust(at_home: Judged, left_out: Mapping[str, Judged]) -> Trust:
    """The trust with the lowest mean of two Brier scores: at home, and over left-out sources, each counting the same.

    Half of the questions in use are taken to be like those of training. With fewer than three sources it is the
    default: what holds for unseen questions cannot be told from two.
    """
    if len(left_out) < LEAST_SOURCES:
        return Trust()
    tried = [Trust(familiar=familiar, weight=weight) for familiar in FAMILIAR for weight in WEIGHTS]
    return min(
        tried, key=lambda trust: at_home.brier(trust) + np.mean([part.brier(trust) for part in left_out.values()])
    )


def source_scores(left_out: Mapping[str, LeftOut], trust: Trust) -> dict[str, SourceScores]:
    return {
        source: SourceScores(
            n=len(part.correct),
            accuracy=float(part.correct.mean()),
            familiar=float(part.familiar.mean()),
            confidences=_confidences(part, trust),
        )
        for source, part in left_out.items()
    }


def _confidences(part: LeftOut, trust: Trust) -> dict[str, LeftOutScores]:
    confidences = {
        "base rate": np.full(len(part.correct), part.base_rate),
        "likelihoods": expit(part.abroad),
        "likelihoods and states": expit(part.home),
        "readout": expit(trust(part.home, part.abroad, part.familiar)),
    }
    return {name: _scores(values, part.correct) for name, values in confidences.items()}


def _scores(confidence: Array, correct: Array) -> LeftOutScores:
    scores = point_metrics(confidence, correct, only=("brier", "auroc", "ece"))
    return LeftOutScores.model_validate(scores)
