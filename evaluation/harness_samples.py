"""Samples that lm-evaluation-harness logs (`--log_samples`): the confidence that their log-likelihoods hold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from calibration_tuning.errors import UserError

SIGNS = ("doc_id", "filtered_resps", "metrics")
NOTE = (
    "samples of lm-evaluation-harness: the confidence is the probability of the likeliest choice among the choices, "
    "correct is acc"
)


def is_samples(table: dict[str, list[Any]]) -> bool:
    return all(name in table for name in SIGNS)


def confidence_and_correct(file: Path, table: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Columns `confidence` and `correct` of a multiple-choice task.

    `acc` is of the choice with the greatest log-likelihood, so the confidence is that choice's share: the softmax over
    the choices' summed log-likelihoods. With the metric `acc_mutual_info` each choice has a second log-likelihood,
    without the question; these follow the first ones and are left out. Raises `UserError` for a task that has no
    choices, and for rows that several filters made of one question.
    """
    if "acc" not in table:
        raise UserError(f"{file}: the task has no acc of choices, and so no confidence; add a column confidence")
    if len(set(table["doc_id"])) < len(table["doc_id"]):
        raise UserError(f"{file}: several rows have one doc_id (one for each filter); keep those of one filter")
    confidence, per_choice = [], 2 if "acc_mutual_info" in table else 1
    for number, replies in enumerate(table["filtered_resps"]):
        logliks = _logliks(replies, per_choice)
        if logliks is None:
            raise UserError(f"{file}, row {number}, filtered_resps: not the log-likelihoods of several choices")
        confidence.append(float(softmax(logliks).max()))
    return {"confidence": confidence, "correct": table["acc"]}


def _logliks(replies: Any, per_choice: int) -> np.ndarray | None:
    """[choices] of [log-likelihood, is greedy], `per_choice` for each choice, which the harness writes as text."""
    try:
        values = [float(loglik) for loglik, _ in replies]
        values = values[: len(values) // per_choice]
    except (TypeError, ValueError):
        return None
    return np.array(values) if len(values) > 1 and all(map(math.isfinite, values)) else None
