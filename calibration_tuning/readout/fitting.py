"""Fitting the stacked readout: the probe on the training answers, the blends on the calibration split.

No part is fitted on answers that another part was fitted on, so nothing looks better than it is: the training answers'
states are those of the untuned model, which has not seen them, and the tuned query's log-odds are of calibration
answers, which tuning has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from calibration_tuning.config.training import CalibratorName
from calibration_tuning.metrics.calibrators import fit
from calibration_tuning.metrics.cross_fitting import FOLDS
from calibration_tuning.readout.blend import Blend, Signals, fit_blend
from calibration_tuning.readout.likelihood import LIKELIHOODS
from calibration_tuning.readout.stacked import (
    QUERY,
    STATES,
    Read,
    SourceScores,
    StackedReadout,
    StackedRecord,
    mix,
    signals_of,
)
from calibration_tuning.readout.states import fit_probe

Array = np.ndarray
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the states' blend for unfamiliar answers that are tried on left-out sources."""
LEAST_SOURCES = 3
CLEARLY = 1.0
"""Standard errors over sources by which a weight must beat a smaller one to be chosen instead of it."""


@dataclass(frozen=True)
class ReadAnswers:
    """Answers of one split with their grades: `correct` [n] in [0, 1], `groups` [n] and `sources` [n]."""

    read: Read
    correct: Array
    groups: Array
    sources: Array

    def where(self, mask: Array) -> ReadAnswers:
        picked = np.flatnonzero(mask).tolist()
        read = Read(self.read.query[picked], [self.read.token_logprobs[i] for i in picked], self.read.states[picked])
        return ReadAnswers(read, self.correct[picked], self.groups[picked], self.sources[picked])


def fit_readout(
    train: ReadAnswers,
    calibration: ReadAnswers,
    untuned_query: Array,
    layers: tuple[int, ...],
    calibrator: CalibratorName,
) -> StackedReadout:
    """The stacked readout. `train.read.query` is not looked at: tuning has seen those answers.

    `untuned_query` [n] are the log-odds of the calibration answers by the query before tuning.
    """
    probe = fit_probe(train.read.states, train.correct, train.groups, calibration.read.states)
    all_signals = signals_of(calibration.read, probe)
    home, abroad = fit_blends(all_signals, calibration.correct)
    untuned = fit_blends(all_signals | {QUERY: untuned_query}, calibration.correct)
    signals, correct = signals_of(calibration.read, None), calibration.correct
    without_query, without_states = list(LIKELIHOODS), [QUERY, *LIKELIHOODS]
    alone, stateless = (cross_fitted_blend(signals, names, calibration) for names in (without_query, without_states))
    left_out = leave_sources_out(train, calibration) if probe is not None else {}
    record = StackedRecord(
        layers=layers,
        home=home,
        abroad=abroad,
        untuned=untuned,
        abroad_weight=chosen_weight(left_out),
        abroad_calibrator=fit(calibrator, stateless, correct),
        likelihood=fit_blend(signals, without_query, correct),
        likelihood_calibrator=fit(calibrator, alone, correct),
        n_probe=0 if probe is None else len(train.correct),
        left_out=left_out,
    )
    return StackedReadout(record, probe)


def fit_blends(signals: Signals, correct: Array) -> tuple[Blend, Blend]:
    """Blends of all signals, and of those without the states."""
    names = [name for name in signals if name != STATES]
    abroad = fit_blend(signals, names, correct)
    return (fit_blend(signals, [*names, STATES], correct) if STATES in signals else abroad), abroad


def cross_fitted(readout: StackedReadout, calibration: ReadAnswers, seed: int = 0) -> Array:
    """Log-odds [n] of the calibration split, each by blends fitted on folds that the answer's group is not in."""
    signals = signals_of(calibration.read, readout.probe)
    familiar, weight = readout.familiar(calibration.read), readout.record.abroad_weight
    logit = np.empty(len(calibration.correct))
    for out in _folds(calibration.groups, seed):
        home, abroad = fit_blends(_where(signals, ~out), calibration.correct[~out])
        part = _where(signals, out)
        logit[out] = mix(home(part), abroad(part), familiar[out], weight)
    return logit


def cross_fitted_blend(signals: Signals, names: list[str], calibration: ReadAnswers, seed: int = 0) -> Array:
    """As `cross_fitted`, of one blend."""
    logit = np.empty(len(calibration.correct))
    for out in _folds(calibration.groups, seed):
        logit[out] = fit_blend(_where(signals, ~out), names, calibration.correct[~out])(_where(signals, out))
    return logit


def _folds(groups: Array, seed: int) -> list[Array]:
    """Masks [n] of the folds; all answers at once where there are too few groups to cut."""
    _, labels = np.unique(groups, return_inverse=True)
    count = int(labels.max(initial=-1)) + 1
    if count < FOLDS:
        return [np.ones(len(groups), bool)]
    fold_of = (np.random.default_rng(seed).permutation(count) % FOLDS)[labels]
    return [fold_of == fold for fold in range(FOLDS)]


def _where(signals: Signals, mask: Array) -> dict[str, Array]:
    return {name: values[mask] for name, values in signals.items()}


def leave_sources_out(train: ReadAnswers, calibration: ReadAnswers) -> dict[str, SourceScores]:
    """Brier score of each source's answers where the probe and both blends have seen the other sources alone.

    The query is left out of the blends: the adapter was tuned on the left-out source too. Empty for a single source.
    """
    scores = {}
    sources = np.unique(train.sources)
    for source in sources if len(sources) > 1 else ():
        seen, fitted = train.where(train.sources != source), calibration.where(calibration.sources != source)
        parts = [part.where(part.sources == source) for part in (train, calibration)]
        probe = fit_probe(seen.read.states, seen.correct, seen.groups, fitted.read.states)
        if probe is None:
            continue
        signals = signals_of(fitted.read, probe)
        signals.pop(QUERY)
        home, abroad = fit_blends(signals, fitted.correct)
        correct = np.concatenate([part.correct for part in parts])
        first, second = (np.concatenate([blend(signals_of(p.read, probe)) for p in parts]) for blend in (home, abroad))
        familiar = np.concatenate([probe.familiar(part.read.states) for part in parts])
        brier = {f"{w:g}": float(np.mean((expit(mix(first, second, familiar, w)) - correct) ** 2)) for w in WEIGHTS}
        scores[str(source)] = SourceScores(
            n=len(correct), accuracy=float(correct.mean()), familiar=float(familiar.mean()), brier=brier
        )
    return scores


def chosen_weight(left_out: Mapping[str, SourceScores]) -> float:
    """The least weight of the states' blend that no other weight beats by more than a standard error over sources.

    0 with fewer than three sources: what holds for unseen questions cannot be told from two.
    """
    if len(left_out) < LEAST_SOURCES:
        return 0.0
    table = np.array([[source.brier[f"{w:g}"] for w in WEIGHTS] for source in left_out.values()])
    worse = table - table[:, [int(table.mean(0).argmin())]]
    error = worse.std(0, ddof=1) / np.sqrt(len(table))
    return next(w for w, mean, bound in zip(WEIGHTS, worse.mean(0), CLEARLY * error, strict=True) if mean <= bound)
