"""Questions from embedded sets, local files and hub data sets, through the templates of their set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from calibration_tuning.config.questions import MixtureEntry, QuestionSetSettings, last_part
from calibration_tuning.config.templates import TemplateFailed, compiled
from calibration_tuning.errors import UserError
from calibration_tuning.grading.graders import as_number
from calibration_tuning.question_shapes import Misread, answer_texts, choice_texts, label_position, recognised
from calibration_tuning.records import CHOICE_LETTERS, Demonstration, Question
from calibration_tuning.runs.files import fingerprint
from calibration_tuning.values import NotText, as_text, is_missing, parsed, plain
from data_curation.embedded.arithmetic import arithmetic_rows
from data_curation.embedded.build import FACTS
from data_curation.read_rows import Row, Unreadable, is_file_path, read_file

EMBEDDED = "embedded:"
WHOLE_FLOAT = re.compile(r"-?\d+\.0")
"""How pandas writes the whole numbers of a column in which some are missing."""
WORD_FOR_WORD = ("exact", "case_sensitive", "fuzzy")
"""Graders for which 3.0 is not 3, and every reference is a whole answer."""
LONGEST_GROUP = 40  # a whole passage may be the key of a group, wherever it comes from; its hash stands in for it


class BadRow(Exception):
    """A row that cannot become a question: `field` of the set's settings, and what is wrong."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")
        self.field = field


@dataclass(frozen=True)
class Loaded:
    """The questions of one set, and the rows that were left out: (row number, what is wrong)."""

    questions: list[Question]
    rows: int
    bad: list[tuple[int, str]] = field(default_factory=list)


def load_questions(settings: QuestionSetSettings, split: str | None) -> Loaded:
    """All questions of one set, in the order of its rows; rows that cannot be used are left out and listed.

    Raises `UserError` for a file or data set that cannot be read, and where no row is usable (a missing column).
    """
    questions: list[Question] = []
    bad: list[tuple[int, str]] = []
    ids: set[str] = set()
    number = -1
    for number, row in enumerate(_rows(settings, split)):
        if isinstance(row, Unreadable):
            bad.append((number, str(row)))
            continue
        try:
            question = render_question(settings, row, number)
        except BadRow as error:
            bad.append((number, str(error)))
        else:
            # Ids are keys of the journal, so repeated ids of a set are made unique.
            names = (f"{question.id}+{again}" for again in count(1))
            own_id = question.id if question.id not in ids else next(name for name in names if name not in ids)
            ids.add(own_id)
            questions.append(question if own_id == question.id else question.model_copy(update={"id": own_id}))
    if not questions:
        what = f"row {bad[0][0]}, {bad[0][1]}" if bad else "no rows"
        raise UserError(f"questions.{settings.source}: none of {settings.path}'s {number + 1} rows is usable ({what})")
    if settings.subjects is not None:
        if missing := set(settings.subjects) - {q.subject for q in questions}:
            raise UserError(f"questions.{settings.source}.subjects: {sorted(missing)} not found in {settings.path}")
        questions = [q for q in questions if q.subject in settings.subjects]
    return Loaded(questions, number + 1, bad)


def local_file(settings: MixtureEntry) -> Path | None:
    """The file a set is read from, if it is one."""
    if settings.path.startswith(EMBEDDED):
        return FACTS
    return Path(settings.path) if is_file_path(settings.path) else None


def render_question(settings: QuestionSetSettings, row: Row, number: int) -> Question:
    """The question that a row means. Raises `BadRow`."""
    shape = _shape(settings, row)
    text = _text(settings, row, shape, "question")
    choices, labels = _choices(settings, row, shape)
    references = _references(settings, row, shape, choices, labels)
    context = _text(settings, row, shape, "context") if settings.context is not None else None
    if settings.context is None and is_default(settings, "question") and is_default(settings, "answer"):
        context = _clean("context", shape.get("context")) or None
    earlier = _earlier(shape) if is_default(settings, "question") else []
    opening = earlier[0].question if earlier else text
    own_id = _clean("id", _value(settings, row, shape, "id"))
    return Question(
        id=f"{settings.source}/{own_id or number}",
        source=settings.source,
        subject=_clean("subject", _value(settings, row, shape, "subject")) or settings.source,
        # All questions of a conversation are of one group.
        group=_group(settings, row, shape) or fingerprint([context, " ".join(opening.casefold().split())]),
        earlier=earlier,
        context=context,
        question=text,
        choices=choices,
        references=references,
        program=_text(settings, row, shape, "program") if settings.program is not None else None,
        grader=settings.grader,
        style=settings.style,
        multiline=settings.multiline,
        max_new_tokens=settings.max_new_tokens,
    )


def is_default(settings: QuestionSetSettings, name: str) -> bool:
    """True if the set does not say what this field's template is."""
    return bool(getattr(settings, name) == QuestionSetSettings.model_fields[name].default)


def _shape(settings: QuestionSetSettings, row: Row) -> dict[str, Any]:
    """What the row holds by the columns of well-known sets, for the fields without a template."""
    try:
        return recognised(row)
    except Misread as error:
        if is_default(settings, error.field) and settings.label is None:
            raise BadRow(error.field, str(error)) from None
        return {}


def _rows(settings: QuestionSetSettings, split: str | None) -> Iterator[Row | Unreadable]:
    path = settings.path
    if is_file_path(path) and not Path(path).is_file():
        raise UserError(f"questions.{settings.source}.path: {path} does not exist")
    if path == "embedded:arithmetic":
        return arithmetic_rows()
    if path.startswith(EMBEDDED):
        return _embedded_rows(settings)
    return read_file(Path(path)) if is_file_path(path) else _hub_rows(settings, split)


def _embedded_rows(settings: QuestionSetSettings) -> Iterator[Row]:
    wanted = settings.path.removeprefix(EMBEDDED)
    rows = [row for row in read_file(FACTS) if not isinstance(row, Unreadable) and row["set"] == wanted]
    if not rows:
        raise UserError(
            f"questions.{settings.source}.path: no embedded set {wanted!r}; "
            "there are arithmetic, cities, countries and elements"
        )
    return iter(rows)


def _hub_rows(settings: QuestionSetSettings, split: str | None) -> Iterator[Row]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        return map(plain, load_dataset(settings.path, name=settings.name, split=split, revision=settings.revision))
    except (OSError, ValueError, RuntimeError, DatasetGenerationError) as error:
        reason = error.__cause__ or error
        first = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
        raise UserError(f"questions.{settings.source}.path: {settings.path} cannot be read ({first})") from None


def _earlier(shape: Row) -> list[Demonstration]:
    turns = [tuple(text.strip() for text in pair) for pair in shape.get("earlier", ())]
    if not all(all(pair) for pair in turns):
        raise BadRow("question", "has an earlier turn that is empty")
    return [Demonstration(question=question, answer=answer) for question, answer in turns]


def _value(settings: QuestionSetSettings, row: Row, shape: Row, name: str) -> Any:
    template = getattr(settings, name)
    if template is None:
        return None
    columns = {**row, **shape} if is_default(settings, name) else row
    try:
        if isinstance(template, list):
            return [compiled(t)(columns) for t in template]
        return compiled(template)(columns)
    except TemplateFailed as error:
        raise BadRow(name, f"{error}; the row has the columns {', '.join(map(str, row))}") from None


def _text(settings: QuestionSetSettings, row: Row, shape: Row, name: str) -> str:
    text = _clean(name, _value(settings, row, shape, name))
    if not text:
        raise BadRow(name, "is empty")
    return text


def _clean(field: str, value: Any) -> str:
    try:
        return as_text(value)
    except NotText as error:
        raise BadRow(field, str(error)) from None


def _choices(settings: QuestionSetSettings, row: Row, shape: Row) -> tuple[list[str] | None, list[str]]:
    """The choices, and the row's labels of them. None for choices that cannot be used where nothing needs them."""
    needed = settings.style != "open_ended" or settings.grader == "choice"
    try:
        choices, labels = _checked_choices(settings, row, _value(settings, row, shape, "choices"))
    except BadRow:
        if needed or settings.label is not None:
            raise
        return None, []
    if needed and choices is None:
        raise BadRow("choices", "is missing")
    return choices, labels


def _checked_choices(settings: QuestionSetSettings, row: Row, values: Any) -> tuple[list[str] | None, list[str]]:
    if is_missing(values):
        return None, []
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise BadRow("choices", f"{values!r} is not a list")
    try:
        choices, labels = choice_texts(values)
    except NotText as error:
        raise BadRow("choices", f"one of them {error}") from None
    # Letters show no more than 26; likelihoods are compared of any number.
    most = len(CHOICE_LETTERS) if settings.style == "choice" else len(choices)
    if len(choices) < 2 or len(choices) > most:
        raise BadRow("choices", f"has {len(choices)}; between 2 and {len(CHOICE_LETTERS)} are needed")
    if twice := [c for c in dict.fromkeys(choices) if choices.count(c) > 1]:
        raise BadRow("choices", f"holds {twice[0]!r} {choices.count(twice[0])} times")
    if not all(choices):
        raise BadRow("choices", "holds an empty choice")
    return choices, labels or _labels_beside(row, choices)


def _labels_beside(row: Row, choices: list[str]) -> list[str]:
    """The row's labels where a template took the choices' texts alone (`choices.text`): ARC numbers some from 1."""
    for value in row.values():
        try:
            texts, labels = choice_texts(value)
        except NotText:
            continue
        if labels and texts == choices:
            return labels
    return []


def _references(
    settings: QuestionSetSettings, row: Row, shape: Row, choices: list[str] | None, labels: list[str]
) -> list[str]:
    if settings.label is not None:
        answers = [_labelled(_value(settings, row, shape, "label"), choices, labels)]
    else:
        answers = _texts("answer", _value(settings, row, shape, "answer"))
        if not answers or not all(answers):
            raise BadRow("answer", "is empty")
    if choices and settings.style != "open_ended" and answers[0] not in choices:
        raise BadRow("answer", f"{answers[0]!r} is not one of the choices {choices}")
    if settings.grader == "numeric" and as_number(answers[0]) is None:
        raise BadRow("answer", f"{answers[0]!r} is not a number, as the grader `numeric` needs")
    if settings.path.lower().removesuffix(".gz").endswith((".csv", ".tsv")) and settings.grader in WORD_FOR_WORD:
        answers += [text.removesuffix(".0") for text in answers if WHOLE_FLOAT.fullmatch(text)]
    return list(dict.fromkeys([*answers, *_aliases(_value(settings, row, shape, "aliases"))]))


def _labelled(label: Any, choices: list[str] | None, labels: list[str]) -> str:
    if choices is None:
        raise BadRow("label", "the row has no choices for it to name")
    # A number is a position, such as `choices.label.index(answerKey)`; a text may be one of the row's own labels.
    position = label_position(label, labels if isinstance(label, str) else (), len(choices))
    if position is None:
        last = CHOICE_LETTERS[min(len(choices), len(CHOICE_LETTERS)) - 1]
        raise BadRow("label", f"{label!r} is neither a letter A-{last} nor a position from 0")
    return choices[position]


def _texts(field: str, value: Any) -> list[str]:
    try:
        return answer_texts(value)
    except NotText as error:
        raise BadRow(field, str(error)) from None


def _aliases(value: Any) -> list[str]:
    value = parsed(value)
    return [text for text in _texts("aliases", value.split("|") if isinstance(value, str) else value) if text]


def _group(settings: QuestionSetSettings, row: Row, shape: Row) -> str | None:
    key = _clean("group", _value(settings, row, shape, "group"))
    if not key:
        return None
    if len(key) > LONGEST_GROUP:
        return fingerprint(key)
    # A short key, such as a number, means something within its data only; the embedded sets share their keys.
    return key if settings.path.startswith(EMBEDDED) else f"{last_part(settings.path)}:{key}"
