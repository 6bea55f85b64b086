"""Intervals, p-values and corrections, against hand-derived cases and by how often intervals hold the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration_tuning.metrics.bootstrap import (
    Difference,
    Interval,
    bias_corrected_interval,
    draws_of,
    error_interval,
    holm,
    mean_interval,
    p_of_width,
    p_value,
    percentile_interval,
    resamples,
    share_interval,
)
from calibration_tuning.metrics.calibration_error import ece
from calibration_tuning.metrics.comparison import Quantity, Resampled, compared, holm_corrected, verdict
from calibration_tuning.metrics.confidence import (
    METRICS,
    before_and_after,
    confidence_metrics,
    paired_difference,
    resampled_metrics,
    units_of_rarer_class,
)


def test_resamples_are_the_same_for_the_same_seed() -> None:
    first, second = ([i.tolist() for i in resamples(9, 5, seed)] for seed in (3, 3))
    assert first == second
    assert [i.tolist() for i in resamples(9, 5, 4)] != first


def test_groups_are_drawn_whole() -> None:
    groups = np.array(["a", "b", "a", "c", "b", "a"])
    for indices in resamples(groups, 50, 0):
        drawn = np.bincount(indices, minlength=6)
        assert drawn[0] == drawn[2] == drawn[5]
        assert drawn[1] == drawn[4]


def test_groups_widen_the_interval_of_what_they_share() -> None:
    # Ten answers each to thirty questions, right or wrong together: thirty observations, not three hundred.
    generator = np.random.default_rng(0)
    correct = np.repeat((generator.random(30) < 0.5).astype(float), 10)
    groups = np.repeat(np.arange(30), 10)
    confidence = np.full(300, 0.5)
    wide, narrow = (
        confidence_metrics(confidence, correct, groups=g, only=("accuracy",))["accuracy"] for g in (groups, None)
    )
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)


def test_undefined_resamples_are_left_out() -> None:
    assert percentile_interval(1.0, [None, 2.0, 2.0]) == Interval(1.0, 2.0, 2.0)
    assert percentile_interval(1.0, [None]) == Interval(1.0)


def test_percentiles_of_few_groups_are_further_out_by_hand() -> None:
    # t of 9 degrees of freedom is 2.2622 at 97.5%, times sqrt(10 / 9) = 2.3846; the normal is beyond that in 0.855%.
    draws = np.linspace(0, 1, 10_001).tolist()
    few = percentile_interval(0.5, draws, units=10)
    assert (few.low, few.high) == (pytest.approx(0.00855, abs=1e-4), pytest.approx(0.99145, abs=1e-4))
    many = percentile_interval(0.5, draws, units=10_000)
    assert (many.low, many.high) == (pytest.approx(0.025, abs=1e-4), pytest.approx(0.975, abs=1e-4))


@pytest.mark.slow
def test_means_of_eleven_groups_are_covered_and_tested_as_promised() -> None:
    """The plain percentile interval contains the mean of 11 normal groups in 90% of data sets, and p-values of a normal
    are below 0.05 in 9%."""
    generator = np.random.default_rng(0)
    held, plain, small, normal = 0, 0, 0, 0
    for values in generator.normal(size=(1000, 11)):
        draws = (generator.multinomial(11, np.full(11, 1 / 11), 400) @ values / 11).tolist()
        found, old = percentile_interval(values.mean(), draws, units=11), percentile_interval(values.mean(), draws)
        held, plain = held + (found.low <= 0 <= found.high), plain + (old.low <= 0 <= old.high)
        small, normal = (
            small + (p_value(values.mean(), draws, 11) < 0.05),
            normal + (p_value(values.mean(), draws) < 0.05),
        )
    assert 930 <= held <= 970
    assert plain <= 920
    assert 30 <= small <= 70
    assert normal >= 80


def test_bias_corrected_interval_by_hand() -> None:
    # Draws 0.2 to 1 evenly, mean 0.6, value 0.5: the middle is 0.4. Percentiles 0.22 and 0.98 reach 0.38 to either
    # side, 1.96 standard deviations of 0.8 / sqrt(12) = 0.2309 reach 0.4526: from -0.0526 to 0.8526.
    draws = np.linspace(0.2, 1, 10_001).tolist()
    found = bias_corrected_interval(0.5, draws)
    assert (found.low, found.high) == (pytest.approx(-0.0526, abs=1e-3), pytest.approx(0.8526, abs=1e-3))
    assert bias_corrected_interval(0.5, np.linspace(0.99, 1, 100).tolist()).high == 0.5, "it contains the value"
    assert bias_corrected_interval(0.5, []) == Interval(0.5)


def test_share_interval_by_hand() -> None:
    # Draws with the variance of 20 trials at 0.8, 0.8 * 0.2 / 20 = 0.008: Wilson's interval of 16 in 20.
    draws = (0.8 + np.sqrt(0.008) * np.array([1.0, -1.0] * 50)).tolist()
    found = share_interval(0.8, draws, 1_000_000)
    assert (found.low, found.high) == (pytest.approx(0.5840, abs=1e-4), pytest.approx(0.9193, abs=1e-4))
    # All of 10 right: 10 / (10 + t^2), t = 2.2622 for 9 degrees of freedom.
    sure = share_interval(1.0, [1.0] * 50, 10)
    assert (sure.low, sure.high) == (pytest.approx(0.6615, abs=1e-4), 1.0)
    assert share_interval(0.8, [], 10) == Interval(0.8)
    assert share_interval(0.5, [0.5] * 50, 10) == Interval(0.5, 0.5, 0.5)


def test_a_perfect_auroc_is_not_certain() -> None:
    p, y = np.array([*[0.9] * 12, *[0.1] * 30]), np.array([*[1.0] * 12, *[0.0] * 30])
    found = confidence_metrics(p, y, bootstrap_samples=200, only=("auroc", "accuracy"))
    assert (found["auroc"].value, found["auroc"].high) == (1.0, 1.0)
    # Of 12 trials, the rarer class, and t = 2.2010 of 11 degrees of freedom: 12 / (12 + t^2).
    assert found["auroc"].low == pytest.approx(0.7124, abs=1e-4)
    right = confidence_metrics(p, np.ones(42), bootstrap_samples=200, only=("accuracy",))["accuracy"]
    assert 0.9 < right.low < 0.93  # of 42


def test_error_interval_by_hand() -> None:
    # Draws 0..100 hundredths: percentiles 0.025 and 0.975, mean 0.5. Value 0.6: low = 1.2 - 0.975 = 0.225;
    # high = max(1.2 - 0.025, 0.6 + 0.975 - 0.5) = 1.175, cut to 1.
    draws = (np.arange(101) / 100).tolist()
    found = error_interval(0.6, draws, largest=1.0)
    assert (found.value, found.low, found.high) == (0.6, pytest.approx(0.225), 1.0)
    # No higher than chance makes it: perfect calibration is not excluded.
    assert error_interval(0.6, draws, null=[0.5, 0.7]).low == 0.0
    assert error_interval(0.6, draws, null=[0.1, 0.2]).low == pytest.approx(0.225)


@pytest.mark.slow
@pytest.mark.parametrize("bend", [0.0, 0.1, 0.2])
def test_intervals_of_ece_hold_the_truth(bend: float) -> None:
    # Confidence p, truth p + bend: the ECE is bend. Percentile intervals of a calibrated model hold 0 never.
    held = {"ours": 0, "percentile": 0}
    for seed in range(60):
        generator = np.random.default_rng(seed)
        p = generator.uniform(0.2, 0.7, 300)
        y = (generator.random(300) < p + bend).astype(float)
        found = confidence_metrics(p, y, seed=seed, bootstrap_samples=200, only=("ece",))["ece"]
        draws = draws_of(lambda i, p=p, y=y: {"ece": ece(p[i], y[i])}, 300, 200, seed)["ece"]  # type: ignore[misc]
        plain = percentile_interval(found.value, draws)
        held["ours"] += found.low <= bend <= found.high
        held["percentile"] += plain.low <= bend <= plain.high
    assert held["ours"] >= 52  # of 60; 57 expected
    if bend == 0:
        assert held["percentile"] == 0


@pytest.mark.slow
def test_intervals_of_ece_hold_the_truth_in_groups() -> None:
    # Ten answers each, decided by one draw: 30 observations, not 300. Taken for 300, chance looks smaller than it is.
    groups, held = np.arange(300) // 10, {"grouped": 0, "taken for independent": 0}
    for seed in range(60):
        generator = np.random.default_rng(seed)
        p = generator.uniform(0.2, 0.7, 300)
        y = (generator.random(30)[groups] < p).astype(float)
        for name, units in (("grouped", groups), ("taken for independent", None)):
            found = confidence_metrics(p, y, seed=seed, bootstrap_samples=200, groups=units, only=("ece",))["ece"]
            held[name] += found.low == 0.0
    assert held["grouped"] >= 52
    assert held["taken for independent"] < held["grouped"] - 10


@pytest.mark.slow
@pytest.mark.parametrize(("size", "known"), [(9, False), (10, True)])
def test_few_groups_have_no_interval_and_no_verdict(size: int, known: bool) -> None:
    generator = np.random.default_rng(0)
    p, y = generator.random(200), (np.arange(200) // size % 2).astype(float)  # both classes in every group
    found = paired_difference(p, y * 0.9, y, groups=np.arange(200) % size, bootstrap_samples=100)
    for name in ("brier", "ece", "auroc", "smooth_ece"):
        assert (found[name].low is not None) == (found[name].p is not None) == known, name
        assert bool(found[name].verdict) == known, name
        assert found[name].value != 0


def test_p_value_by_hand() -> None:
    # The draws' standard deviation is 1, and 1.959964 of those leave 5% outside.
    assert p_value(1.959964, [1.0, 2.0, 3.0]) == pytest.approx(0.05, abs=1e-6)
    assert p_value(0.0, [1.0, -1.0]) == 1.0
    # Of 10 groups: t of 9 degrees of freedom, 2.2622 of standard deviations times sqrt(10 / 9).
    assert p_value(2.2622 * np.sqrt(10 / 9), [1.0, 2.0, 3.0], 10) == pytest.approx(0.05, abs=1e-4)
    assert [p_of_width(0.3, 0.3, 10), p_of_width(0.3, 0.3)] == pytest.approx([0.05, 0.05])
    assert p_of_width(0.6, 0.3) == pytest.approx(8.9e-5, rel=0.01)
    # No spread at all: as sure as nine draws can be.
    assert p_value(5.0, [5.0] * 9) == 0.1
    assert p_value(0.0, [0.0] * 9) == 1.0


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1 = 0.04, 0.06, 0.06 (not below the one before), 0.5.
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_correction_takes_verdicts_back() -> None:
    lower = Quantity("x")
    neutral = Quantity("y", better=0)
    table = [(lower, Difference(-1.0, p=0.04, verdict="better")) for _ in range(3)]
    table.append((neutral, Difference(1.0, p=0.001)))
    table.append((lower, Difference(None)))
    corrected = holm_corrected(table)
    assert [entry.p_holm for entry in corrected[:3]] == pytest.approx([0.12] * 3)
    assert [entry.verdict for entry in corrected] == ["unclear"] * 3 + ["", ""]
    assert corrected[3:] == [entry for _, entry in table[3:]], "what is not judged stays as it is"
    assert [entry.verdict for _, entry in table[:3]] == ["better"] * 3, "and so does the table that was given"


def test_intervals_as_json() -> None:
    chance = Interval(0.25, 0.0, 0.5)
    assert Interval(0.5, 0.25, 0.75, if_calibrated=chance).as_dict() == {
        **{"value": 0.5, "low": 0.25, "high": 0.75},
        "if_calibrated": {"value": 0.25, "low": 0.0, "high": 0.5},
    }
    assert Interval(None, undefined="why").as_dict() == {
        **{"value": None, "low": None, "high": None},
        "undefined": "why",
    }
    change = Difference(-1.0, -2.0, 0.0, p=0.5, verdict="unclear", p_holm=1.0).scaled(0.5)
    assert change.as_dict() == {"value": -0.5, "low": -1.0, "high": 0.0, "p": 0.5, "verdict": "unclear", "p_holm": 1.0}


def test_the_interval_of_a_mean_is_over_groups() -> None:
    values, groups = np.repeat([0.0, 1.0], 50), np.repeat(np.arange(10), 10)
    single, grouped = mean_interval(values, 100, 500, 0), mean_interval(values, groups, 500, 0)
    assert single.value == grouped.value == 0.5
    assert grouped.high - grouped.low > 2 * (single.high - single.low)
    wide = mean_interval(values, 100, 500, 0, level=0.99)
    assert wide.high - wide.low > single.high - single.low
    # Of so many subjects at once, resamples do not reach as far: t standard errors, of 99 degrees of freedom.
    widest = mean_interval(values, 100, 500, 0, level=1 - 0.05 / 57)
    assert (widest.high - widest.low) / 2 == pytest.approx(3.44 * 0.05, rel=0.1)
    assert mean_interval(values, groups // 2, 500, 0) == Interval(0.5), "five groups are too few"


@pytest.mark.parametrize(
    ("value", "p", "better", "expected"),
    [(-1, 0.01, -1, "better"), (1, 0.01, -1, "worse"), (1, 0.01, 1, "better"), (1, 0.2, 1, "unclear"), (1, 0, 0, "")],
)
def test_verdict(value: float, p: float, better: int, expected: str) -> None:
    assert verdict(value, p, better) == expected


@pytest.mark.slow
def test_paired_difference_is_tighter_than_unpaired() -> None:
    generator = np.random.default_rng(3)
    y = (generator.random(300) < 0.4).astype(float)
    before = generator.random(300)
    after = 0.9 * before + 0.1 * y
    change = paired_difference(before, after, y, bootstrap_samples=300)
    assert change["brier"].value == pytest.approx(np.mean((after - y) ** 2) - np.mean((before - y) ** 2))
    assert change["brier"].low < change["brier"].value < change["brier"].high < 0
    assert change["brier"].verdict == "better"
    assert change["accuracy"].verdict == ""
    same = paired_difference(before, before, y, bootstrap_samples=100)
    assert same.pop("auroc_within_subjects").value is None  # no subjects are given
    assert {(entry.value, entry.p) for entry in same.values()} == {(0.0, 1.0)}
    worse = paired_difference(after, before, y, bootstrap_samples=300)["brier"]
    assert (worse.verdict, worse.value) == ("worse", pytest.approx(-change["brier"].value))


@pytest.mark.slow
def test_two_models_are_judged_by_their_own_answers() -> None:
    p = np.full(40, 0.5)
    found = paired_difference(p, p, np.zeros(40), correct_after=np.ones(40), bootstrap_samples=100)
    assert found["accuracy"].value == 1.0
    assert found["brier"].value == 0.0


@pytest.mark.slow
def test_no_difference_is_seldom_found() -> None:
    """Two forecasts of equal quality: at level 0.05 few comparisons may say otherwise."""
    found = dict.fromkeys(("brier", "ece", "auroc"), 0)
    for seed in range(60):
        generator = np.random.default_rng(1000 + seed)
        truth = generator.uniform(0.2, 0.8, 300)
        y = (generator.random(300) < truth).astype(float)
        one, other = (np.clip(truth + generator.normal(0, 0.1, 300), 0, 1) for _ in range(2))
        change = paired_difference(one, other, y, bootstrap_samples=200, only=tuple(found))
        for name in found:
            found[name] += change[name].verdict != "unclear"
    assert max(found.values()) <= 8, found  # of 60; 3 expected


def test_an_auroc_is_known_by_the_groups_of_the_rarer_class() -> None:
    correct = np.array([0.0, 0, 0, 1, 1, 1])
    assert units_of_rarer_class(correct, 6) == 3
    assert units_of_rarer_class(np.ones(6), 6) == 0
    # Groups a, a, b hold the wrong answers, b, b, b the right ones: two and one.
    assert units_of_rarer_class(correct, np.array([*"aabbbb"])) == 1
    # Of 20 answers, each 0.3 of a right one, 6 are right; in one group they are one.
    assert units_of_rarer_class(np.full(20, 0.3), 20) == 6
    assert units_of_rarer_class(np.full(20, 0.3), np.zeros(20)) == 1
    # Subject 0 has one wrong and two right answers, subject 1 right ones alone, subject 2 wrong ones alone.
    assert units_of_rarer_class(np.array([0.0, 1, 1, 1, 1, 0]), 6, np.array([0, 0, 0, 1, 1, 2])) == 1


@pytest.mark.parametrize(("wrong", "known"), [(9, False), (10, True)])
def test_a_rare_class_gives_no_interval_of_auroc(wrong: int, known: bool) -> None:
    generator = np.random.default_rng(0)
    p, other, y = generator.random(200), generator.random(200), (np.arange(200) >= wrong).astype(float)
    rated = before_and_after(p, other, y, bootstrap_samples=100, only=("auroc", "brier"))
    assert (rated.after["auroc"].low is not None) == known
    assert (rated.difference["auroc"].p is not None) == bool(rated.difference["auroc"].verdict) == known
    assert rated.after["brier"].low is not None
    assert rated.difference["brier"].p is not None
    # Two models, of which one is nearly always right: as many units as the side with fewer has.
    two = paired_difference(p, other, (np.arange(200) >= 30).astype(float), correct_after=y, only=("auroc",))["auroc"]
    assert (two.low is not None) == (two.p is not None) == known


def test_a_difference_of_aurocs_has_as_many_units_as_the_rarer_class() -> None:
    generator = np.random.default_rng(1)
    y = (np.arange(500) >= 12).astype(float)
    sides = [resampled_metrics(generator.random(500) * (1 + y) / 2, y, only=("auroc",))["auroc"] for _ in range(2)]
    assert [side.units for side in sides] == [12, 12]
    change = compared(METRICS["auroc"], *sides)
    many = compared(METRICS["auroc"], *(replace(side, units=500) for side in sides))
    assert change.p > many.p


def test_one_pair_within_a_subject_says_nothing() -> None:
    """60 answers, of which one right and one wrong one have the same subject: the only pair."""
    subjects, y = np.r_[0, np.arange(59)], np.r_[1.0, 0.0, np.ones(58)]
    before, after = np.full(60, 0.5), np.full(60, 0.5)
    before[:2], after[:2] = (0.1, 0.9), (0.9, 0.1)
    name = "auroc_within_subjects"
    rated = before_and_after(before, after, y, subjects=subjects, bootstrap_samples=200, only=(name,))
    assert rated.difference[name] == Difference(1.0)
    assert (rated.before[name], rated.after[name]) == (Interval(0.0), Interval(1.0))
    # Ten such subjects: 10 / (10 + 2.2622^2), as of ten answers that are all right.
    many = [np.tile(x[:2], 10) for x in (after, y)]
    found = confidence_metrics(*many, subjects=np.arange(20) // 2, bootstrap_samples=200, only=(name,))[name]
    assert (found.low, found.high) == (pytest.approx(0.6615, abs=1e-4), 1.0)


def test_undefined_sides_have_no_difference() -> None:
    found = compared(Quantity("x", undefined="why"), Resampled(None, []), Resampled(0.5, [0.5]))
    assert found == Difference(None, undefined="why")


def test_whole_groups_are_drawn_as_if_one_by_one() -> None:
    groups = np.array(["b", "a", "b", "c", "a", "b", "d"])
    _, labels = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(labels == label) for label in range(4)]
    generator = np.random.default_rng(3)
    for indices in resamples(groups, 20, 3):
        drawn = generator.integers(0, 4, 4)
        assert indices.tolist() == [row for group in drawn for row in members[group]]
