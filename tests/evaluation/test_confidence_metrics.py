import numpy as np
import pytest

from evaluation.confidence_metrics import (
    ace,
    auroc,
    confidence_metrics,
    ece,
    ece_if_calibrated,
    paired_difference,
    point_metrics,
)


def a(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def test_brier_and_nll_by_hand() -> None:
    # ((0.8 - 1)^2 + (0.3 - 0)^2) / 2 = (0.04 + 0.09) / 2;  -(log 0.8 + log 0.7) / 2
    found = point_metrics(a(0.8, 0.3), a(1, 0))
    assert found["brier"] == pytest.approx(0.065)
    assert found["nll"] == pytest.approx(-(np.log(0.8) + np.log(0.7)) / 2)
    assert found["brier_base_rate"] == pytest.approx(0.25)


def test_ece_keeps_confidence_one_in_the_last_bin() -> None:
    # Nine wrong answers at 1.0 and one at 0.5: bin 9 has gap 9 * (0 - 1), bin 5 gap 0 - 0.5; (9 + 0.5) / 10 = 0.95.
    assert ece(a(*[1.0] * 9, 0.5), np.zeros(10)) == pytest.approx(0.95)


def test_ece_pools_within_bins_only() -> None:
    # Bin 2 (0.21, 0.29; one right): gap 1 - 0.5 = 0.5. Bin 9 (0.9; right): 0.1. (0.5 + 0.1) / 3 = 0.2
    assert ece(a(0.21, 0.29, 0.9), a(1, 0, 1)) == pytest.approx(0.2)


def test_ece_bin_edges_belong_above() -> None:
    # 0.3 opens bin 3: alone there its gap is 0.7; with 0.29 in bin 2 the gaps (0.7, -0.29) may not cancel.
    assert ece(a(0.3, 0.29), a(1, 0)) == pytest.approx((0.7 + 0.29) / 2)


def test_ace_has_equal_mass_and_shares_ties() -> None:
    # Two bins of two: (0.1, 0.2) -> gap 0 - 0.3; (0.8, 0.9) -> 2 - 1.7 = 0.3; (0.3 + 0.3) / 4 = 0.15.
    assert ace(a(0.1, 0.2, 0.8, 0.9), a(0, 0, 1, 1), 2) == pytest.approx(0.15)
    tied = [ace(np.full(4, 0.5), np.array(order, dtype=float), 2) for order in ([1, 1, 0, 0], [1, 0, 1, 0])]
    assert tied == [0.0, 0.0]


def test_auroc_counts_ties_half_and_fractions_in_part() -> None:
    # Pairs (positive 0.7; negatives 0.7, 0.2): tie 1/2, win 1 -> 1.5 / 2.
    assert auroc(a(0.7, 0.7, 0.2), a(1, 0, 0)) == pytest.approx(0.75)
    # Correctness 1/2 at 0.6 is half a positive and half a negative. Positive mass: 1 at 0.9, 1/2 at 0.6; negative
    # mass: 1/2 at 0.6, 1 at 0.1. Wins: 1*(1/2 + 1) + 1/2*(1/2 * 1/2 + 1) = 2.125 of 1.5 * 1.5 = 2.25.
    assert auroc(a(0.9, 0.6, 0.1), a(1, 0.5, 0)) == pytest.approx(2.125 / 2.25)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_auroc(label: float) -> None:
    found = confidence_metrics(a(0.2, 0.4, 0.9), np.full(3, label), bootstrap_samples=100)
    assert found["auroc"] == {"value": None, "low": None, "high": None}
    assert found["brier"]["value"] is not None


def test_matches_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    generator = np.random.default_rng(0)
    p = generator.random(300)
    y = (generator.random(300) < p**2).astype(float)
    found = point_metrics(p, y)
    assert found["brier"] == pytest.approx(brier_score_loss(y, p))
    assert found["nll"] == pytest.approx(log_loss(y, p))
    assert found["auroc"] == pytest.approx(roc_auc_score(y, p))


def test_intervals_cover_and_shrink() -> None:
    generator = np.random.default_rng(1)
    p = generator.random(2000)
    y = (generator.random(2000) < p).astype(float)
    wide = confidence_metrics(p[:100], y[:100], bootstrap_samples=200)["brier"]
    narrow = confidence_metrics(p, y, bootstrap_samples=200)["brier"]
    assert wide["low"] < wide["value"] < wide["high"]
    assert narrow["high"] - narrow["low"] < 0.5 * (wide["high"] - wide["low"])


def test_a_calibrated_model_scores_the_ece_it_should() -> None:
    generator = np.random.default_rng(2)
    p = generator.random(500)
    y = (generator.random(500) < p).astype(float)
    expected = ece_if_calibrated(p, 10, 0)
    assert expected["low"] <= ece(p, y) <= expected["high"]
    assert 0.02 < expected["value"] < 0.06


def test_paired_difference_is_tighter_than_unpaired() -> None:
    generator = np.random.default_rng(3)
    y = (generator.random(300) < 0.4).astype(float)
    before = generator.random(300)
    after = 0.9 * before + 0.1 * y
    change = paired_difference(before, after, y, bootstrap_samples=300)["brier"]
    assert change["value"] == pytest.approx(point_metrics(after, y)["brier"] - point_metrics(before, y)["brier"])
    assert change["low"] < change["value"] < change["high"] < 0
    same = paired_difference(before, before, y, bootstrap_samples=100)
    assert same["ece"] == {"value": 0, "low": 0, "high": 0}


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([0.5, 1.2], [1, 0], r"confidence\[1\] is 1.2"),
        ([0.5, float("nan")], [1, 0], r"confidence\[1\] is nan"),
        ([0.5], [2], r"correct\[0\] is 2"),
        ([0.5, 0.5], [1], "same length"),
        ([], [], "no examples"),
    ],
)
def test_refuses_what_is_not_a_probability(confidence: list, correct: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confidence_metrics(confidence, correct)
