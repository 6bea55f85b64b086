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
    others: Sequence[OtherAnswers], splits: Mapping[str, Sequence[GradedAnswer]], prompt_format: PromptFormat
) -> dict[str, list[GradedAnswer]]:
    """The rows of every split with another model's answer and its grade instead, by `split@model`; questions that the
    file does not answer are left out. Raises `UserError` for a file that cannot be read, or answers nothing."""
    splits_of_others: dict[str, list[GradedAnswer]] = {}
    for other in others:
        answers = other_answers_of(other)
        asked = [row for row in splits["test"] if row.id in answers]
        if asked and not any(can_be_graded(row) for row in asked):
            raise UserError(f"evaluation.other_answers: {other.name}: all sets need the judge, which runs in curation")
        for split, rows in splits.items():
            splits_of_others[split_of(split, other.name)] = [
                _answered(row, other.name, answers[row.id], prompt_format)
                for row in rows
                if row.id in answers and can_be_graded(row)
            ]
        if not splits_of_others[split_of("test", other.name)]:
            raise UserError(
                f"{other.path}: answers none of the test questions; its ids must be those of the curated set"
            )
    return splits_of_others


def other_answers_of(other: OtherAnswers) -> dict[str, str]:
    """Answer by question id; of several to one question the first."""
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
    """What another run's model answered, on whichever side of that run's split its questions are."""
    paths = [path for split in SPLITS if (path := other.path / f"{split}.parquet").is_file()]
    if not paths:
        raise UserError(f"evaluation.other_answers: {other.path} holds no curated set, such as runs/NAME/curation")
    return {row.id: row.answer for path in paths for row in read_records(path)}


def _answered(row: GradedAnswer, model: str, answer: str, prompt_format: PromptFormat) -> GradedAnswer:
    said = hashlib.sha256(answer.encode()).hexdigest()[:8]
    return row.model_copy(
        update={
            "id": f"{model}:{said}:{row.id}",
            "answer": answer.strip(),
            "token_ids": prompt_format.answer_ids(answer) if answer.strip() else [],
            "token_logprobs": [],
            "choice_logprobs": None,
            "samples": [],
            "correct": grade(row, answer),
        }
    )
