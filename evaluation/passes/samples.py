"""Sampled answers: how often the model says the same again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from calibration_tuning.answering import requests_for, uniforms
from calibration_tuning.generation import Decoding, generate_batch
from calibration_tuning.grading import grade
from calibration_tuning.records import Demonstration, GradedAnswer
from evaluation.passes.asked import Asked, Found, State


def measure(asked: Asked, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]) -> list[Found]:
    """`samples`, `evaluation.samples` of each row: text, number of tokens, sum of log-probabilities, grade.

    Curated samples come first; further ones are drawn with their own random numbers, so that a row's samples do not
    depend on its batch. Cloze questions, whose answer is chosen, have none.
    """
    wanted = asked.settings.samples
    samples: list[list[dict[str, Any]]] = [
        [_sample(s.answer, s.token_ids, s.token_logprobs, s.correct) for s in row.samples[:wanted]] for row in rows
    ]
    for number in range(1, wanted + 1):
        missing = [i for i, row in enumerate(rows) if row.style != "cloze" and len(samples[i]) < number]
        kinds = sorted({(rows[i].multiline, rows[i].max_new_tokens or asked.max_new_tokens) for i in missing})
        for multiline, length in kinds:
            own = [
                i
                for i in missing
                if (rows[i].multiline, rows[i].max_new_tokens or asked.max_new_tokens) == (multiline, length)
            ]
            for i, sample in zip(own, _drawn(asked, [rows[i] for i in own], state, block, number, length), strict=True):
                samples[i].append(sample)
    return [{"samples": own} for own in samples]


def _drawn(
    asked: Asked,
    rows: Sequence[GradedAnswer],
    state: State,
    block: Sequence[Demonstration],
    number: int,
    max_new_tokens: int,
) -> list[dict[str, Any]]:
    requests = [requests_for([row], asked.few_shot.by, asked.max_new_tokens, number)[number] for row in rows]
    drawn = torch.from_numpy(np.stack([uniforms(request, asked.seed) for request in requests]))
    answers = generate_batch(
        asked.model,
        asked.prompt,
        asked.prefix(block, state),
        [asked.prompt.question_ids(row.text) for row in rows],
        Decoding(max_new_tokens, rows[0].multiline, asked.temperature),
        drawn,
    )
    return [
        _sample(answer.text, answer.token_ids, answer.token_logprobs, grade(row, answer.text))
        for row, answer in zip(rows, answers, strict=True)
    ]


def _sample(text: str, token_ids: list[int], logprobs: list[float], correct: float) -> dict[str, Any]:
    return {"answer": text, "tokens": len(token_ids), "logprob": float(sum(logprobs)), "correct": float(correct)}
