"""Calibrators recover what they should, agree with other implementations, and end bounded where there is no optimum."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, get_args

import numpy as np
import pytest
from pydantic import Discriminator, TypeAdapter
from scipy.special import expit

from calibration_tuning.config.training import CalibratorName
from calibration_tuning.metrics.calibrators import (
    CALIBRATORS,
    AnyCalibrator,
    BetaCalibrator,
    Calibrator,
    HistogramCalibrator,
    fit,
    log_odds,
    slope_at_bound,
)

KINDS: tuple[Any, ...] = get_args(CalibratorName)


def data(scale: float, bias: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    logit = generator.normal(size=n) * 2
    return logit, (generator.random(n) < expit(scale * logit + bias)).astype(float)


def test_temperature_is_recovered() -> None:
    found = fit("temperature", *data(0.5, 0.0))
    assert isinstance(found, Calibrator)
    assert found.temperature == pytest.approx(2.0, rel=0.05)
    assert found.bias == 0.0


def test_platt_recovers_scale_and_bias() -> None:
    found = fit("platt", *data(0.5, -1.0))
    assert isinstance(found, Calibrator)
    assert (found.scale, found.bias) == (pytest.approx(0.5, rel=0.05), pytest.approx(-1.0, rel=0.05))


def test_platt_is_unpenalised_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    logit, correct = data(0.7, 0.4, 500)
    found = fit("platt", logit, correct)
    theirs = LogisticRegression(C=1e9).fit(logit[:, None], correct)
    assert (found.scale, found.bias) == (
        pytest.approx(theirs.coef_[0, 0], abs=1e-3),
        pytest.approx(theirs.intercept_[0], abs=1e-3),
    )


def test_beta_matches_betacal() -> None:
    """Trap: betacal takes probabilities, clipped by machine epsilon; a negative slope it sets to 0, as bounds do."""
    from betacal import BetaCalibration

    for scale, bias in ((0.5, -1.0), (2.0, 0.5)):
        logit, correct = data(scale, bias, 3000)
        found, theirs = fit("beta", logit, correct), BetaCalibration(parameters="abm").fit(expit(logit), correct)
        grid = np.linspace(-4, 4, 50)
        assert found(grid) == pytest.approx(theirs.predict(expit(grid)), abs=2e-3)


def test_beta_bends_both_ends_apart() -> None:
    # p^2 is right below, p above: a platt calibrator cannot say so.
    generator = np.random.default_rng(1)
    p = generator.random(30_000)
    correct = (generator.random(30_000) < p**2).astype(float)
    beta, platt = fit("beta", log_odds(p), correct), fit("platt", log_odds(p), correct)
    grid = np.array([0.05, 0.2, 0.5, 0.8, 0.95])
    assert beta(log_odds(grid)) == pytest.approx(grid**2, abs=0.02)
    assert np.abs(beta(log_odds(grid)) - grid**2).max() < np.abs(platt(log_odds(grid)) - grid**2).max()
    assert isinstance(beta, BetaCalibrator)


def test_isotonic_matches_scikit_learn_and_stays_monotone() -> None:
    from sklearn.isotonic import IsotonicRegression

    logit, correct = data(1.5, 0.0, 400)
    found = fit("isotonic", logit, correct)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(logit, correct)
    grid = np.linspace(-9, 9, 200)
    assert found(grid) == pytest.approx(theirs.predict(grid))
    assert (np.diff(found(grid)) >= 0).all()


def test_histogram_by_hand() -> None:
    # Twenty values in ten bins of two: each bin says the mean of its two.
    logit = np.arange(20.0)
    correct = np.array([0, 1] * 5 + [1, 1] * 5, dtype=float)
    found = fit("histogram", logit, correct)
    assert isinstance(found, HistogramCalibrator)
    assert found.confidences == [0.5] * 5 + [1.0] * 5
    assert found(np.array([-5.0, 1.0, 9.0, 10.0, 99.0])).tolist() == [0.5, 0.5, 0.5, 1.0, 1.0]


def test_histogram_of_tied_scores_leaves_no_bin_empty() -> None:
    found = fit("histogram", np.array([0.0] * 15 + [1.0] * 5), np.array([1.0] * 3 + [0.0] * 12 + [1.0] * 5))
    assert found(np.array([0.0, 1.0])).tolist() == [0.2, 1.0]


def test_no_calibrator_is_the_plain_probability() -> None:
    logit = np.array([-1000.0, -1.0, 0.0, 2.0, 1000.0])
    assert Calibrator()(logit) == pytest.approx(expit(logit))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "correct", [[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]
)
def test_data_without_an_optimum_ends_bounded(kind: Any, correct: list[float]) -> None:
    found = fit(kind, np.array([-2.0, -1.0, 1.0, 2.0]), np.array(correct))
    values = found(np.array([-900.0, -3.0, 0.0, 3.0, 900.0]))
    assert np.isfinite(values).all()
    assert ((values >= 0) & (values <= 1)).all()
    if isinstance(found, Calibrator):
        assert 0.001 <= found.scale * np.sqrt(2.5) <= 20 + 1e-9  # sqrt(2.5) is their spread
        assert abs(found.bias) <= 20


def long_answers(spread: float, accuracy: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods of long answers, which tell right from wrong (AUROC 0.74) and are all far below 0."""
    generator = np.random.default_rng(0)
    correct = (generator.random(1000) < accuracy).astype(float)
    return spread * (generator.normal(size=1000) + 0.9 * (correct - 0.5) - 4), correct


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0, 100.0])
def test_platt_fits_log_odds_of_any_size(spread: float) -> None:
    from sklearn.linear_model import LogisticRegression

    logit, correct = long_answers(spread)
    found = fit("platt", logit, correct)
    free = LogisticRegression(C=1e9).fit(logit[:, None] / spread, correct)
    assert isinstance(found, Calibrator)
    assert found(logit) == pytest.approx(free.predict_proba(logit[:, None] / spread)[:, 1], abs=1e-3)
    assert not slope_at_bound(found, logit)


def test_a_slope_is_at_its_bound_where_the_data_want_none() -> None:
    logit, correct = long_answers(2.0, accuracy=0.7)
    # A temperature cannot lift log-odds below 0 to an accuracy of 70%: the flattest one, 0.5 for all, is the best.
    for kind, at_bound, reached in (("temperature", True, 0.5), ("platt", False, correct.mean())):
        found = fit(kind, logit, correct)
        assert slope_at_bound(found, logit) == at_bound
        assert found(logit).mean() == pytest.approx(reached, abs=0.01)
    for kind in ("temperature", "platt"):
        assert slope_at_bound(fit(kind, logit - logit.mean(), 1 - correct), logit - logit.mean())
    assert not slope_at_bound(fit("beta", logit, correct), logit)


@pytest.mark.parametrize("kind", KINDS)
def test_one_example_and_none(kind: Any) -> None:
    assert fit(kind, np.array([0.3]), np.array([1.0]))(np.array([0.3]))[0] > 0.5
    with pytest.raises(ValueError, match="no examples"):
        fit(kind, np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_is_the_same(kind: Any) -> None:
    found = fit(kind, *data(0.8, 0.2, 300))
    again = TypeAdapter(Annotated[AnyCalibrator, Discriminator("kind")]).validate_python(dataclasses.asdict(found))
    grid = np.linspace(-6, 6, 99)
    assert (again(grid) == found(grid)).all()
    assert type(again) is type(found)
    assert found.kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_fractions_are_soft_labels(kind: Any) -> None:
    logit = np.repeat(np.linspace(-2, 2, 20), 10)
    found = fit(kind, logit, expit(logit))
    assert found(np.array([-1.5, 0.0, 1.5])) == pytest.approx(expit(np.array([-1.5, 0.0, 1.5])), abs=0.08)


def test_log_odds_clips_and_passes_nan() -> None:
    assert log_odds(np.array([0.5, 0.0, 1.0]))[0] == 0.0
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
    assert np.isnan(log_odds(np.array([np.nan]))).all()


def test_every_kind_is_registered() -> None:
    assert {*CALIBRATORS} == {*KINDS}


@pytest.mark.parametrize("kind", CALIBRATORS)
def test_nothing_is_fitted_on_nan(kind: Any) -> None:
    with pytest.raises(ValueError, match="cannot be fitted on NaN"):
        fit(kind, np.array([0.3, np.nan, 1.0]), np.array([0, 1, 1]))
