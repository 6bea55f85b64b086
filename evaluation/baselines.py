"""What is known without looking at an answer: how often answers are right, overall and in each subject."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration_tuning.records import GradedAnswer

PRIOR = 2.0
"""Answers at the base rate that are added to those of every subject, so that a subject of few answers is not 0 or 1."""


def subject_accuracy(fitted_on: Sequence[GradedAnswer], rows: Sequence[GradedAnswer]) -> np.ndarray:
    """[n], for each of `rows`: the accuracy of its subject among the answers `fitted_on`, smoothed.

    (right answers of the subject + 2 * base rate) / (its answers + 2): an m-estimate (Cestnik 1990), m = 2. A subject
    that `fitted_on` has no answer of gets the base rate. A subject is a question set with a subject in it (`topic`).
    """
    base_rate = float(np.mean([row.correct for row in fitted_on]))
    right: dict[str, float] = {}
    count: dict[str, int] = {}
    for row in fitted_on:
        right[row.topic] = right.get(row.topic, 0.0) + row.correct
        count[row.topic] = count.get(row.topic, 0) + 1
    return np.array(
        [(right.get(row.topic, 0.0) + PRIOR * base_rate) / (count.get(row.topic, 0) + PRIOR) for row in rows],
        dtype=np.float64,
    )
