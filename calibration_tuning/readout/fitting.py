"""Fitting the stacked readout: the probe on the training answers, the blends on the calibration split.

No part is fitted on answers that another part was fitted on, so nothing looks better than it is: the training answers'
states are those of the untuned model, which has not seen them, and the tuned query's log-odds are of calibration
answers, which tuning has not seen.
"""

from __future__ import annotations

import numpy as np

from calibration_tuning.config.training import CalibratorName
from calibration_tuning.metrics.calibrators import fit
from calibration_tuning.metrics.cross_fitting import FOLDS, grouped_folds
from calibration_tuning.readout.blend import Signals, fit_blend
from calibration_tuning.readout.left_out import HeldOut, chosen_trust, leave_sources_out, source_scores
from calibration_tuning.readout.read_answers import ReadAnswers, fit_blends
from calibration_tuning.readout.stacked import (
    QUERY,
    WITHOUT_QUERY,
    StackedReadout,
    StackedRecord,
    familiarity,
    signals_of,
)
from calibration_tuning.readout.states import StateProbe, fit_probe

Array = np.ndarray


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
    with_states, stateless = fit_blends(all_signals, calibration.correct)
    untuned = fit_blends(all_signals | {QUERY: untuned_query}, calibration.correct)
    signals, correct = signals_of(calibration.read, None), calibration.correct
    names = list(WITHOUT_QUERY)
    likelihood_logit = cross_fitted_blend(signals, names, calibration)
    stateless_logit = cross_fitted_blend(signals, [QUERY, *names], calibration)
    left_out = leave_sources_out(train, calibration) if probe is not None else {}
    cross_fitted_answers = _cross_fitted_blends(probe, all_signals, calibration)
    record = StackedRecord(
        layers=layers,
        with_states=with_states,
        stateless=stateless,
        untuned=untuned,
        trust=chosen_trust(cross_fitted_answers, left_out),
        stateless_calibrator=fit(calibrator, stateless_logit, correct),
        likelihood=fit_blend(signals, names, correct),
        likelihood_calibrator=fit(calibrator, likelihood_logit, correct),
        n_probe=0 if probe is None else len(train.correct),
        left_out=source_scores(cross_fitted_answers, calibration.sources, left_out),
    )
    return StackedReadout(record, probe)


def cross_fitted(readout: StackedReadout, calibration: ReadAnswers, seed: int = 0) -> Array:
    """Log-odds [n] of the calibration split, each by blends fitted on folds that the answer's group is not in."""
    held_out = _cross_fitted_blends(readout.probe, signals_of(calibration.read, readout.probe), calibration, seed)
    return readout.record.trust(held_out.with_states, held_out.stateless, held_out.familiar)


def _cross_fitted_blends(
    probe: StateProbe | None, signals: Signals, calibration: ReadAnswers, seed: int = 0
) -> HeldOut:
    n = len(calibration.correct)
    with_states, stateless = np.empty(n), np.empty(n)
    for out in _folds(calibration.groups, seed):
        blends = fit_blends(_where(signals, ~out), calibration.correct[~out])
        with_states[out], stateless[out] = (blend(_where(signals, out)) for blend in blends)
    return HeldOut(calibration.correct, with_states, stateless, familiarity(probe, calibration.read))


def cross_fitted_blend(signals: Signals, names: list[str], calibration: ReadAnswers, seed: int = 0) -> Array:
    """As `cross_fitted`, of one blend."""
    logit = np.empty(len(calibration.correct))
    for out in _folds(calibration.groups, seed):
        logit[out] = fit_blend(_where(signals, ~out), names, calibration.correct[~out])(_where(signals, out))
    return logit


def _folds(groups: Array, seed: int) -> list[Array]:
    """Masks [n] of the folds; all answers at once where there are too few groups to cut."""
    if len(np.unique(groups)) < FOLDS:
        return [np.ones(len(groups), bool)]
    fold_of = grouped_folds(groups, seed=seed)
    return [fold_of == fold for fold in range(FOLDS)]


def _where(signals: Signals, mask: Array) -> dict[str, Array]:
    return {name: values[mask] for name, values in signals.items()}
