"""What a reliability diagram shows, with answers by themselves and in groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from calibration_tuning.metrics.bootstrap import wilson
from calibration_tuning.metrics.plots import prepare_reliability


def test_groups_of_one_are_no_groups() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.random(200)
    correct = (generator.random(200) < confidence).astype(float)
    plain, single = (prepare_reliability(confidence, correct, 10, groups) for groups in (None, np.arange(200)))
    for name, values in vars(plain).items():
        assert (getattr(single, name) == values).all()
    n, mean = plain.count[3], plain.confidence[3]
    assert (plain.low[3], plain.high[3]) == wilson(plain.accuracy[3], n)
    assert (plain.band_low[3], plain.band_high[3]) == tuple(binom.ppf((0.025, 0.975), n, mean) / n)


def test_a_bin_counts_as_independent_answers_by_hand() -> None:
    # Four answers of one group and two singles are 6^2 / (4^2 + 1 + 1) = 2 answers.
    found = prepare_reliability(np.full(6, 0.55), np.array([1.0, 1, 1, 1, 0, 0]), 10, np.array([*"aaaabc"]))
    assert (found.low[0], found.high[0]) == wilson(4 / 6, 2)


@pytest.mark.slow
def test_groups_that_are_alike_are_in_intervals_and_bands() -> None:
    """A hundred groups of five, each right or wrong as a whole, by confidences that are exactly right."""
    generator = np.random.default_rng(0)
    groups, outside, missed = np.repeat(np.arange(100), 5), [], []
    for _ in range(40):
        confidence = generator.uniform(0.05, 0.95, 100)[groups]
        correct = (generator.random(100)[groups] < confidence).astype(float)
        found = prepare_reliability(confidence, correct, 10, groups)
        outside += list((found.accuracy < found.band_low - 1e-9) | (found.accuracy > found.band_high + 1e-9))
        missed += list((found.confidence < found.low) | (found.confidence > found.high))
    # Of answers that are taken for independent, 0.34 are outside the band, and 0.37 of the intervals miss.
    assert np.mean(outside) < 0.08
    assert np.mean(missed) < 0.08
