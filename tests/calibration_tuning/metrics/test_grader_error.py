"""The grader's error in the intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibration_tuning.metrics.confidence import paired_difference
from calibration_tuning.metrics.grader_error import compared_with_grader_error, counts_of


def test_the_table_comes_out_of_the_summary() -> None:
    # 50 both right, 30 both wrong, 15 right by the first only, 5 by the second only.
    summary = {"n": 100, "agreement": 0.8, "correct_by_first": 0.65, "correct_by_second": 0.55}
    assert counts_of(summary).tolist() == [[30, 5], [15, 50]]
    assert counts_of({"n": 40, "agreement": 1.0, "correct_by_first": 0.5, "correct_by_second": 0.5}).tolist() == [
        [20, 0],
        [0, 20],
    ]


def sample(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    p = generator.random(n)
    return np.full(n, 0.5), p, (generator.random(n) < p).astype(float)


def compared(before: np.ndarray, after: np.ndarray, correct: np.ndarray, table: np.ndarray) -> Any:
    return compared_with_grader_error(before, after, correct, {"exact": table}, ["exact"] * len(correct))


@pytest.mark.slow
def test_graders_that_always_agree_change_little() -> None:
    before, after, correct = sample()
    plain = paired_difference(before, after, correct, only=("brier",))["brier"]
    found = compared(before, after, correct, np.array([[5000, 0], [0, 5000]]))
    assert found["difference"]["brier"].value == pytest.approx(plain.value, abs=0.005)
    assert found["after"]["accuracy"].value == pytest.approx(correct.mean(), abs=0.005)


@pytest.mark.slow
def test_disagreement_moves_and_widens() -> None:
    before, after, correct = sample()
    plain = paired_difference(before, after, correct, only=("brier",))["brier"]
    # The second grader turns a fifth of the verdicts around, either way.
    found = compared(before, after, correct, np.array([[40, 10], [10, 40]]))
    change = found["difference"]["brier"]
    assert change.high - change.low > 1.2 * (plain.high - plain.low)
    assert abs(change.value) < abs(plain.value)
    # Accuracy a becomes 0.8 a + 0.2 (1 - a).
    expected = 0.8 * correct.mean() + 0.2 * (1 - correct.mean())
    assert found["after"]["accuracy"].value == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
def test_a_small_sample_of_double_grades_is_less_sure() -> None:
    before, after, correct = sample()
    few, many = (
        compared(before, after, correct, np.array([[8, 2], [2, 8]]) * k)["after"]["accuracy"] for k in (1, 100)
    )
    assert few.high - few.low > 1.5 * (many.high - many.low)


def test_one_class_stays_undefined() -> None:
    found = compared(np.full(20, 0.5), np.full(20, 0.6), np.ones(20), np.array([[0, 0], [0, 10**9]]))
    assert found["after"]["auroc"].value is None
    assert found["difference"]["auroc"].undefined.startswith("undefined")


@pytest.mark.slow
def test_a_table_speaks_for_its_own_grader_alone() -> None:
    before, after, correct = sample()
    graders = ["judge" if i % 2 else "exact" for i in range(len(correct))]
    flipped = np.array([[0, 10**9], [10**9, 0]])  # the second grader turns every verdict of the judge around
    found = compared_with_grader_error(before, after, correct, {"judge": flipped}, graders)
    own = np.arange(len(correct)) % 2 == 1
    expected = np.where(own, 1 - correct, correct).mean()
    assert found["after"]["accuracy"].value == pytest.approx(expected, abs=0.01)
    untouched = compared_with_grader_error(before, after, correct, {}, graders)
    assert untouched["after"]["accuracy"].value == pytest.approx(correct.mean(), abs=0.005)


def test_few_groups_have_no_interval() -> None:
    confidence, correct, tables = np.full(40, 0.4), np.tile([0.0, 1.0], 20), {"exact": np.array([[10, 1], [1, 10]])}
    for size, known in ((9, False), (10, True)):
        found = compared_with_grader_error(
            confidence, confidence, correct, tables, ["exact"] * 40, bootstrap_samples=100, groups=np.arange(40) % size
        )
        assert (found["after"]["brier"].low is not None) == known
        assert found["after"]["brier"].value > 0
