"""Uncertainty-query examples as token ids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calibration_tuning.config.training import ObjectiveSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import GradedAnswer


@dataclass(frozen=True)
class Example:
    """[question | answer | query]."""

    input_ids: list[int]
    answer_length: int
    correct: float
    """The target of the query, in [0, 1]."""
    grade: float
    """The grade of the proposed answer itself, in [0, 1]; differs where targets are soft."""


def query_example(row: GradedAnswer, prompt_format: PromptFormat, correct: float | None = None) -> Example:
    sequence = [*prompt_format.question_ids(row.text), *row.token_ids]
    target = row.correct if correct is None else correct
    return Example([*sequence, *prompt_format.query_ids], len(row.token_ids), target, row.correct)


def training_examples(
    settings: ObjectiveSettings, rows: list[GradedAnswer], prompt_format: PromptFormat, longest: int, where: Path
) -> list[Example]:
    """What is learnt from. Raises `UserError` where an example cannot be: nothing is cut off, as that would take the
    query, and with it the only supervised position, from a long one."""
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
                "after the few-shot block; take fewer query demonstrations or leave the question out"
            )
    if not any(example.answer_length for example in examples):
        raise UserError(
            f"{where}: every answer is empty, there is nothing to judge; look at the answers and curate again"
        )
    return examples


def share_correct(row: GradedAnswer) -> float:
    """k/n over all graded answers to the question, the proposed one among them."""
    grades = [row.correct, *(sample.correct for sample in row.samples)]
    return sum(grades) / len(grades)
