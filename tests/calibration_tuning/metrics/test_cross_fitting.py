"""Post-hoc calibrators are never scored on what they were fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from calibration_tuning.metrics.calibrators import CALIBRATORS, fit
from calibration_tuning.metrics.cross_fitting import apply, calibrate, cross_fitted, fit_all, grouped_folds


def data(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    logit = generator.normal(size=n)
    return logit, (generator.random(n) < expit(3 * logit)).astype(float)


def test_no_example_is_in_its_own_fit() -> None:
    # Labels are noise: an isotonic fit on the very data looks better than chance, cross-fitted it must not.
    generator = np.random.default_rng(1)
    logit, correct = generator.normal(size=300), (generator.random(300) < 0.5).astype(float)
    itself = fit("isotonic", logit, correct)(logit)
    crossed = cross_fitted("isotonic", logit, correct)
    assert np.mean((itself - correct) ** 2) < 0.247
    assert np.mean((crossed - correct) ** 2) > 0.25


def test_changing_an_example_does_not_change_its_own_confidence() -> None:
    logit, correct = data()
    first = cross_fitted("platt", logit, correct)
    correct[7] = 1 - correct[7]
    second = cross_fitted("platt", logit, correct)
    assert second[7] == first[7]
    assert (second != first).any()


def test_groups_share_a_fold() -> None:
    logit, correct = data(100)
    groups = np.arange(100) // 10
    first = cross_fitted("platt", logit, correct, groups)
    correct[0:10] = 1 - correct[0:10]
    second = cross_fitted("platt", logit, correct, groups)
    assert (second[:10] == first[:10]).all()
    with pytest.raises(ValueError, match="3 independent examples cannot be cut into 5 folds"):
        cross_fitted("platt", logit[:30], correct[:30], np.arange(30) // 10)


def test_folds_of_a_seed_are_the_same_and_of_equal_size() -> None:
    groups = np.repeat(["a", "b", "c", "d", "e"], [1, 2, 3, 4, 5])
    folds = grouped_folds(groups, seed=1)
    assert (folds == grouped_folds(groups, seed=1)).all()
    assert (folds != grouped_folds(groups, seed=2)).any()
    # Five groups in five folds: each group is one.
    assert len({*zip(groups, folds, strict=True)}) == len({*folds}) == 5


def test_missing_scores_stay_missing() -> None:
    logit, correct = data(50)
    logit[3] = np.nan
    fits = fit_all(logit, correct)
    assert {*fits} == {*CALIBRATORS}
    for calibrator in fits.values():
        assert np.flatnonzero(np.isnan(apply(calibrator, logit))).tolist() == [3]
    assert fit_all(np.full(5, np.nan), np.zeros(5)) == {}


def test_confidences_are_calibrated_by_what_has_not_seen_them() -> None:
    logit, correct = data()
    groups = np.arange(len(logit)) // 4
    expected = cross_fitted("beta", logit, correct, groups, seed=3)
    assert calibrate(list(expit(logit)), list(correct), "beta", groups, seed=3) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"), [(np.nan, "is nan"), (85.0, "is 85.0, outside")], ids=["NaN", "in percent"]
)
def test_what_is_no_confidence_is_refused(changed: float, message: str) -> None:
    confidence, correct = np.linspace(0.1, 0.9, 20), np.arange(20) % 2
    confidence[3] = changed
    with pytest.raises(ValueError, match=message):
        calibrate(confidence, correct)
    with pytest.raises(ValueError, match="20 confidences, but 3 groups"):
        calibrate(np.linspace(0.1, 0.9, 20), correct, groups=["a", "b", "c"])
