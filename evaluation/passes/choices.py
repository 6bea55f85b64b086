"""Multiple choice: how likely each choice is, by its letter where letters are shown, else by its text."""

from __future__ import annotations

from collections.abc import Sequence

from calibration_tuning.lm.likelihood import continuation_logprobs
from calibration_tuning.records import CHOICE_LETTERS, Demonstration, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State


def has_choices(row: GradedAnswer) -> bool:
    return row.style in ("choice", "cloze") and bool(row.choices)


def sequences(row: GradedAnswer) -> int:
    return len(row.choices or ())


def measure(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`choice_logprobs`: of each choice, summed over its tokens."""
    shown = [CHOICE_LETTERS[: sequences(row)] if row.style == "choice" else (row.choices or []) for row in rows]
    ids = [[context.prompt.answer_ids(choice) for choice in labels] for labels in shown]
    questions = [context.prompt.answering_ids(row, row.trace) for row in rows]
    logprobs = continuation_logprobs(context.model, context.prefix(block, state), questions, ids)
    return [{"choice_logprobs": [sum(tokens) for tokens in labels]} for labels in logprobs]
