"""A blend finds what signals are worth, and never counts a signal against itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from calibration_tuning.readout.blend import Blend, fit_blend


def drawn(n: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    draw = np.random.default_rng(seed)
    signals = {"strong": draw.normal(0, 3, n), "weak": draw.normal(0, 1, n), "noise": draw.normal(0, 5, n)}
    correct = (draw.random(n) < expit(0.8 * signals["strong"] + 0.5 * signals["weak"] - 1)).astype(float)
    return signals, correct


def test_the_weights_are_those_that_made_the_answers() -> None:
    signals, correct = drawn(20_000)
    blend = fit_blend(signals, list(signals), correct, ridge=0.0)
    assert blend.weights == pytest.approx([0.8, 0.5, 0.0], abs=0.05)
    assert blend.bias == pytest.approx(-1, abs=0.08)


def test_no_weight_is_negative() -> None:
    signals, correct = drawn(500)
    blend = fit_blend({"wrong": -signals["strong"], "weak": signals["weak"]}, ["wrong", "weak"], correct)
    assert blend.weights[0] == 0
    assert blend.weights[1] > 0


def test_a_missing_signal_counts_as_its_lowest() -> None:
    signals, correct = drawn(500)
    blend = fit_blend(signals, ["strong", "weak"], correct)
    low = {"strong": np.array([signals["strong"].min()]), "weak": np.zeros(1)}
    assert blend({"strong": np.array([np.nan]), "weak": np.zeros(1)}) == pytest.approx(blend(low))


@pytest.mark.parametrize("correct", [np.zeros(30), np.ones(30), np.r_[np.zeros(15), np.ones(15)]])
def test_one_sided_and_separable_answers_stay_finite(correct: np.ndarray) -> None:
    blend = fit_blend({"a": np.r_[-np.ones(15), np.ones(15)], "same": np.ones(30)}, ["a", "same"], correct)
    logit = blend({"a": np.array([-700.0, 700.0]), "same": np.ones(2)})
    assert np.isfinite(logit).all()


def test_it_survives_its_file() -> None:
    signals, correct = drawn(200)
    blend = fit_blend(signals, list(signals), correct)
    again = Blend.model_validate_json(blend.model_dump_json())
    assert np.array_equal(again(signals), blend(signals))
