"""Thresholds hold what they promise; what cannot be promised is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibration_tuning.metrics.abstention import (
    answered_above,
    answers_needed,
    find_threshold,
    last_passed,
    p_values,
    perfect_record,
    starts,
    unavoidable_abstention,
)


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


def alone(n: int) -> np.ndarray:
    return np.arange(n)


def test_a_perfect_confidence_is_let_through() -> None:
    confidence = np.repeat([0.9, 0.1], [60, 40])
    assert find_threshold(confidence, (confidence > 0.5).astype(float), alone(100), 0.1) == 0.9


def test_too_few_answers_vouch_for_nothing() -> None:
    # 0.9^n <= 0.1 first for n = 22: even a perfect record of 21 does not do, one of 22 does.
    assert find_threshold(np.full(21, 0.9), np.ones(21), alone(21), 0.1) is None
    assert find_threshold(np.full(22, 0.9), np.ones(22), alone(22), 0.1) == 0.9
    assert find_threshold(np.zeros(0), np.zeros(0), alone(0), 0.1) is None


def test_lists_are_taken_too() -> None:
    assert find_threshold([0.9] * 22, [1] * 22, list("abcdefghijklmnopqrstuv"), 0.1) == 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.9, 0.8], [1]), r"score \(2,\), correct \(1,\)"),
        (([0.9, 0.8], [1, 0], ["a"]), r"groups \(1,\): must be of one length"),
        (([0.9, float("nan")], [1, 0]), r"score\[1\] is NaN"),
        (([0.9, 0.8], [float("nan"), 0]), r"correct\[0\] is nan, outside"),
        (([0.9, 0.8], [1, 2]), r"correct\[1\] is 2.0, outside"),
        (([0.9], [1], None, 20), "error_rate is 20; it must be between 0 and 1"),
        (([0.9], [1], None, 0.0), "error_rate is 0.0"),
        (([0.9], [1], None, 0.1, 90), "sure is 90"),
    ],
)
def test_thresholds_of_wrong_input_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_threshold(*arguments)


def test_log_odds_are_scores_too() -> None:
    score = np.concatenate([np.full(40, 3.0), np.full(40, -700.0)])
    assert find_threshold(score, (score > 0).astype(float), alone(80), 0.1) == 3.0


def test_nothing_good_nothing_found() -> None:
    generator = np.random.default_rng(0)
    assert find_threshold(generator.random(500), (generator.random(500) < 0.5).astype(float), alone(500), 0.1) is None


def test_a_bad_stretch_at_the_top_is_not_jumped_over() -> None:
    # Above 0.9 all wrong, below all right: both starts, at 27 and at 100, are in the stretch and must stop there.
    confidence = np.concatenate([np.full(100, 0.95), np.full(400, 0.6)])
    assert find_threshold(confidence, (confidence < 0.9).astype(float), alone(500), 0.2) is None


def test_a_few_errors_at_the_top_do_not_end_the_search() -> None:
    # 200 answers at an error rate of 20%: tests start at 2 log(0.05) / log(0.8) = 27 answers and at 40, a fifth.
    score = np.arange(200, 0, -1).astype(float)
    correct = np.ones(200)
    correct[[0, 5, 10, 15, 20]] = 0  # P(Bin(27, 0.2) <= 5) = 0.55 fails, and so does P(Bin(40, 0.2) <= 5) = 0.16
    assert find_threshold(score, correct, alone(200), 0.2) is None
    correct[[0, 5]] = 1  # P(Bin(27, 0.2) <= 3) = 0.18 fails, but P(Bin(40, 0.2) <= 3) = 0.028 passes at 0.05
    assert find_threshold(score, correct, alone(200), 0.2) == 1.0


def test_starts_by_hand() -> None:
    # log(0.05) / log(0.8) = 13.4 answers at least, 26.9 is twice that.
    least, answered = perfect_record(1, 0.2, 0.05), np.arange(1, 201)
    assert least == pytest.approx(13.43, abs=0.01)
    assert [answered[i] for i in starts(answered, least)] == [40, 27]
    assert [answered[:100][i] for i in starts(answered[:100], least)] == [20, 27]
    assert [answered[:50][i] for i in starts(answered[:50], least)] == [14, 27]
    assert [answered[:20][i] for i in starts(answered[:20], least)] == [14, 20]
    assert starts(answered[:0], least) == []


def test_bets_by_hand() -> None:
    """Groups of two at 20%: the largest bet is 0.9 / (0.8 x 2) = 0.5625."""
    score = np.array([0.9, 0.8, 0.7, 0.6])
    groups, correct = np.array(["a", "b", "b", "c"]), np.array([1.0, 0.0, 1.0, 1.0])
    safe, wrong, mixed = 1 + 0.5625 * 0.2, 1 - 0.5625 * 0.8, 1 - 0.5625 * (0.8 - 0.2)
    wealth = [safe, safe * wrong, safe * mixed, safe * mixed * safe]
    assert p_values(score, correct, groups, 0.2) == pytest.approx([min(1.0, 1 / w) for w in wealth])
    assert safe ** perfect_record(2, 0.2, 0.05) == pytest.approx(20)


@pytest.mark.filterwarnings("error")
def test_a_bettor_who_lost_everything_raises_no_overflow() -> None:
    correct = (np.arange(6000) % 10 < 3).astype(float)
    assert p_values(np.arange(6000.0), correct, np.arange(6000) // 2, 0.05)[-1] == 1.0


def test_equal_scores_are_one_threshold() -> None:
    generator = np.random.default_rng(0)
    score, correct = generator.integers(0, 5, 60) / 4, generator.integers(0, 2, 60).astype(float)
    groups = np.arange(60) // 2
    order = generator.permutation(60)
    assert len(p_values(score, correct, groups, 0.3)) == 5
    shuffled = p_values(score[order], correct[order], groups[order], 0.3)
    assert shuffled == pytest.approx(p_values(score, correct, groups, 0.3))


@pytest.mark.parametrize(
    ("ps", "where", "expected"),
    [
        ([0.04, 0.04, 0.04, 0.2], [0, 2], 2),
        ([0.06, 0.04, 0.04, 0.2], [0, 2], 2),  # the first chain fails at once, the second has half of the level
        ([0.06, 0.04, 0.06, 0.01], [0, 2], None),  # both fail
        ([0.04, 0.04, 0.09, 0.09], [0, 2], 3),  # the first chain brings its half along
        ([0.04, 0.06, 0.09, 0.01], [0, 2], 0),  # it has not come that far
        ([0.04, 0.06, 0.01, 0.06], [0, 2], 2),  # what fails is jumped over by the second start alone
        ([0.09], [0, 0], 0),
        ([], [], None),
    ],
)
def test_two_chains_of_tests_share_the_level(ps: list[float], where: list[int], expected: int | None) -> None:
    assert last_passed(np.array(ps), where, 0.1) == expected


def true_chance(p: np.ndarray) -> np.ndarray:
    """How often answers of confidence p are right: a miscalibrated model."""
    return np.clip(p - 0.1 * np.sin(5 * p), 0, 1)


@pytest.mark.slow
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
        threshold = find_threshold(p, correct, groups, error_rate, sure)
        if threshold is not None:
            found += 1
            violations += float(1 - truth_new[p_new >= threshold].mean()) > error_rate
    assert found > 50
    # At most 1 - sure of all draws, and three standard errors.
    assert violations <= 300 * (1 - sure) + 3 * np.sqrt(300 * sure * (1 - sure))


@pytest.mark.slow
def test_the_guarantee_is_for_an_answer() -> None:
    """Singles are right nine times in ten and groups of six, all alike, every second time: two answers in three are of
    such groups, and 37% of all are wrong. One answer of each group says 23%, and would allow all at 30%."""
    violations = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        large = generator.random(300) < 1 / 3
        groups = np.repeat(np.arange(300), np.where(large, 6, 1))
        correct = np.where(generator.random(300) < np.where(large, 0.5, 0.9), 1.0, 0.0)[groups]
        score = generator.random(len(groups))
        violations += find_threshold(score, correct, groups, 0.3) is not None
    assert violations <= 10 + 9  # three standard errors


def test_what_a_threshold_does() -> None:
    found = answered_above(np.array([0.9, 0.8, 0.8, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]), alone(4), 0.8)
    assert found["answered"] == 3
    assert found["coverage"] == 0.75
    assert found["error"] == pytest.approx(1 / 3)
    # Clopper-Pearson of 1 in 3.
    assert [found["error_low"], found["error_high"]] == pytest.approx([0.0084, 0.9057], abs=1e-4)
    nothing = answered_above(np.array([0.5]), np.array([1.0]), alone(1), None)
    assert nothing == {"answered": 0, "coverage": 0.0, "error": None, "error_low": None, "error_high": None}
    all_wrong = answered_above(np.ones(2), np.zeros(2), alone(2), 0.5)
    assert (all_wrong["error"], all_wrong["error_high"]) == (1.0, 1.0)


def test_answers_of_one_group_are_one_piece_of_evidence() -> None:
    right = np.repeat([1.0, 0.0], [90, 10])
    single = answered_above(np.ones(100), right, np.arange(100), 0.5)
    tens = answered_above(np.ones(100), right, np.arange(100) // 10, 0.5)
    assert single["error"] == tens["error"] == 0.1
    # Of 10 in 100 and of 1 in 10.
    assert [single["error_low"], single["error_high"]] == pytest.approx([0.0490, 0.1762], abs=1e-4)
    assert [tens["error_low"], tens["error_high"]] == pytest.approx([0.0025, 0.4450], abs=1e-4)
    # 50 singles and a group of 50 are 100^2 / (50 + 50^2) = 3.9 answers, not 51.
    uneven = answered_above(np.ones(100), right, np.minimum(np.arange(100), 50), 0.5)
    assert uneven["error_high"] > 0.6


@pytest.mark.parametrize(
    ("coverage", "risk", "error_rate", "expected"),
    [
        ([0.5, 1.0], [0.0, 0.4], 0.2, (28, 29)),  # the half that is right needs ln(0.05) / ln(0.8) = 13.4: 14 answers
        ([0.5, 1.0], [0.5, 0.5], 0.2, None),  # no share is good enough
        ([0.05, 1.0], [0.0, 0.5], 0.2, None),  # of 100 answers these five say nothing
    ],
)
def test_how_many_answers_a_threshold_needs(
    coverage: list[float], risk: list[float], error_rate: float, expected: tuple[int, int] | None
) -> None:
    needed = answers_needed(coverage, risk, 100, error_rate)
    assert needed is None if expected is None else expected[0] <= needed <= expected[1]


def test_more_errors_need_more_answers() -> None:
    """At the number it gives, a threshold is found five times out of six; at a quarter of it, seldom."""
    needed = [answers_needed([0.5, 1.0], [risk, 0.5], 1000, 0.1) or 0 for risk in (0.0, 0.02, 0.05)]
    assert 0 < needed[0] <= needed[1] <= needed[2]
    generator = np.random.default_rng(0)

    def share(n: int) -> float:
        sure = np.arange(n) < n / 2
        groups, hits = np.arange(n), []
        for _ in range(200):
            correct = (generator.random(n) >= np.where(sure, 0.05, 0.95)).astype(float)
            hits.append(find_threshold(sure.astype(float), correct, groups, 0.1))
        return float(np.mean([hit is not None for hit in hits]))

    assert share(needed[2]) > 0.7
    assert share(needed[2] // 4) < 0.5
