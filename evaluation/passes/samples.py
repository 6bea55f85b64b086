"""Sampled answers: how often the model says the same again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from calibration_tuning.grading.graders import grade
from calibration_tuning.lm.answering import requests_for, uniforms
from calibration_tuning.lm.generation import Decoding, write_answers
from calibration_tuning.records import Demonstration, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State


def measure(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`samples`, `evaluation.samples` of each row: text, number of tokens, grade.

    Curated samples come first; further ones are drawn with their own random numbers, so that a row's samples do not
    depend on its batch. Cloze questions, whose answer is chosen, have none.
    """
    wanted = context.settings.samples
    samples = [[_sample(s.answer, s.token_ids, s.correct) for s in row.samples[:wanted]] for row in rows]
    if rows[0].style != "cloze":
        for number in range(1, wanted + 1):
            missing = [i for i in range(len(rows)) if len(samples[i]) < number]
            drawn = _drawn(context, [rows[i] for i in missing], state, block, number) if missing else []
            for i, sample in zip(missing, drawn, strict=True):
                samples[i].append(sample)
    return [{"samples": row_samples} for row_samples in samples]


def _drawn(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration], number: int
) -> list[dict[str, Any]]:
    requests = [requests_for([row], context.few_shot.by, context.max_new_tokens, number)[number] for row in rows]
    of_trace = context.prompt.thinking_tokens if context.prompt.thinking == "on" else 0
    answers = write_answers(
        context.model,
        context.prompt,
        context.prefix(block, state),
        [context.prompt.question_ids(row) for row in rows],
        Decoding(requests[0].max_new_tokens, rows[0].multiline, context.temperature),
        torch.from_numpy(np.stack([uniforms(request, context.seed, of_trace) for request in requests])),
    )
    return [
        _sample(answer.text, answer.token_ids, grade(row, answer.text))
        for row, answer in zip(rows, answers, strict=True)
    ]


def _sample(text: str, token_ids: list[int], correct: float) -> dict[str, Any]:
    return {"answer": text, "tokens": len(token_ids), "correct": float(correct)}
