"""Folds that keep groups together, and the penalty that predicts best over them."""

from __future__ import annotations

import numpy as np
import pytest

from calibration_tuning.readout.penalties import balanced_folds, fit_with_best_penalty


def test_folds_keep_groups_together_and_score_every_answer_once() -> None:
    groups = np.arange(60) // 2
    right = np.arange(60) % 3 == 0
    folds = balanced_folds(right, groups)
    assert folds is not None
    assert sorted(np.concatenate([scored for _, scored in folds])) == list(range(60))
    for fitted, scored in folds:
        assert not {*groups[fitted]} & {*groups[scored]}


@pytest.mark.parametrize(
    ("right", "groups"),
    [
        (np.arange(40) < 9, np.arange(40)),  # nine correct answers
        (np.arange(40) >= 9, np.arange(40)),  # nine wrong ones
        (np.arange(40) % 2 == 0, np.arange(40) % 9),  # nine groups
        (np.arange(40) < 20, np.maximum(np.arange(40) - 19, 0)),  # one group has all correct answers
    ],
)
def test_too_few_of_anything_are_no_folds(right: np.ndarray, groups: np.ndarray) -> None:
    assert balanced_folds(right, groups) is None


@pytest.mark.slow
def test_noise_gets_the_strongest_penalty_and_a_rule_a_weaker_one() -> None:
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(0)
    features = draw.normal(size=(200, 30))
    for right, expected in ((draw.random(200) < 0.5, 1e-4), (features[:, 0] > 0, 1.0)):
        folds = balanced_folds(right, np.arange(200))
        assert folds is not None
        model = fit_with_best_penalty(LogisticRegression(), "C", [1e-4, 1.0], features, right, folds)
        assert expected == model.C


def test_fits_side_by_side_are_those_of_one_after_the_other() -> None:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    draw = np.random.default_rng(1)
    features = draw.normal(size=(120, 10))
    right = features[:, 0] + draw.normal(size=120) > 0
    folds = balanced_folds(right, np.arange(120) // 2)
    assert folds is not None
    weights = []
    for threads in (1, 3):
        with threadpool_limits(threads):
            weights.append(fit_with_best_penalty(LogisticRegression(), "C", [1e-3, 1.0], features, right, folds).coef_)
    assert np.array_equal(*weights)
