"""Answers that are written anew, and graded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calibration_tuning.grading.graders import GRADERS
from calibration_tuning.grading.graders import grade as grade_answer
from calibration_tuning.lm.answering import Answerer, requests_for
from calibration_tuning.records import Demonstration, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State


def can_be_graded(row: GradedAnswer) -> bool:
    """A judge's grades are made in curation, by a model that is not at hand here."""
    return row.grader in GRADERS


def kind(row: GradedAnswer) -> Any:
    """What a batch of written answers has in common."""
    return row.style == "cloze", row.multiline, row.max_new_tokens


def answer_again(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`answer` and its grade `correct`: the greedy answer, as curation asked for it.

    Asked of both states: an answer that an engine or another machine gave in curation may differ by itself."""
    answerer = Answerer(
        context.model, context.prompt, context.few_shot.answer, context.settings.batch_size, cloze=context.cloze
    )
    requests = requests_for(rows, context.few_shot.by, context.max_new_tokens)
    answers = {
        request.key: answer for batch in answerer.answer(answerer.batches(requests)) for request, answer in batch
    }
    texts = [answers[request.key].text for request in requests]
    return [{"answer": text, "correct": grade_answer(row, text)} for row, text in zip(rows, texts, strict=True)]
