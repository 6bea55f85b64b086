"""Intervals of the token-level metrics, and what they are where nothing is wrong."""

import numpy as np
import pytest
import torch

from calibration_tuning.metrics.token_calibration import TokenCalibration
from tests.calibration_tuning.metrics.test_token_calibration import seen


@pytest.mark.slow
def test_full_ece_of_tokens_drawn_from_the_probabilities_is_as_expected() -> None:
    generator = torch.Generator().manual_seed(6)
    logits = torch.randn(2000, 30, generator=generator) * 2
    values = []
    for _ in range(30):
        targets = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)
        values.append(seen(logits, targets).compute())
    expected = values[0]["full_ece_if_calibrated"]
    assert np.mean([v["full_ece"] for v in values]) == pytest.approx(expected, rel=0.08)
    entry = seen(logits, targets, ids=range(2000)).compute_intervals(200)["full_ece"]
    assert entry.if_calibrated.value == pytest.approx(expected, rel=0.05)
    assert entry.low == 0.0


def test_chance_knows_that_a_token_is_in_one_bin_only() -> None:
    # Two tokens, 0.85 and 0.15, in two bins: what one bin has too many the other has too few. The error of N positions
    # is 2 |d| / N, d with variance N 0.85 0.15; the 97.5% point of |d| is 2.2414 standard deviations. Bins that were
    # independent would lie together more closely: 0.80 of that.
    n = 200
    logits = torch.tensor([[0.85, 0.15]]).log().repeat(n, 1)
    found = seen(logits, [0] * 170 + [1] * 30, ids=range(n)).compute_intervals(100)["full_ece"]
    assert found.if_calibrated.high == pytest.approx(2 * 2.2414 * np.sqrt(n * 0.85 * 0.15) / n, rel=0.05)
    assert found.if_calibrated.value == pytest.approx(2 * np.sqrt(2 / np.pi * n * 0.85 * 0.15) / n, rel=0.05)


def calibrated_tokens(seed: int) -> TokenCalibration:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(300, 40, generator=generator) * 2.5
    targets = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)
    return seen(logits, targets, ids=range(300))


@pytest.mark.slow
def test_intervals_of_calibrated_tokens_hold_zero() -> None:
    held = dict.fromkeys(("full_ece", "full_ece_nk", "top1_ece", "top1_ace"), 0)
    for seed in range(40):
        found = calibrated_tokens(seed).compute_intervals(100)
        for name in held:
            held[name] += found[name].low == 0
            assert found[name].if_calibrated.value > 0
    assert min(held.values()) >= 35, held  # of 40; 39 expected


def test_the_two_normalisations_say_the_same() -> None:
    found = calibrated_tokens(1).compute_intervals(100)
    for name in ("value", "low", "high"):
        assert getattr(found["full_ece_nk"], name) == pytest.approx(getattr(found["full_ece"], name) / 40)
    change = calibrated_tokens(2).difference_intervals(calibrated_tokens(1), 100)
    assert change["full_ece_nk"].p == change["full_ece"].p
    assert change["full_ece_nk"].low == pytest.approx(change["full_ece"].low / 40)


def test_equal_mass_vouches_for_no_chance_value() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(200, 30, generator=generator), torch.randint(0, 30, (200,), generator=generator)
    found = seen(logits, targets, 10, "equal_mass", range(200)).compute_intervals(100)["full_ece"]
    assert found.if_calibrated is None
    assert found.low <= found.value <= found.high


def test_wrong_certainty_keeps_its_interval_beyond_one() -> None:
    # Full-ECE reaches 2: nothing may cut the interval, or a difference's, at 1.
    generator = torch.Generator().manual_seed(0)
    logits = torch.zeros(60, 2)
    logits[:, 0] = 6.0
    targets = (torch.rand(60, generator=generator) < 0.8).long()
    bad = seen(logits, targets, ids=range(60))
    found = bad.compute_intervals(200)["full_ece"]
    assert found.value > 1.3
    assert found.high > found.value
    good = seen(torch.zeros(60, 2), targets, ids=range(60))
    change = good.difference_intervals(bad, 200)["full_ece"]
    assert change.low < change.value - 0.05


def test_intervals_resample_sequences_and_groups() -> None:
    generator = torch.Generator().manual_seed(2)
    logits, targets = torch.randn(60, 9, generator=generator) * 3, torch.randint(0, 9, (60,), generator=generator)
    ids = [i // 3 for i in range(60)]
    ours, same = seen(logits, targets, ids=ids), seen(logits, targets, ids=ids)
    found = ours.compute_intervals(300)
    assert found["nll"].low < found["nll"].value < found["nll"].high
    assert found["nll"].value == pytest.approx(ours.compute()["nll"])
    for name, entry in ours.difference_intervals(same, 50).items():
        assert (entry.value, entry.p) == (0, 1), name
    # In groups of two, ten are left to resample; in fewer than ten groups there is no interval.
    pairs = ours.compute_intervals(300, groups=[i // 2 for i in range(20)])["nll"]
    assert (pairs.low, pairs.high) != (found["nll"].low, found["nll"].high)
    halves = ours.compute_intervals(300, groups=["a"] * 10 + ["b"] * 10)["nll"]
    assert (halves.value, halves.low, halves.high) == (found["nll"].value, None, None)
