"""How the stacked readout does on a source that it was not fitted on, and what weight that speaks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from calibration_tuning.metrics.confidence import point_metrics
from calibration_tuning.readout.read_answers import ReadAnswers, fit_blends
from calibration_tuning.readout.stacked import QUERY, LeftOutScores, SourceScores, mix, signals_of
from calibration_tuning.readout.states import fit_probe

Array = np.ndarray
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the states' blend for unfamiliar answers that are tried on left-out sources."""
LEAST_SOURCES = 3
CLEARLY = 1.0
"""Standard errors over sources by which a weight must beat a smaller one to be chosen instead of it."""


@dataclass(frozen=True)
class LeftOut:
    """A source's answers, judged by what was fitted on the other sources."""

    correct: Array
    """[n]"""
    base_rate: float
    """Accuracy of the other sources' calibration answers."""
    home: Array
    """Log-odds [n]."""
    abroad: Array
    familiar: Array


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
    return LeftOut(correct, float(fitted.correct.mean()), first, second, familiar)


def source_scores(left_out: Mapping[str, LeftOut]) -> tuple[dict[str, SourceScores], float]:
    """The scores of each left-out source, and the weight of `home` for unfamiliar answers that they speak for."""
    tried = {
        source: {f"{w:g}": _brier(mix(part.home, part.abroad, part.familiar, w), part.correct) for w in WEIGHTS}
        for source, part in left_out.items()
    }
    weight = chosen_weight(tried)
    scores = {
        source: SourceScores(
            n=len(part.correct),
            accuracy=float(part.correct.mean()),
            familiar=float(part.familiar.mean()),
            brier=tried[source],
            confidences=_confidences(part, weight),
        )
        for source, part in left_out.items()
    }
    return scores, weight


def _confidences(part: LeftOut, weight: float) -> dict[str, LeftOutScores]:
    confidences = {
        "base rate": np.full(len(part.correct), part.base_rate),
        "likelihoods": expit(part.abroad),
        "likelihoods and states": expit(part.home),
        "readout": expit(mix(part.home, part.abroad, part.familiar, weight)),
    }
    return {name: _scores(values, part.correct) for name, values in confidences.items()}


def _scores(confidence: Array, correct: Array) -> LeftOutScores:
    scores = point_metrics(confidence, correct, only=("brier", "auroc", "ece"))
    return LeftOutScores.model_validate(scores)


def _brier(logit: Array, correct: Array) -> float:
    return float(np.mean((expit(logit) - correct) ** 2))


def chosen_weight(tried: Mapping[str, Mapping[str, float]]) -> float:
    """The least weight of the states' blend that no other weight beats by more than a standard error over sources.

    `tried` are Brier scores by source and weight. 0 with fewer than three sources: what holds for unseen questions
    cannot be told from two.
    """
    if len(tried) < LEAST_SOURCES:
        return 0.0
    table = np.array([[brier[f"{w:g}"] for w in WEIGHTS] for brier in tried.values()])
    worse = table - table[:, [int(table.mean(0).argmin())]]
    error = worse.std(0, ddof=1) / np.sqrt(len(table))
    return next(w for w, mean, bound in zip(WEIGHTS, worse.mean(0), CLEARLY * error, strict=True) if mean <= bound)
