"""A scorer for inspect_ai that adds a checkpoint's confidence in each answer, the Brier score and the ECE.

    Task(dataset=..., solver=generate(), scorer=with_confidence(match(), checkpoint="runs/demo"))

docs/integrations.md has a whole example.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration_tuning.extras import pip_install

try:
    from inspect_ai.scorer import (
        Metric,
        SampleScore,
        Score,
        Scorer,
        Target,
        mean,
        metric,
        scorer,
        stderr,
        value_to_float,
    )
    from inspect_ai.solver import TaskState
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"this needs {error.name}: {pip_install('inspect-ai')}") from None

from calibration_tuning.metrics.calibration_error import ece as expected_calibration_error
from calibration_tuning.values import as_text

if TYPE_CHECKING:
    from calibration_tuning.calibrated_model import CalibratedModel

_TURN = Lock()
"""Samples are scored at the same time, a model judges one batch at a time."""


@metric
def ece() -> Metric:
    """ECE of ten equal-width bins, from the two parts of `with_confidence`'s scores; NaN for fewer than ten answers.

    With several epochs, an answer is the mean of its epochs: a mean confidence and a share that is correct.
    """

    def compute(scores: list[SampleScore]) -> float:
        pairs = [_pair(row.score) for row in scores]
        complete = np.array([pair for pair in pairs if not np.isnan(pair).any()], dtype=np.float64)
        value = expected_calibration_error(*complete.T) if len(complete) else None
        return float("nan") if value is None else value

    return compute


@scorer(
    metrics=[{"correct": [mean(), stderr()], "confidence": [mean()], "brier": [mean(), stderr()]}, ece()],
)
def with_confidence(grader: Scorer, checkpoint: str, context: str | None = None, device: str | None = None) -> Scorer:
    """Grade an answer with another scorer, and add how probable the checkpoint holds it that the answer is correct.

    grader: any scorer of which a score is correct, incorrect, or a number in [0, 1].
    checkpoint: a checkpoint's or a run's folder, or a hub repository. It judges; what answers is the task's model.
    context: the key of the sample's metadata that holds a passage to read, if there is one.

    The question is the sample's input, the answer what `grader` took out of the completion, or the completion itself.
    A sample that the grader cannot score stays unscored.
    """

    async def score(state: TaskState, target: Target) -> Score | None:
        graded = await grader(state, target)
        if graded is None:
            return None
        correct = value_to_float()(graded.value)
        if not 0 <= correct <= 1:
            return Score.unscored(reason="scoring_failed", answer=graded.answer, explanation=graded.explanation)
        answer = (graded.answer or state.output.completion).strip()
        passage = as_text(state.metadata.get(context)) if context else ""
        confidence = await asyncio.to_thread(_confidence, checkpoint, device, state.input_text, answer, passage or None)
        value = {"correct": correct, "confidence": confidence, "brier": (confidence - correct) ** 2}
        return Score(value=value, answer=answer, explanation=graded.explanation, metadata=graded.metadata)

    return score


def _confidence(checkpoint: str, device: str | None, question: str, answer: str, context: str | None) -> float:
    with _TURN:
        return _model(checkpoint, device).confidence(question, answer, context)


@cache
def _model(checkpoint: str, device: str | None) -> CalibratedModel:
    from calibration_tuning.calibrated_model import CalibratedModel

    return CalibratedModel.from_pretrained(checkpoint, device=device)


def _pair(score: Score) -> Sequence[float]:
    value: Any = score.value
    return (value["confidence"], value["correct"]) if isinstance(value, dict) else (np.nan, np.nan)
