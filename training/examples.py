"""Graded answers become training examples: the token ids of a question, its answer and the uncertainty query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calibration_tuning.config.training import ObjectiveSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import GradedAnswer


@dataclass(frozen=True)
class Example:
    """An `Example` holds the token ids of question, answer and query, in this order, and the query's target."""

    input_ids: list[int]
    answer_length: int
    correct: float
    """The target of the query, in [0, 1]."""
    grade: float
    """The grade of the proposed answer, in [0, 1]. It differs from `correct` where targets are soft."""


def query_example(row: GradedAnswer, prompt_format: PromptFormat, correct: float | None = None) -> Example:
    sequence = [*prompt_format.judged_ids(row), *row.token_ids]
    target = row.correct if correct is None else correct
    return Example([*sequence, *prompt_format.query_ids], len(row.token_ids), target, row.correct)


def training_examples(
    settings: ObjectiveSettings, rows: list[GradedAnswer], prompt_format: PromptFormat, longest: int, where: Path
) -> list[Example]:
    """Return the training split as examples, with targets as `settings` ask for.

    Examples are never cut off: a long example would lose its query, which is the only supervised position. Raises
    `UserError` if an example has more than `longest` tokens, if all answers are empty, or if targets are soft and no
    answers were sampled.
    """
    if settings.targets == "soft" and not any(row.samples for row in rows):
        raise UserError(
            f"training.objective.targets: soft, but {where} has no sampled answers; curate with curation.samples > 0"
        )
    targets = [share_correct(row) if settings.targets == "soft" else row.correct for row in rows]
    examples = [query_example(row, prompt_format, target) for row, target in zip(rows, targets, strict=True)]
    for number, (row, example) in enumerate(zip(rows, examples, strict=True)):
        if len(example.input_ids) > longest:
            raise UserError(
                f"{where}, row {number} ({row.id}): {len(example.input_ids)} tokens, but the model reads {longest} "
                "after the few-shot block; use fewer query demonstrations or remove the question"
            )
    if not any(example.answer_length for example in examples):
        raise UserError(
            f"{where}: every answer is empty, so there is nothing to judge; check the answers and curate again"
        )
    return examples


def share_correct(row: GradedAnswer) -> float:
    """Return the share k/n of correct answers among all graded answers to the question, proposed and sampled."""
    grades = [row.correct, *(sample.correct for sample in row.samples)]
    return sum(grades) / len(grades)
