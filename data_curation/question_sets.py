"""Questions from embedded sets, local files and hub data sets, all through `datasets`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from calibration_tuning.errors import UserError
from calibration_tuning.files import fingerprint
from calibration_tuning.records import Question
from calibration_tuning.run_config import QuestionSetSettings
from data_curation.embedded.arithmetic import arithmetic_rows
from data_curation.embedded.build import FACTS

EMBEDDED = "embedded:"
FILE_BUILDERS = {"json": "json", "jsonl": "json", "csv": "csv", "tsv": "csv", "parquet": "parquet"}


def load_questions(settings: QuestionSetSettings, seed: int) -> list[Question]:
    """All questions of one set, in a fixed order; `limit` draws at random by `seed`.

    Raises `UserError` naming file, row and field for rows that cannot be used.
    """
    questions = [_question(settings, row, number) for number, row in enumerate(_rows(settings))]
    if settings.subjects is not None:
        if missing := set(settings.subjects) - {q.subject for q in questions}:
            raise UserError(f"questions.{settings.name}.subjects: {sorted(missing)} not found in {settings.path}")
        questions = [q for q in questions if q.subject in settings.subjects]
    if not questions:
        raise UserError(f"questions.{settings.name}: {settings.path} holds no questions")
    if settings.limit is not None and settings.limit < len(questions):
        chosen = sorted(random.Random(seed).sample(range(len(questions)), settings.limit))
        questions = [questions[i] for i in chosen]
    return questions


def _rows(settings: QuestionSetSettings) -> Iterator[dict[str, Any]]:
    if settings.path == "embedded:arithmetic":
        return arithmetic_rows()
    if settings.path.startswith(EMBEDDED):
        return _embedded_rows(settings)
    path = Path(settings.path)
    suffixes = [s.lstrip(".") for s in path.suffixes]
    if suffixes and suffixes[-1] == "gz":
        suffixes.pop()
    if suffixes and suffixes[-1] in FILE_BUILDERS:
        if not path.is_file():
            raise UserError(f"questions.{settings.name}.path: {path} does not exist")
        options = {"delimiter": "\t"} if suffixes[-1] == "tsv" else {}
        return _load(settings, FILE_BUILDERS[suffixes[-1]], data_files=str(path), split="train", **options)
    return _load(settings, settings.path, name=settings.subset, split=settings.split)


def _embedded_rows(settings: QuestionSetSettings) -> Iterator[dict[str, Any]]:
    wanted = settings.path.removeprefix(EMBEDDED)
    rows = [row for row in _load(settings, "csv", data_files=str(FACTS), split="train") if row["set"] == wanted]
    if not rows:
        raise UserError(
            f"questions.{settings.name}.path: no embedded set {wanted!r}; "
            "there are arithmetic, cities, countries and elements"
        )
    return iter(rows)


def _load(settings: QuestionSetSettings, *arguments: Any, **options: Any) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    if options.get("data_files") and arguments[0] == "csv":
        options["keep_default_na"] = False  # an answer may be "NA" (sodium) or "None"
    try:
        return iter(load_dataset(*arguments, **options))
    except (OSError, ValueError, DatasetGenerationError) as error:
        reason = error.__cause__ or error
        first = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
        raise UserError(f"questions.{settings.name}.path: {settings.path} cannot be read ({first})") from error


def _question(settings: QuestionSetSettings, row: dict[str, Any], number: int) -> Question:
    text, answer = (_required(settings, row, number, field) for field in ("question", "answer"))
    choices = _optional(row, settings.choices)
    choices = [str(choice) for choice in choices] if isinstance(choices, list) else None
    if choices and len(choices) > 26:
        raise _row_error(settings, number, settings.choices, f"has {len(choices)} choices, more than there are letters")
    if choices and settings.grader == "choice" and answer not in choices:
        raise _row_error(settings, number, settings.answer, f"{answer!r} is not one of the choices {choices}")
    subject = _optional(row, settings.subject) or settings.name
    return Question(
        id=str(row.get("id") or f"{settings.name}/{number}"),
        source=settings.name,
        subject=str(subject),
        group=str(row.get("group") or fingerprint(" ".join(text.casefold().split()))),
        question=text,
        choices=choices,
        references=list(dict.fromkeys([answer, *_aliases(_optional(row, settings.aliases))])),
        grader=settings.grader,
    )


def _required(settings: QuestionSetSettings, row: dict[str, Any], number: int, field: str) -> str:
    column = getattr(settings, field)
    if column.split(".")[0] not in row and column not in row:
        raise UserError(
            f"questions.{settings.name}.{field}: {settings.path} has no column {column!r}; it has {', '.join(row)}"
        )
    value = _value(row, column)
    if value is None or not str(value).strip():
        raise _row_error(settings, number, column, "is empty")
    return str(value).strip()


def _optional(row: dict[str, Any], column: str | None) -> Any:
    return _value(row, column) if column is not None else None


def _value(row: dict[str, Any], column: str) -> Any:
    """The column, or what a dotted path such as `answer.value` or `answers.0` leads to; None where it ends early."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        if isinstance(value, list) and part.isdigit():
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _aliases(value: Any) -> list[str]:
    if not value:
        return []
    parts = value.split("|") if isinstance(value, str) else value
    return [str(part).strip() for part in parts if str(part).strip()]


def _row_error(settings: QuestionSetSettings, number: int, column: str | None, what: str) -> UserError:
    return UserError(f"{settings.path}, row {number}, {column}: {what}; mend or remove the row")
