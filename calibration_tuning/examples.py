"""Questions with right answers that a user of a checkpoint shows before every question, in place of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from calibration_tuning.choice_labels import answer_texts
from calibration_tuning.errors import UserError
from calibration_tuning.question_rows import json_lines
from calibration_tuning.question_shapes import Misread, recognised
from calibration_tuning.records import Demonstration, below
from calibration_tuning.values import NotText, as_text, is_missing, kind_of


def as_examples(rows: Iterable[Mapping[str, Any] | Demonstration]) -> list[Demonstration]:
    """Rows with a question and its right answer, in the shapes that curation reads; `context` is a passage.

    Raises `UserError` for none at all, and naming the first one that lacks either, is marked as wrong (`correct`), or
    is a conversation of several turns.
    """
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise UserError(f"examples: is {kind_of(rows)}; give a list of questions with their right answers")
    shown = [_example(row, f"example {number}") for number, row in enumerate(rows, 1)]
    if not shown:
        raise UserError("examples: there is none; give a few questions with their right answers")
    return shown


def read_examples(file: Path) -> list[Demonstration]:
    """As `as_examples`, of a file of JSON lines."""
    shown = [_example(row, f"{file}, line {number}") for number, row in json_lines(file)]
    if not shown:
        raise UserError(f"{file}: holds no examples; give a few questions with their right answers")
    return shown


def _example(row: Any, where: str) -> Demonstration:
    if isinstance(row, Demonstration):
        row = row.model_dump()
    if not isinstance(row, Mapping):
        raise UserError(f"{where}: is {kind_of(row)}; an example has question and answer")
    columns = {str(name).strip().casefold(): value for name, value in row.items()}
    if not is_missing(columns.get("correct")) and str(columns["correct"]).casefold() not in ("1", "1.0", "true"):
        raise UserError(f"{where}, correct: is {columns['correct']}; an example shows a right answer")
    try:
        fields = recognised(row)
        question, answers = as_text(fields.get("question") or ""), answer_texts(fields.get("answer"))
        context = as_text(columns.get("context") or fields.get("context") or "")
    except (Misread, NotText) as error:
        raise UserError(f"{where}: {error}") from None
    for name, text in (("question", question), ("answer", answers[0] if answers else "")):
        if not text.strip():
            raise UserError(f"{where}, {name}: missing; an example is a question with its right answer")
    if fields.get("earlier"):
        raise UserError(f"{where}: is a conversation of several turns; an example is one question with its answer")
    return Demonstration(question=below(context.strip() or None, question.strip()), answer=answers[0].strip())
