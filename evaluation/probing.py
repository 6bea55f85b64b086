"""A linear probe on the hidden state at the query: what the model knows there, whatever it says (Azaria and Mitchell
2023; Kadavath et al. 2022)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from calibration_tuning.records import GradedAnswer
from evaluation.findings import Findings
from evaluation.passes.base import State, unpack

FOLDS = 5
LEAST = 2 * FOLDS
PENALTIES = np.logspace(-5, 0, 6).tolist()


def probe(splits: Mapping[str, Sequence[GradedAnswer]], findings: Findings, state: State) -> dict[str, np.ndarray]:
    """Logistic regression fitted on the calibration split, its ridge penalty chosen by cross-validated NLL.

    The calibration split's own scores are of folds that were fitted without the answer, so that a calibrator can be
    fitted on them. NaN everywhere where that split has fewer than ten correct answers, wrong ones or groups, or cannot
    be cut into folds that have both.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = splits["calibration"]
    correct = np.array([row.correct >= 0.5 for row in rows])
    groups = np.array([row.group for row in rows])
    nothing = {split: np.full(len(rows_of_split), np.nan) for split, rows_of_split in splits.items()}
    if min(correct.sum(), (~correct).sum()) < LEAST or len(np.unique(groups)) < LEAST:
        return nothing
    features = {split: _hidden(rows_of_split, findings, state) for split, rows_of_split in splits.items()}
    folds = [*StratifiedGroupKFold(FOLDS).split(features["calibration"], correct, groups)]
    if any(len(set(correct[part])) < 2 for fold in folds for part in fold):  # all the right answers in one group, say
        return nothing
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    search = GridSearchCV(plain, {"logisticregression__C": PENALTIES}, cv=folds, scoring="neg_log_loss")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weak penalties may not converge; they are not chosen then
        search.fit(features["calibration"], correct)
        scores = {split: search.decision_function(x) if len(x) else np.zeros(0) for split, x in features.items()}
        scores["calibration"] = cross_val_predict(
            search.best_estimator_, features["calibration"], correct, cv=folds, method="decision_function"
        )
    return scores


def _hidden(rows: Sequence[GradedAnswer], findings: Findings, state: State) -> np.ndarray:
    """float32 [n, H]."""
    return np.stack([unpack(findings.need("query", state, row)["hidden"]) for row in rows]) if rows else np.zeros(0)
