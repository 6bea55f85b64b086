"""Answers of other models to the same questions, as further splits to be judged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from calibration_tuning.config.evaluation import OtherAnswers
from calibration_tuning.errors import UserError
from calibration_tuning.grading.graders import grade
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.question_rows import json_lines
from calibration_tuning.records import SPLITS, GradedAnswer, read_records
from calibration_tuning.values import as_text
from evaluation.passes.writing import can_be_graded

THIS_MODEL = "own"
"""The tuned model itself, in tables of models."""


def split_of(split: str, model: str) -> str:
    return f"{split}@{model}"


def other_splits(
    other_answers: Sequence[OtherAnswers], splits: Mapping[str, Sequence[GradedAnswer]], prompt_format: PromptFormat
) -> dict[str, list[GradedAnswer]]:
    """The splits with another model's answers and their grades in place of the model's own, by `split@model`.

    Questions that the file does not answer are left out. Raises `UserError` for a file that cannot be read, or that
    answers no test question.
    """
    splits_of_others: dict[str, list[GradedAnswer]] = {}
    for answered in other_answers:
        answers = other_answers_of(answered)
        asked = [row for row in splits["test"] if row.id in answers]
        if asked and not any(can_be_graded(row) for row in asked):
            raise UserError(
                f"evaluation.other_answers: {answered.name}: all sets need the judge, which runs in curation"
            )
        for split, rows in splits.items():
            splits_of_others[split_of(split, answered.name)] = [
                _answered(row, answered.name, answers[row.id], prompt_format)
                for row in rows
                if row.id in answers and can_be_graded(row)
            ]
        if not splits_of_others[split_of("test", answered.name)]:
            raise UserError(
                f"{answered.path}: answers none of the test questions; its ids must be those of the curated set"
            )
    return splits_of_others


def other_answers_of(other: OtherAnswers) -> dict[str, str]:
    """Answers by question id; the first answer where a question has several."""
    if other.path.is_dir():
        return _curated_answers(other)
    answers: dict[str, str] = {}
    for number, row in json_lines(other.path):
        for field in ("id", "answer"):
            if not isinstance(row, dict) or not isinstance(row.get(field), str):
                raise UserError(f"{other.path}, line {number}, {field}: missing, or not text")
        answers.setdefault(as_text(row["id"]), as_text(row["answer"]))
    return answers


def _curated_answers(other: OtherAnswers) -> dict[str, str]:
    """The answers of another run's model, in whichever split of that run their questions are."""
    paths = [path for split in SPLITS if (path := other.path / f"{split}.parquet").is_file()]
    if not paths:
        raise UserError(f"evaluation.other_answers: {other.path} holds no curated set, such as runs/NAME/curation")
    return {row.id: row.answer for path in paths for row in read_records(path)}


def _answered(row: GradedAnswer, model: str, answer: str, prompt_format: PromptFormat) -> GradedAnswer:
    digest = hashlib.sha256(answer.encode()).hexdigest()[:8]
    return row.model_copy(
        update={
            "id": f"{model}:{digest}:{row.id}",
            "answer": answer.strip(),
            "token_ids": prompt_format.answer_ids(answer) if answer.strip() else [],
            "token_logprobs": [],
            "choice_logprobs": None,
            "samples": [],
            "correct": grade(row, answer),
        }
    )
