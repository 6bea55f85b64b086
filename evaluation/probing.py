"""Linear probes on hidden states: what the model knows there, whatever it says (Azaria and Mitchell 2023; Kadavath et
al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from calibration_tuning.readout.penalties import Folds, balanced_folds, fit_with_best_penalty, unconverged_allowed
from calibration_tuning.records import GradedAnswer
from evaluation.findings import Findings
from evaluation.passes.base import State, unpack

Array = np.ndarray
PENALTIES = np.logspace(-5, 0, 6).tolist()


def probe(splits: Mapping[str, Sequence[GradedAnswer]], findings: Findings, state: State) -> dict[str, Array]:
    """Log-odds by split of a probe on the state at the query, fitted on the calibration split.

    The calibration split's own scores are of folds that were fitted without the answer, so that a calibrator can be
    fitted on them. NaN everywhere where `fit` can fit none.
    """
    from sklearn.model_selection import cross_val_predict

    rows = splits["calibration"]
    folds = cut(rows)
    if folds is None:
        return {split: np.full(len(rows_of_split), np.nan) for split, rows_of_split in splits.items()}
    features = {split: _hidden(rows_of_split, findings, state) for split, rows_of_split in splits.items()}
    fitted = fit(features["calibration"], rows, folds)
    scores = {split: fitted.decision_function(x) if len(x) else np.zeros(0) for split, x in features.items()}
    with unconverged_allowed():
        scores["calibration"] = cross_val_predict(
            fitted, features["calibration"], _correct(rows), cv=folds, method="decision_function"
        )
    return scores


def p_ik(splits: Mapping[str, Sequence[GradedAnswer]], findings: Findings, state: State) -> dict[str, Array]:
    """P(IK), "I know", of Kadavath et al. 2022: log-odds by split of a probe on the state at the end of the question.

    It is fitted on the training answers, so that all splits' scores are of answers it has not seen. It looks at no
    answer: two answers to the same question get the same score. NaN everywhere where `fit` can fit none, and for
    questions whose states were not read.
    """
    rows = findings.training
    folds = cut(rows)
    if folds is None:
        return {split: np.full(len(rows_of_split), np.nan) for split, rows_of_split in splits.items()}
    fitted = fit(states_of("question_states", rows, findings, state), rows, folds)
    return {
        split: scored(rows_of_split, "question_states", findings, state, fitted.decision_function)
        for split, rows_of_split in splits.items()
    }


def cut(rows: Sequence[GradedAnswer]) -> Folds | None:
    """Folds that keep groups together, or None: see `balanced_folds`."""
    return balanced_folds(_correct(rows), np.array([row.group for row in rows]))


def fit(features: Array, rows: Sequence[GradedAnswer], folds: Folds) -> Any:
    """Logistic regression on standardised features [n, H], its ridge penalty chosen by the folds' NLL."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return fit_with_best_penalty(plain, "logisticregression__C", PENALTIES, features, _correct(rows), folds)


def states_of(name: str, rows: Sequence[GradedAnswer], findings: Findings, state: State) -> Array:
    """float32 [n, H]: what the pass `name` read of every row. Raises `RunError` where it did not look at one."""
    states = [unpack(findings.need(name, state, row)["states"]) for row in rows]
    return np.stack(states) if states else np.zeros((0, 0), np.float32)


def scored(
    rows: Sequence[GradedAnswer], name: str, findings: Findings, state: State, score: Callable[[Array], Array]
) -> Array:
    """[n]: `score` of the states that the pass `name` read, NaN for rows that it did not look at."""
    values = np.full(len(rows), np.nan)
    looked_at = [number for number, row in enumerate(rows) if findings.of(name, state, row) is not None]
    if looked_at:
        values[looked_at] = score(states_of(name, [rows[number] for number in looked_at], findings, state))
    return values


def _correct(rows: Sequence[GradedAnswer]) -> Array:
    return np.array([row.correct >= 0.5 for row in rows], dtype=bool)


def _hidden(rows: Sequence[GradedAnswer], findings: Findings, state: State) -> Array:
    """float32 [n, H]."""
    return np.stack([unpack(findings.need("query", state, row)["hidden"]) for row in rows]) if rows else np.zeros(0)
