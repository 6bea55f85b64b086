"""Drift of calibration: how often the alarm is false, how often a shift is seen, and values derived by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from calibration_tuning.metrics.drift import Drift, calibration_drift

RUNS = 120
THEN, NOW = 400, 600


def answers(
    generator: np.random.Generator, n: int, shift: float = 0.0, slope: float = 1.0, spread: tuple[float, float] = (2, 2)
) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and labels that come true as often as the confidence says, moved by `shift` and sharpened by
    `slope` in log-odds."""
    p = np.clip(generator.beta(*spread, n), 1e-6, 1 - 1e-6)
    truth = np.clip(1 / (1 + ((1 - p) / p) ** slope) + shift, 0, 1)
    return p, (generator.random(n) < truth).astype(float)


def share_of_alarms(runs: int = RUNS, groups: int | None = None, known: bool = False, **drift: Any) -> float:
    """Of streams whose calibration at the evaluation was off by `base` and is off by `base` + `shift` now."""
    generator, alarms, base = np.random.default_rng(0), 0, drift.pop("base", 0.0)
    spread = drift.pop("spread", (2, 2))
    for _ in range(runs):
        then = answers(generator, THEN, base, spread=spread)
        now = answers(generator, NOW, base + drift.get("shift", 0.0), drift.get("slope", 1.0), spread)
        if groups is None:
            found = calibration_drift(*now, None if known else then)
        else:  # each answer stands `groups` times: as many labels, and no more is known
            then, now = ((np.repeat(p, groups), np.repeat(c, groups)) for p, c in (then, now))
            labels = [np.repeat(np.arange(n), groups).tolist() for n in (NOW, THEN)]
            found = calibration_drift(*now, then, *labels)
        alarms += found.has_drifted
    return alarms / runs


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"base": -0.1},  # badly calibrated at the evaluation, and as badly now
        {"spread": (20, 1)},  # nearly all answers right
        {"spread": (0.3, 0.3)},  # nearly all sure
        {"known": True},  # without an evaluation
        {"groups": 4},
    ],
    ids=str,
)
def test_at_most_one_in_twenty_alarms_is_false_over_all_looks(kind: dict[str, Any]) -> None:
    # Of 120 runs at a rate of 0.05, more than 12 have a probability of 0.7%.
    assert share_of_alarms(**kind) <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ({"shift": -0.15}, 0.95),
        ({"shift": 0.15}, 0.95),
        ({"shift": -0.15, "known": True}, 0.95),
        ({"slope": 0.2, "spread": (1, 1)}, 0.95),  # too sure at both ends: right on average
        ({"shift": -0.15, "groups": 4}, 0.8),
    ],
    ids=str,
)
def test_a_shift_is_seen(kind: dict[str, Any], least: float) -> None:
    assert share_of_alarms(runs=40, **kind) >= least


def test_drift_without_a_shift_of_the_mean_shows_in_the_bins() -> None:
    generator = np.random.default_rng(1)
    then, now = answers(generator, 2000, spread=(1, 1)), answers(generator, 2000, slope=0.2, spread=(1, 1))
    found = calibration_drift(*now, then)
    assert found.has_drifted
    assert abs(found.gap_now) < 0.03
    lowest, highest = found.bins[0], found.bins[-1]
    assert lowest.gap_now > 0.1
    assert highest.gap_now < -0.1
    assert sum(row.now for row in found.bins) == sum(row.then for row in found.bins) == 2000


@pytest.mark.parametrize("correct", [[1.0] * 70 + [0.0] * 30, [0.7] * 100], ids=["0 or 1", "part marks"])
def test_the_factor_of_one_bin_by_hand(correct: list[float]) -> None:
    """All confidences 0.5: one bin, so both factors are the same. 100 answers, 70 right; no evaluation.

    D = 0.2; the variance of the mean is 0.21 / 99 by the residuals, below 0.25 / 100 of calibrated labels, so
    V = 0.0025 (part marks of 0.7 do not vary at all); W = V + 0.01 = 0.0125;
    sqrt(V / W) exp(D^2 / 2 (1 / V - 1 / W)) = sqrt(0.2) exp(6.4).
    """
    found = calibration_drift([0.5] * 100, correct)
    assert found.e_value == pytest.approx(math.sqrt(0.2) * math.exp(6.4), rel=1e-4)
    assert found.gap_now == pytest.approx(0.2)
    assert [row.now for row in found.bins] == [0, 0, 100, 0, 0]


def test_one_part_mark_does_not_make_alarms_false() -> None:
    """Few answers, all of them right, vary too little. An alarm in 2 of 30 streams or more has a probability of 45% at
    5%; where one part mark removed the least variance, 3 had one."""
    generator, alarms = np.random.default_rng(0), 0
    for _ in range(30):
        p, c = answers(generator, 600, spread=(20, 1))
        alarms += calibration_drift(p, np.r_[0.5, c[1:]]).has_drifted
    assert alarms <= 1


@pytest.mark.parametrize("with_evaluation", [False, True])
def test_what_comes_later_takes_no_alarm_back(with_evaluation: bool) -> None:
    """300 answers in 100 groups, in random order: the first t say the same whatever the groups get later."""
    generator = np.random.default_rng(5)
    then = answers(generator, 400) if with_evaluation else None
    p, c = answers(generator, 300, -0.35)
    groups = generator.integers(0, 100, 300).tolist()
    found = calibration_drift(p, c, then, groups)
    t = found.alarm_at
    assert t is not None
    assert t < 250
    assert calibration_drift(p[:t], c[:t], then, groups[:t]).alarm_at == t
    before = calibration_drift(p[: t - 1], c[: t - 1], then, groups[: t - 1])
    assert before.alarm_at is None
    assert before.largest < 20 <= found.largest


def test_whether_there_are_groups_is_known_from_the_start() -> None:
    """45 answers in 45 groups are no stream of single answers that ends when a group gets its second answer."""
    p, c, groups = [0.5] * 46, [0] * 46, [*range(45), 0]
    assert calibration_drift(p, c).has_drifted
    for n in (45, 46):
        assert calibration_drift(p[:n], c[:n], groups=groups[:n]).alarm_at is None


def sure(generator: np.random.Generator, n: int, right: float, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of 1 (a `share`) of which so many are right, and of 0.5."""
    p = np.where(generator.random(n) < share, 1.0, 0.5)
    return p, (generator.random(n) < np.where(p == 1, right, 0.5)).astype(float)


def test_confidences_of_exactly_one_are_tested() -> None:
    generator = np.random.default_rng(6)
    then = sure(generator, 400, 1.0)
    found = calibration_drift(*sure(generator, 800, 0.6), then)
    assert found.has_drifted
    assert (found.bins[-1].low, found.bins[-1].then) == (1.0, int((then[0] == 1).sum()))
    assert found.bins[-1].gap_now == pytest.approx(-0.4, abs=0.1)
    p, c = then  # confidences of 0 the same way
    mirrored = calibration_drift(1 - p, 1 - c, (1 - p, 1 - c))
    assert [row.then for row in mirrored.bins if row.then] == [int((p == 1).sum()), int((p == 0.5).sum())]
    alone = calibration_drift([1.0] * 600, [1.0, 0.0, 1.0] * 200, ([1.0] * 300, [1.0] * 300))
    assert alone.has_drifted
    # As if five of 300 had been expected to be wrong: 300 new answers have five of them.
    assert alone.tested_from == 300
    # Without an evaluation as if one in a hundred were.
    assert calibration_drift([1.0] * 600, [1.0] * 600).tested_from == 500


def test_confidences_of_one_make_no_false_alarms() -> None:
    """True shares around the least one expected, which is 5 in 120 of the evaluation's. Of 40 streams at 5%, 6 or more
    have an alarm with a probability of 1.4%."""
    generator, alarms = np.random.default_rng(7), 0
    for right in (1.0, 0.98, 0.96, 0.94) * 10:
        alarms += calibration_drift(*sure(generator, 600, right), sure(generator, 400, right)).has_drifted
    assert alarms <= 5


def test_what_is_visible_is_where_the_alarm_begins() -> None:
    """A shift as large as `visible` makes the factor of all answers 39, and its mean with 1, of the bins, is 20."""
    found = calibration_drift([0.5] * 400, [1.0, 0.0] * 200)
    d, v = found.visible, 0.25 / 399
    assert d is not None
    assert math.sqrt(v / (v + 0.01)) * math.exp(d**2 / 2 * (1 / v - 1 / (v + 0.01))) == pytest.approx(39, rel=1e-3)


def test_groups_count_once() -> None:
    p, c = answers(np.random.default_rng(2), 200, -0.1)
    single = calibration_drift(p, c)
    repeated = calibration_drift(np.repeat(p, 5), np.repeat(c, 5), groups=np.repeat(np.arange(200), 5).tolist())
    wrongly = calibration_drift(np.repeat(p, 5), np.repeat(c, 5))
    assert repeated.visible == pytest.approx(single.visible, rel=0.1)
    assert wrongly.visible < 0.6 * single.visible
    assert repeated.tested_from == 5 * 49 + 1  # the first answer of the fiftieth group


def test_too_few_say_nothing() -> None:
    found: Drift = calibration_drift([0.9, 0.8, 0.99], [0, 0, 0])
    assert (found.e_value, found.alarm_at, found.tested_from, found.visible) == (1.0, None, None, None)


def test_few_of_the_evaluation_say_nothing() -> None:
    p, c = answers(np.random.default_rng(0), 500, -0.3)
    found = calibration_drift(p, c, (p[:9], c[:9]))
    assert (found.tested_from, found.has_drifted, found.evaluation_suffices) == (None, False, False)
    assert calibration_drift(p, c, (p[:10], c[:10])).evaluation_suffices


def test_the_alarm_stays_raised() -> None:
    """Drift that passes: looking only at the end would miss it."""
    generator = np.random.default_rng(4)
    parts = [answers(generator, 300, -0.3), answers(generator, 3000, 0.03)]
    p, c = (np.concatenate(side) for side in zip(*parts, strict=True))
    found = calibration_drift(p, c)
    assert found.has_drifted
    assert found.alarm_at <= 300
    assert found.e_value < found.largest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "no examples"),
        (([0.5, 1.2], [0, 1]), "outside"),
        (([0.5], [0], ([0.5], [0, 1])), "same length"),
        (([0.5, 0.4], [0, 1], None, ["a"]), "2 confidences, but 1 groups"),
        (([0.5], [0], None, None, None, 0.0), "rate is 0.0"),
    ],
)
def test_wrong_input_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration_drift(*arguments)
