"""The uncertainty query: the verdict's log-odds, and how well the vocabulary is calibrated at its position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from calibration_tuning.config.evaluation import EvaluationSettings
from calibration_tuning.lm.query import score_batch
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.records import Demonstration, FewShot, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State, pack


def few_shot(few_shot: FewShot, row: GradedAnswer) -> Sequence[Demonstration]:
    return few_shot.query


def zero_shot(few_shot: FewShot, row: GradedAnswer) -> Sequence[Demonstration]:
    return ()


def settings(settings: EvaluationSettings) -> Any:
    return [settings.num_bins, "probe" in settings.estimators]


def measure(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    return _measure(context, rows, state, block, with_hidden="probe" in context.settings.estimators)


def measure_zero_shot(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    return _measure(context, rows, state, block, with_hidden=False)


def _measure(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration], with_hidden: bool
) -> list[Finding]:
    probe = context.checkpoint.probe if state == "after" else None
    sequences = [context.question_and_answer(row) for row in rows]
    scores = score_batch(context.model, context.prompt, context.prefix(block, state), sequences, probe)
    no, yes = context.prompt.answer_tokens
    verdicts = torch.tensor([yes if row.correct >= 0.5 else no for row in rows])
    tokens = TokenCalibration(context.settings.num_bins)
    tokens.update(scores.vocabulary_logits, verdicts, range(len(rows)))
    values: list[Finding] = [
        {
            "logit": float(scores.logit[i]),
            "mass": float(scores.mass[i]),
            "vocabulary": tokens.vocabulary,
            "tokens": pack(tokens.sums[i]),
        }
        for i in range(len(rows))
    ]
    if with_hidden:
        for value, hidden in zip(values, scores.hidden.float().cpu().numpy(), strict=True):
            value["hidden"] = pack(hidden)
    return values
