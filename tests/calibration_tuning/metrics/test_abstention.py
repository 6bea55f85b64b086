"""Thresholds hold what they promise; what cannot be promised is not."""

from __future__ import annotations

import numpy as np
import pytest

from calibration_tuning.metrics.abstention import answered_above, find_threshold, one_of_each, unavoidable_abstention


@pytest.mark.parametrize(
    ("accuracy", "error_rate", "expected"),
    [
        (0.9, 0.1, 0.0),  # all answered: 10% wrong
        (0.45, 0.1, 0.5),  # 0.45 right ones may carry 0.05 wrong ones
        (0.0, 0.1, 1.0),
        (1.0, 0.1, 0.0),
    ],
)
def test_unavoidable_abstention_by_hand(accuracy: float, error_rate: float, expected: float) -> None:
    assert unavoidable_abstention(accuracy, error_rate) == pytest.approx(expected)


def test_a_perfect_confidence_is_let_through() -> None:
    confidence = np.repeat([0.9, 0.1], [60, 40])
    assert find_threshold(confidence, (confidence > 0.5).astype(float), 0.1) == 0.9


def test_too_few_answers_vouch_for_nothing() -> None:
    # 0.9^n <= 0.1 first for n = 22: even a perfect record of 21 does not do, one of 22 does.
    assert find_threshold(np.full(21, 0.9), np.ones(21), 0.1) is None
    assert find_threshold(np.full(22, 0.9), np.ones(22), 0.1) == 0.9
    assert find_threshold(np.zeros(0), np.zeros(0), 0.1) is None


def test_log_odds_are_scores_too() -> None:
    score = np.concatenate([np.full(40, 3.0), np.full(40, -700.0)])
    assert find_threshold(score, (score > 0).astype(float), 0.1) == 3.0


def test_nothing_good_nothing_found() -> None:
    generator = np.random.default_rng(0)
    assert find_threshold(generator.random(500), (generator.random(500) < 0.5).astype(float), 0.1) is None


def test_a_bad_stretch_at_the_top_is_not_jumped_over() -> None:
    # Above 0.9 all wrong, below all right: the fixed sequence must stop at the top.
    confidence = np.concatenate([np.full(50, 0.95), np.full(400, 0.6)])
    assert find_threshold(confidence, (confidence < 0.9).astype(float), 0.2) is None


def test_one_of_each_group() -> None:
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    for seed in range(5):
        chosen = one_of_each(groups, seed)
        assert sorted(groups[chosen]) == ["a", "b", "c"]
    assert len({tuple(one_of_each(groups, seed)) for seed in range(20)}) > 1


def true_chance(p: np.ndarray) -> np.ndarray:
    """How often answers of confidence p are right: a miscalibrated model."""
    return np.clip(p - 0.1 * np.sin(5 * p), 0, 1)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize(("error_rate", "sure"), [(0.1, 0.9), (0.3, 0.8)])
def test_the_guarantee_holds(error_rate: float, sure: float, size: int) -> None:
    """Over many calibration sets, the true error above the threshold exceeds the wanted one as seldom as promised; also
    where answers come in groups of four that are right or wrong together."""
    violations = found = 0
    p_new = np.random.default_rng(99).beta(2, 1.2, 200_000)
    truth_new = true_chance(p_new)
    for seed in range(300):
        generator = np.random.default_rng(seed)
        p = generator.beta(2, 1.2, 250)
        luck = np.repeat(generator.random(250), size)
        groups, p = np.repeat(np.arange(250), size), np.repeat(p, size)
        correct = (luck < true_chance(p)).astype(float)
        chosen = one_of_each(groups, seed)
        threshold = find_threshold(p[chosen], correct[chosen], error_rate, sure)
        if threshold is not None:
            found += 1
            violations += float(1 - truth_new[p_new >= threshold].mean()) > error_rate
    assert found > 50
    # At most 1 - sure of all draws, and three standard errors.
    assert violations <= 300 * (1 - sure) + 3 * np.sqrt(300 * sure * (1 - sure))


def test_what_a_threshold_does() -> None:
    alone = np.arange(4)
    found = answered_above(np.array([0.9, 0.8, 0.8, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]), alone, 0.8)
    assert found["answered"] == 3
    assert found["coverage"] == 0.75
    assert found["error"] == pytest.approx(1 / 3)
    # Clopper-Pearson of 1 in 3.
    assert [found["error_low"], found["error_high"]] == pytest.approx([0.0084, 0.9057], abs=1e-4)
    nothing = answered_above(np.array([0.5]), np.array([1.0]), alone[:1], None)
    assert nothing == {"answered": 0, "coverage": 0.0, "error": None, "error_low": None, "error_high": None}
    all_wrong = answered_above(np.ones(2), np.zeros(2), alone[:2], 0.5)
    assert (all_wrong["error"], all_wrong["error_high"]) == (1.0, 1.0)


def test_answers_of_one_group_are_one_piece_of_evidence() -> None:
    right = np.repeat([1.0, 0.0], [90, 10])
    single = answered_above(np.ones(100), right, np.arange(100), 0.5)
    tens = answered_above(np.ones(100), right, np.arange(100) // 10, 0.5)
    assert single["error"] == tens["error"] == 0.1
    # Of 10 in 100 and of 1 in 10.
    assert [single["error_low"], single["error_high"]] == pytest.approx([0.0490, 0.1762], abs=1e-4)
    assert [tens["error_low"], tens["error_high"]] == pytest.approx([0.0025, 0.4450], abs=1e-4)
