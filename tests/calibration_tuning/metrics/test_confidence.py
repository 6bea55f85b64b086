"""Metrics of confidences: by hand, and against independent implementations, whose traps are noted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import beta

from calibration_tuning.metrics.bootstrap import Interval
from calibration_tuning.metrics.calibrated_labels import _correlation_within, labels_if_calibrated
from calibration_tuning.metrics.calibration_error import ace, debiased_ece, ece, mce, smooth_ece
from calibration_tuning.metrics.comparison import holm_corrected
from calibration_tuning.metrics.confidence import (
    METRICS,
    before_and_after,
    confidence_metrics,
    paired_difference,
    point_metrics,
)
from calibration_tuning.metrics.ranking import auprc, aurc, auroc, auroc_within, prr, risk_coverage
from calibration_tuning.metrics.scoring_rules import brier_parts


def a(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def sample(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    p = generator.random(n)
    return p, (generator.random(n) < p**2).astype(float)


def test_brier_and_nll_by_hand() -> None:
    # ((0.8 - 1)^2 + (0.3 - 0)^2) / 2 = (0.04 + 0.09) / 2;  -(log 0.8 + log 0.7) / 2
    found = point_metrics(a(0.8, 0.3), a(1, 0))
    assert found["brier"] == pytest.approx(0.065)
    assert found["nll"] == pytest.approx(-(np.log(0.8) + np.log(0.7)) / 2)


def test_brier_skill_by_hand() -> None:
    # Half right: always saying 0.5 scores 0.25. (0.8 - 1)^2 and (0.3 - 0)^2: 0.065 of 0.25 is left, 0.74 gained.
    assert point_metrics(a(0.8, 0.3), a(1, 0))["brier_skill"] == pytest.approx(1 - 0.065 / 0.25)
    assert point_metrics(np.full(4, 0.5), a(1, 0, 1, 0))["brier_skill"] == 0.0
    assert point_metrics(a(0.8), a(1))["brier_skill"] is None


@pytest.mark.parametrize("correct", [0.0, 1.0, 0.7, 1 / 3])
def test_brier_skill_of_equally_correct_answers_is_undefined(correct: float) -> None:
    found = confidence_metrics(np.linspace(0, 1, 30), np.full(30, correct), only=("brier_skill",))["brier_skill"]
    assert found.value is None


def test_nll_of_a_certain_mistake_is_finite() -> None:
    assert point_metrics(a(1.0), a(0))["nll"] == pytest.approx(-np.log(1e-12), rel=1e-3)


def test_brier_parts_by_hand() -> None:
    # Bins 2 (0.2, 0.2; one of two right) and 9 (0.9, 0.9; both right); accuracy 3/4.
    # reliability: 1/2 (0.2 - 0.5)^2 + 1/2 (0.9 - 1)^2 = 0.05; resolution: 1/2 (0.5 - 0.75)^2 * 2 = 0.0625;
    # uncertainty 3/4 * 1/4 = 0.1875; Brier: (0.04 + 0.64 + 0.01 + 0.01) / 4 = 0.175 = 0.05 - 0.0625 + 0.1875.
    parts = brier_parts(a(0.2, 0.2, 0.9, 0.9), a(0, 1, 1, 1), 10)
    assert parts == pytest.approx((0.05, 0.0625, 0.1875))


def test_brier_parts_add_up_with_spread_in_bins() -> None:
    p, y = sample(400)
    reliability, resolution, uncertainty = brier_parts(p, y, 10)
    assert reliability - resolution + uncertainty == pytest.approx(np.mean((p - y) ** 2))


def test_ece_keeps_confidence_one_in_the_last_bin() -> None:
    # Nine wrong answers at 1.0 and one at 0.5: bin 9 has gap 9 * (0 - 1), bin 5 gap 0 - 0.5; (9 + 0.5) / 10 = 0.95.
    assert ece(a(*[1.0] * 9, 0.5), np.zeros(10)) == pytest.approx(0.95)


def test_ece_pools_within_bins_only() -> None:
    # Three bins. Bin 0 (0.21, 0.29; one right): gap 1 - 0.5 = 0.5. Bin 2 (0.9; right): 0.1. (0.5 + 0.1) / 3 = 0.2
    assert ece(a(0.21, 0.29, 0.9), a(1, 0, 1), 3) == pytest.approx(0.2)


def test_ece_bin_edges_belong_above() -> None:
    # Two bins: 0.5 opens the upper one: alone there its gap is 0.5; with 0.49 below the gaps may not cancel.
    assert ece(a(0.5, 0.49), a(1, 0), 2) == pytest.approx((0.5 + 0.49) / 2)


def test_mce_is_the_worst_bin() -> None:
    # Bins of 2: (0.2, 0.4; one right): |0.5 - 0.3| = 0.2; (0.9; wrong): 0.9.
    assert mce(a(0.2, 0.4, 0.9), a(1, 0, 0), 2) == pytest.approx(0.9)


def test_ace_has_equal_mass_and_shares_ties() -> None:
    # Two bins of two: (0.1, 0.2) -> gap 0 - 0.3; (0.8, 0.9) -> 2 - 1.7 = 0.3; (0.3 + 0.3) / 4 = 0.15.
    assert ace(a(0.1, 0.2, 0.8, 0.9), a(0, 0, 1, 1), 2) == pytest.approx(0.15)
    tied = [ace(np.full(4, 0.5), np.array(order, dtype=float), 2) for order in ([1, 1, 0, 0], [1, 0, 1, 0])]
    assert tied == [0.0, 0.0]


def test_debiased_ece_by_hand() -> None:
    # One bin's worth: 0.5 four times, two right. gap 0, s = sqrt(0.25/4) = 0.25; |N(0, s^2)| has mean s sqrt(2/pi).
    # 2 * 0 - 0.25 * sqrt(2/pi) = -0.19947.
    assert debiased_ece(np.full(4, 0.5), a(1, 1, 0, 0), 2) == pytest.approx(-0.25 * np.sqrt(2 / np.pi))
    # All right at 0.9: no spread, nothing to correct.
    assert debiased_ece(np.full(4, 0.9), np.ones(4), 2) == pytest.approx(0.1)


def test_auroc_counts_ties_half_and_fractions_in_part() -> None:
    # Pairs (positive 0.7; negatives 0.7, 0.2): tie 1/2, win 1 -> 1.5 / 2.
    assert auroc(a(0.7, 0.7, 0.2), a(1, 0, 0)) == pytest.approx(0.75)
    # Correctness 1/2 at 0.6 is half a positive and half a negative. Positive mass: 1 at 0.9, 1/2 at 0.6; negative
    # mass: 1/2 at 0.6, 1 at 0.1. Wins: 1*(1/2 + 1) + 1/2*(1/2 * 1/2 + 1) = 2.125 of 1.5 * 1.5 = 2.25.
    assert auroc(a(0.9, 0.6, 0.1), a(1, 0.5, 0)) == pytest.approx(2.125 / 2.25)


def test_auprc_by_hand() -> None:
    # Thresholds 0.9 (right): precision 1, recall 1/2; 0.5 (right and wrong tied): precision 2/3, recall 1.
    assert auprc(a(0.9, 0.5, 0.5, 0.1), a(1, 1, 0, 0)) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_risk_coverage_by_hand_and_ties_in_random_order() -> None:
    coverage, risk = risk_coverage(a(0.9, 0.5, 0.5), a(1, 0, 1))
    assert coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert risk.tolist() == pytest.approx([0, 0.25, 1 / 3])  # of the two at 0.5 either may come first
    assert aurc(a(0.9, 0.5, 0.5), a(1, 0, 1)) == pytest.approx((0 + 0.25 + 1 / 3) / 3)


def test_prr_by_hand() -> None:
    # Two of four are right. Risks by falling confidence, right wrong right wrong: 0, 1/2, 1/3, 1/2, mean 1/3. The best
    # order has 0, 0, 1/3, 1/2, mean 5/24; a random one 1/2. (1/2 - 1/3) / (1/2 - 5/24) = 4/7.
    assert prr(a(0.9, 0.7, 0.5, 0.3), a(1, 0, 1, 0)) == pytest.approx(4 / 7)
    assert prr(a(0.9, 0.8, 0.2, 0.1), a(1, 1, 0, 0)) == pytest.approx(1)
    assert prr(np.full(4, 0.5), a(1, 0, 1, 0)) == pytest.approx(0)  # without skill, as all ties are in random order
    assert prr(a(0.1, 0.2, 0.8, 0.9), a(1, 1, 0, 0)) < 0


@pytest.mark.parametrize("correct", [np.ones(5), np.zeros(5), np.full(5, 0.5)])
def test_prr_of_equally_correct_answers_is_undefined(correct: np.ndarray) -> None:
    assert prr(np.linspace(0, 1, 5), correct) is None
    assert confidence_metrics(np.linspace(0, 1, 5), correct, only=["prr"])["prr"].undefined


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["0 or 1", "fractions"])
def test_prr_is_lm_polygraphs(kind: str) -> None:
    """Their steps: the quality of what is kept as the least certain answers are rejected one by one, its mean over all
    shares rejected, and where that lies between those of random orders (many drawn) and of the order by quality."""
    p, c = sample(60)
    quality = c if kind == "0 or 1" else np.round(p**2, 2)

    def area(uncertainty: np.ndarray) -> float:
        kept = quality[np.argsort(uncertainty)]
        return float(np.mean([kept[: len(kept) - rejected].mean() for rejected in range(len(kept))]))

    generator = np.random.default_rng(0)
    random = np.mean([area(generator.permutation(60)) for _ in range(4000)])
    theirs = (area(-p) - random) / (area(-quality) - random)
    assert prr(p, quality) == pytest.approx(theirs, abs=0.02)


def test_prr_has_an_interval_and_a_verdict() -> None:
    p, c = sample(300)
    rated = before_and_after(np.full(300, 0.5), p, c, bootstrap_samples=200, only=["prr"])
    assert rated.after["prr"].low < rated.after["prr"].value < rated.after["prr"].high
    assert rated.difference["prr"].verdict == "better"


def test_auroc_within_subjects_by_hand() -> None:
    # Subject a: right 0.9, 0.3, wrong 0.5, 0.3: of 4 pairs 0.9 > 0.5, 0.9 > 0.3, 0.3 = 0.3 (a half): 2.5.
    # Subject b: right 0.2, wrong 0.8, 0.1: of 2 pairs one. Subject c has no wrong answer and no pair. (2.5 + 1) / 6.
    confidence = a(0.9, 0.3, 0.5, 0.3, 0.2, 0.8, 0.1, 0.7)
    correct = a(1, 1, 0, 0, 1, 0, 0, 1)
    subjects = np.array([*"aaaabbbc"])
    assert auroc_within(confidence, correct, subjects) == pytest.approx(3.5 / 6)
    order = np.random.default_rng(0).permutation(8)
    assert auroc_within(confidence[order], correct[order], subjects[order]) == pytest.approx(3.5 / 6)


def test_auroc_within_one_subject_is_auroc_and_fractions_count_in_part() -> None:
    p, c = sample(200)
    for correct in (c, p**2):
        assert auroc_within(p, correct, np.zeros(200)) == pytest.approx(auroc(p, correct))


def test_a_confidence_that_knows_only_subjects_tells_nothing_apart_within_them() -> None:
    generator = np.random.default_rng(0)
    subjects = generator.integers(0, 6, 600)
    p = np.array([0.05, 0.2, 0.35, 0.5, 0.7, 0.95])[subjects]
    found = confidence_metrics(p, generator.random(600) < p, bootstrap_samples=100, subjects=subjects)
    assert found["auroc"].value > 0.8
    assert (found["auroc_within_subjects"].low, found["auroc_within_subjects"].high) == (0.5, 0.5)


@pytest.mark.slow
def test_without_pairs_within_a_subject_there_is_no_such_auroc() -> None:
    subjects = ["right", "wrong"] * 20
    for given in (None, subjects):
        found = confidence_metrics(sample(40)[0], [1, 0] * 20, bootstrap_samples=100, subjects=given)
        assert found["auroc_within_subjects"].value is None
        assert "no subject has both" in str(found["auroc_within_subjects"].undefined)


def test_refuses_groups_of_other_answers() -> None:
    with pytest.raises(ValueError, match="5 confidences, but 2 groups"):
        confidence_metrics(np.full(5, 0.5), np.ones(5), groups=["a", "b"])


def test_refuses_subjects_of_other_answers() -> None:
    with pytest.raises(ValueError, match="2 confidences, but 3 subjects"):
        confidence_metrics([0.5, 0.6], [1, 0], subjects=["a", "b", "c"])


@pytest.mark.slow
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_auroc(label: float) -> None:
    p = np.linspace(0.1, 0.9, 12)
    found = confidence_metrics(p, np.full(12, label), bootstrap_samples=100)
    for name in ("auroc", "auprc", "brier_skill"):
        why = "undefined: all answers are correct, or all are wrong"
        assert found[name] == Interval(None, undefined=why)
    assert found["brier"].value is not None
    change = paired_difference(p, p / 2, np.full(12, label), bootstrap_samples=100)
    assert change["auroc"].value is None
    assert change["auroc"].verdict == ""


def test_fewer_examples_than_bins_have_no_binned_error() -> None:
    found = confidence_metrics(a(0.2, 0.4, 0.9), a(0, 1, 1), num_bins=10, bootstrap_samples=100)
    for name in ("ece", "ace", "mce", "debiased_ece"):
        assert found[name].value is None
        assert found[name].undefined == "undefined: fewer examples than bins"
    assert found["brier"].value == pytest.approx((0.04 + 0.36 + 0.01) / 3)
    assert found["smooth_ece"].value is not None
    assert confidence_metrics(a(0.2, 0.4, 0.9), a(0, 1, 1), 3, bootstrap_samples=100)["ece"].value is not None


def test_sparse_bins_are_warned_of() -> None:
    # Bins 0 (nine answers), 4 (ten) and 9 (one).
    p, names = a(*[0.05] * 9, *[0.45] * 10, 1.0), [name for name in METRICS if name != "smooth_ece"]  # which is slow
    found = confidence_metrics(p, np.arange(20) % 2, bootstrap_samples=100, only=names)
    for name in names:
        expected = name in ("ece", "mce", "debiased_ece", "brier_reliability", "brier_resolution")
        assert (found[name].warning is not None) == expected, name
    assert found["ece"].warning.startswith("2 of 3 bins hold fewer than 10 answers (50% of all)")
    assert found["ece"].as_dict()["warning"] == found["ece"].warning
    full = confidence_metrics(np.full(20, 0.5), np.arange(20) % 2, bootstrap_samples=100, only=("ece",))["ece"]
    assert full.warning is None
    assert "warning" not in full.as_dict()


def test_resolution_has_no_verdict_and_is_in_no_family() -> None:
    p, y = sample(200)
    change = paired_difference(np.full(200, 0.5), p, y, bootstrap_samples=100, only=("brier_resolution",))[
        "brier_resolution"
    ]
    assert (change.verdict, change.value > 0, change.p < 0.05) == ("", True, True)
    assert holm_corrected([(METRICS["brier_resolution"], change)]) == [change]


def test_the_ends_zero_and_one() -> None:
    right = point_metrics(a(*[0.0] * 10, *[1.0] * 10), a(*[0.0] * 10, *[1.0] * 10))
    assert all(right[name] == pytest.approx(0, abs=1e-9) for name in ("brier", "ece", "ace", "mce", "smooth_ece"))
    assert (right["auroc"], right["auprc"]) == (1.0, 1.0)
    wrong = point_metrics(a(*[0.0] * 10, *[1.0] * 10), a(*[1.0] * 10, *[0.0] * 10))
    assert all(wrong[name] == pytest.approx(1.0) for name in ("brier", "ece", "ace", "mce"))
    assert wrong["auroc"] == 0.0


def test_matches_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    p, y = sample(300)
    p = np.round(p, 2)  # many ties
    found = point_metrics(p, y)
    assert found["brier"] == pytest.approx(brier_score_loss(y, p))
    assert found["nll"] == pytest.approx(log_loss(y, np.clip(p, 1e-12, 1 - 1e-12)))
    assert found["auroc"] == pytest.approx(roc_auc_score(y, p))
    assert found["auprc"] == pytest.approx(average_precision_score(y, p))
    # Fractions: the same as each example twice, weighted.
    c = np.random.default_rng(1).random(300)
    twice, labels, weights = np.tile(p, 2), np.repeat([1, 0], 300), np.concatenate([c, 1 - c])
    assert auroc(p, c) == pytest.approx(roc_auc_score(labels, twice, sample_weight=weights))
    assert auprc(p, c) == pytest.approx(average_precision_score(labels, twice, sample_weight=weights))


def test_matches_torchmetrics() -> None:
    """Traps: torchmetrics puts confidence 1.0 into a phantom bin of its own, and sums in float32."""
    import torch
    from torchmetrics.functional.classification import binary_auroc, binary_calibration_error

    p, y = sample(2000)
    inputs = (torch.tensor(p), torch.tensor(y).int())
    assert ece(p, y) == pytest.approx(binary_calibration_error(*inputs, n_bins=10, norm="l1").item(), abs=1e-5)
    assert mce(p, y) == pytest.approx(binary_calibration_error(*inputs, n_bins=10, norm="max").item(), abs=1e-5)
    assert auroc(p, y) == pytest.approx(binary_auroc(*inputs).item(), abs=1e-6)
    trap_p, trap_y = a(*[1.0] * 5, *[0.95] * 5), a(*[0.0] * 5, *[1.0] * 5)
    # One bin: |5 - 9.75| / 10 = 0.475; split at 1.0 it would be (5 * 1 + 5 * 0.05) / 10 = 0.525.
    assert ece(trap_p, trap_y) == pytest.approx(0.475)
    theirs = binary_calibration_error(torch.tensor(trap_p), torch.tensor(trap_y).int(), n_bins=10, norm="l1").item()
    assert theirs == pytest.approx(0.525, abs=1e-5)


@pytest.mark.slow
def test_matches_calibration_of_kumar_et_al() -> None:
    """Traps: `uncertainty-calibration` takes the squared error unless p=1, sizes bins by mass unless told otherwise,
    closes bins on the right, and simulates the bias with a random seed of its own."""
    from calibration import utils

    p, y = sample(3000)
    data = list(zip(p.tolist(), y.tolist(), strict=True))
    edges = [m / 10 for m in range(1, 11)]
    binned = utils.bin(data, edges)
    assert ece(p, y) == pytest.approx(utils.plugin_ce(binned, power=1))
    np.random.seed(0)
    assert debiased_ece(p, y) == pytest.approx(utils.normal_debiased_ce(binned, power=1, resamples=20_000), abs=5e-4)


def test_matches_relplot() -> None:
    """Trap: relplot's binned error makes a bin of its own for 1.0 too; its smooth one has no bins."""
    import relplot

    p, y = sample(1500)
    assert smooth_ece(p, y) == pytest.approx(relplot.smECE(p, y))
    assert ece(p, y) == pytest.approx(relplot.metrics.binnedECE(p, y, nbins=10))
    # Within a factor of two of ECE, as a calibration measure should be, and small where ECE is noise.
    assert 0.5 < smooth_ece(p, y) / ece(p, y) < 2
    assert smooth_ece(np.full(100, 0.3), a(*[1.0] * 30, *[0.0] * 70)) == pytest.approx(0, abs=1e-9)


def test_intervals_cover_and_shrink() -> None:
    generator = np.random.default_rng(1)
    p = generator.random(2000)
    y = (generator.random(2000) < p).astype(float)
    wide = confidence_metrics(p[:100], y[:100], bootstrap_samples=200, only=("brier",))["brier"]
    narrow = confidence_metrics(p, y, bootstrap_samples=200, only=("brier",))["brier"]
    assert wide.low < wide.value < wide.high
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


def test_labels_are_drawn_one_at_a_time_as_all_at_once() -> None:
    generator = np.random.default_rng(1)
    p, groups = generator.random(300), np.arange(300) % 70
    correct = (generator.random(70)[groups] < p).astype(float)
    shared = np.sqrt(_correlation_within(p, correct, groups))
    plain = np.random.default_rng(5)
    common = plain.normal(size=(20, 70))[:, groups]
    latent = shared * common + np.sqrt(1 - shared**2) * plain.normal(size=(20, 300))
    assert shared > 0.1
    drawn = list(labels_if_calibrated(p, correct, groups, 20, 5))
    np.testing.assert_array_equal(drawn, ndtr(latent) < p)
    alone = np.random.default_rng(5).random((20, 300)) < p
    np.testing.assert_array_equal(list(labels_if_calibrated(p, correct, 300, 20, 5)), alone)


def test_a_calibrated_model_scores_the_errors_it_should() -> None:
    generator = np.random.default_rng(2)
    p = generator.random(500)
    y = (generator.random(500) < p).astype(float)
    found = confidence_metrics(p, y, bootstrap_samples=100)
    for name in ("ece", "ace", "mce", "smooth_ece"):
        expected = found[name].if_calibrated
        assert expected.low <= found[name].value <= expected.high, name
        assert found[name].low == 0.0, name
    assert 0.02 < found["ece"].if_calibrated.value < 0.06
    assert found["brier"].if_calibrated is None


def f1_like(n: int, seed: int, groups: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Confidences that are exactly right about correctness between 0 and 1, which varies much less than 0 and 1 would;
    answers of a group share the quantile."""
    generator = np.random.default_rng(seed)
    p = generator.uniform(0.1, 0.9, n)
    luck = generator.random(n) if groups is None else generator.random(groups.max() + 1)[groups]
    return p, beta.ppf(luck, 12 * p, 12 * (1 - p))


@pytest.mark.slow
@pytest.mark.parametrize("in_groups", [False, True])
def test_chance_is_smaller_for_fractions(in_groups: bool) -> None:
    """Over calibrated data sets, ECE is what `if_calibrated` says (by 0 and 1, it said four times as much), its value
    seldom exceeds the range."""
    groups = np.arange(300) // 5 if in_groups else None
    found = [
        confidence_metrics(*f1_like(300, seed, groups), 10, seed, 200, groups, only=("ece", "debiased_ece"))
        for seed in range(40)
    ]
    values = np.array([entry["ece"].value for entry in found])
    expected = [entry["ece"].if_calibrated for entry in found]
    assert np.mean([entry.value for entry in expected]) == pytest.approx(values.mean(), rel=0.1)
    assert sum(value > entry.high for value, entry in zip(values, expected, strict=True)) <= 4  # of 40; 1 expected
    assert np.mean([entry["ece"].low == 0 for entry in found]) >= 0.9
    if not in_groups:
        # Kumar's estimator removes about half of the noise; by the variance of 0 and 1 this was -0.05.
        assert 0 < np.mean([entry["debiased_ece"].value for entry in found]) < 0.7 * values.mean()


def test_debiased_ece_of_fractions_by_hand() -> None:
    # 0.4, 0.6 twice each at confidence 0.5: gap 0, variance 0.01, s = sqrt(0.01 / 4) = 0.05; -0.05 sqrt(2 / pi).
    assert debiased_ece(np.full(4, 0.5), a(0.4, 0.6, 0.4, 0.6), 2) == pytest.approx(-0.05 * np.sqrt(2 / np.pi))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("tiny", [1e-310, 1e-160, 5e-324])
def test_debiased_ece_of_next_to_no_spread_does_not_overflow(tiny: float) -> None:
    assert debiased_ece(np.full(10, 0.5), np.array([tiny, *[0.0] * 9])) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([0.5, 1.2], [1, 0], r"confidence\[1\] is 1.2"),
        ([0.5, -0.1], [1, 0], r"confidence\[1\] is -0.1"),
        ([0.5, float("nan")], [1, 0], r"confidence\[1\] is nan"),
        ([0.5], [2], r"correct\[0\] is 2"),
        ([0.5, 0.5], [1], "same length"),
        ([[0.5]], [[1]], "same length"),
        ([], [], "no examples"),
    ],
)
def test_refuses_what_is_not_a_probability(confidence: list, correct: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confidence_metrics(confidence, correct)


def test_refuses_pairs_that_are_none() -> None:
    with pytest.raises(ValueError, match="same questions"):
        paired_difference([0.5, 0.5], [0.5], [1, 0], correct_after=[1])
    with pytest.raises(ValueError, match="at least 2 bins"):
        confidence_metrics([0.5], [1], num_bins=1)


def test_every_metric_has_a_value_and_a_label() -> None:
    found = confidence_metrics(*sample(50), bootstrap_samples=100, subjects=["a", "b"] * 25)
    assert {*found} == {*METRICS}
    assert all(entry.low <= entry.value <= entry.high for entry in found.values())
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
