"""Fitting a classifier with the ridge penalty that predicts best over folds which keep groups together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray
Folds = list[tuple[Array, Array]]
FOLDS = 5
LEAST = 2 * FOLDS
"""Correct answers, wrong answers and groups that are needed, at least."""


def balanced_folds(right: Array, groups: Array) -> Folds | None:
    """Return folds (indices fitted on, indices scored) of answers with `right` [n] (bool) and `groups` [n].

    A group is in one fold. None if there are fewer than ten correct answers, wrong answers or groups, or no folds of
    which each part has both kinds of answer, as where one group holds all correct ones.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if min(right.sum(), (~right).sum(), len(np.unique(groups))) < LEAST:
        return None
    folds = [*StratifiedGroupKFold(FOLDS).split(groups, right, groups)]
    return None if any(len(set(right[part])) < 2 for fold in folds for part in fold) else folds


def fit_with_best_penalty(
    model: Any, parameter: str, penalties: Sequence[float], features: Array, right: Array, folds: Folds
) -> Any:
    """Return `model` fitted on `features` [n, W], with the value of `parameter` that has the least NLL over the folds.

    Each fit runs on one thread, as many fits at a time as NumPy has threads: a fit's products of a matrix and a vector
    are so small that threads within it only wait for each other.
    """
    from joblib import parallel_config
    from sklearn.model_selection import GridSearchCV
    from threadpoolctl import threadpool_info, threadpool_limits

    at_a_time = max((pool["num_threads"] for pool in threadpool_info()), default=1)
    search = GridSearchCV(model, {parameter: list(penalties)}, cv=folds, scoring="neg_log_loss")
    with threadpool_limits(1), unconverged_allowed(), parallel_config("threading", n_jobs=at_a_time):
        return search.fit(features, right).best_estimator_


@contextmanager
def unconverged_allowed() -> Iterator[None]:
    """Fits with weak penalties may not converge; they are not chosen then."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
