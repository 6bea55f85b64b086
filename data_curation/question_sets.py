"""Questions from embedded sets, local files and hub data sets, through the templates of their set."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from calibration_tuning.choice_labels import (
    TRUTH,
    answer_texts,
    choice_texts,
    is_letter,
    item_texts,
    label_position,
    without_label,
)
from calibration_tuning.config.questions import MixtureEntry, QuestionSetSettings, last_part
from calibration_tuning.config.templates import TemplateFailed, compiled, lone_expression
from calibration_tuning.errors import UserError
from calibration_tuning.grading.number_parsing import plain_number
from calibration_tuning.question_shapes import Misread, recognised
from calibration_tuning.records import CHOICE_LETTERS, Demonstration, Question
from calibration_tuning.runs.files import fingerprint, sha256_file
from calibration_tuning.values import NotText, as_text, is_missing, parsed
from data_curation.embedded.arithmetic import arithmetic_rows
from data_curation.embedded.build import FACTS
from data_curation.number_answers import POSITIONS, NumberAnswers
from data_curation.passages import names_column, unshown_passage
from data_curation.read_rows import Row, Unreadable, arrow_rows, is_file_path, read_file

EMBEDDED = "embedded:"
NO_TABLE = "not a json, jsonl, csv, tsv or parquet file"
COMPUTED = re.compile(r"""(?:[^-+*/%('"|]|'[^']*'|"[^"]*")*[-+*/%(]""")
"""The beginning of an expression with arithmetic or a call before any filter: `choices.label.index(answerKey)`."""
HUB_ROWS = 1000
"""Rows of a hub data set that are read at a time."""
WHOLE_FLOAT = re.compile(r"-?\d+\.0")
"""How pandas writes the whole numbers of a column in which some are missing."""
WORD_FOR_WORD = ("exact", "case_sensitive", "fuzzy")
"""Graders for which 3.0 is not 3, and every reference is a whole answer."""
LONGEST_GROUP = 40  # a whole passage may be the key of a group, wherever it comes from; its hash stands in for it


class BadRow(Exception):
    """A row that cannot become a question: `field` of the set's settings, and what is wrong."""

    def __init__(self, field: str, reason: str, one_based: str | None = None) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.one_based = one_based
        """The label's template, if the labels count from 1."""


class CountFromOne(UserError):
    """The labels of a set count from 1; `label` is a template that makes positions of them."""

    def __init__(self, settings: QuestionSetSettings, label: str) -> None:
        super().__init__(
            f'questions.{settings.source}.label: the labels in {settings.path} count from 1; write label: "{label}"'
        )
        self.label = label


@dataclass(frozen=True)
class Loaded:
    """The questions of one set, and the rows that were left out: (row number, what is wrong)."""

    questions: list[Question]
    rows: int
    bad: list[tuple[int, str]] = field(default_factory=list)
    system_messages: set[str] = field(default_factory=set)
    """The contexts that are system messages of conversations."""
    unshown: dict[str, int] = field(default_factory=dict)
    """By column: how many questions do not show the passage in it."""


def load_questions(settings: QuestionSetSettings, split: str | None) -> Loaded:
    """All questions of one set, in the order of its rows; rows that cannot be used are left out and listed.

    Raises `UserError` for a file or data set that cannot be read, and where no row is usable (a missing column).
    Raises `CountFromOne` if numbers name the choices, never 0 and also the number of choices.
    """
    questions: list[Question] = []
    bad: list[tuple[int, str]] = []
    named: list[bool] = []
    system_messages: set[str] = set()
    one_based: str | None = None
    digits = NumberAnswers()
    unshown: Counter[str] = Counter()
    number = -1
    for number, row in enumerate(_rows(settings, split)):
        if isinstance(row, Unreadable):
            bad.append((number, str(row)))
            continue
        try:
            shape = _shape(settings, row)
            given_id = _given_id(settings, row, shape)
            questions.append(_rendered(settings, row, shape, given_id or str(number)))
        except BadRow as error:
            bad.append((number, str(error)))
            one_based = one_based or error.one_based
        else:
            named.append(bool(given_id))
            if settings.label is None and is_default(settings, "answer"):
                digits.note(shape, len(questions) - 1, number)
            if column := unshown_passage(settings, row, questions[-1]):
                unshown[column] += 1
            if settings.context is None and "earlier" in shape and (context := questions[-1].context):
                system_messages.add(context)
    if one_based:
        digits.kinds.add(POSITIONS)
    settled = [*zip(digits.settled(questions), named, strict=True)]
    questions = [question for question, _ in settled if question]
    named = [is_given for question, is_given in settled if question]
    bad = sorted([*bad, *digits.left_out()])
    if one_based and not any(q.choices and q.references[0] == q.choices[0] for q in questions):
        raise CountFromOne(settings, one_based)
    if not questions:
        reason = f"row {bad[0][0]}, {bad[0][1]}" if bad else "no rows"
        raise UserError(
            f"questions.{settings.source}: none of {settings.path}'s {number + 1} rows is usable ({reason})"
        )
    questions = _with_unique_ids(questions, named)
    if settings.subjects is not None:
        if missing := set(settings.subjects) - {q.subject for q in questions}:
            raise UserError(f"questions.{settings.source}.subjects: {sorted(missing)} not found in {settings.path}")
        questions = [q for q in questions if q.subject in settings.subjects]
    return Loaded(questions, number + 1, bad, system_messages, dict(unshown))


def _with_unique_ids(questions: Sequence[Question], named: Sequence[bool]) -> list[Question]:
    """Return the questions with unique ids, which are keys of the journal and of recorded answers. A row without an id
    (not `named`) never takes the id of another row."""
    given_ids = {question.id for question, is_given in zip(questions, named, strict=True) if is_given}
    used: set[str] = set()
    numbers: dict[str, Iterator[int]] = defaultdict(lambda: count(1))
    unique = []
    for question, is_given in zip(questions, named, strict=True):
        name = question.id
        if name in used or (name in given_ids and not is_given):
            names = (f"{question.id}+{again}" for again in numbers[question.id])
            name = next(name for name in names if name not in used and name not in given_ids)
        used.add(name)
        unique.append(question if name == question.id else question.model_copy(update={"id": name}))
    return unique


def local_file(settings: MixtureEntry) -> Path | None:
    """The file a set is read from, if it is one."""
    if settings.path.startswith(EMBEDDED):
        return FACTS
    return Path(settings.path) if is_file_path(settings.path) else None


def render_question(settings: QuestionSetSettings, row: Row, number: int) -> Question:
    """The question that a row means. Raises `BadRow`."""
    shape = _shape(settings, row)
    return _rendered(settings, row, shape, _given_id(settings, row, shape) or str(number))


def _given_id(settings: QuestionSetSettings, row: Row, shape: Row) -> str:
    return _clean("id", _value(settings, row, shape, "id"))


def _rendered(settings: QuestionSetSettings, row: Row, shape: Row, name: str) -> Question:
    text = _text(settings, row, shape, "question")
    choices, labels = _choices(settings, row, shape)
    references = _references(settings, row, shape, choices, labels)
    context = _text(settings, row, shape, "context") if settings.context is not None else None
    # A system message belongs to the question, SQuAD's passage to its answers.
    belongs_to = ("question",) if "earlier" in shape else ("question", "answer")
    if settings.context is None and all(is_default(settings, name) for name in belongs_to):
        context = _clean("context", shape.get("context")) or None
    earlier = _earlier(shape) if is_default(settings, "question") else []
    opening = earlier[0].question if earlier else text
    return Question(
        id=f"{settings.source}/{name}",
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
    given = [name for name in ("question", "context", "answer") if not is_default(settings, name)]
    if any(str(column).strip().casefold() == "body" and names_column(settings, str(column)) for column in row):
        given.append("context")  # SVAMP's body is where the template puts it
    try:
        return recognised(row, given if settings.label is None else [*given, "answer"])
    except Misread as error:
        column = next((str(c) for c in row if str(c).strip().casefold() == error.one_based), None)
        raise BadRow(error.field, str(error), column and _less_one(reference(column), row[column])) from None


def _rows(settings: QuestionSetSettings, split: str | None) -> Iterator[Row | Unreadable]:
    path = settings.path
    if Path(path).is_file() and not is_file_path(path):
        raise UserError(f"questions.{settings.source}.path: {path}: {NO_TABLE}")
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


def _hub_rows(settings: QuestionSetSettings, split: str | None) -> Iterator[Row | Unreadable]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        rows = load_dataset(settings.path, name=settings.name, split=split, revision=settings.revision)
        # As tables: images and sounds are not decoded, as no question is made of them.
        for table in rows.with_format("arrow").iter(HUB_ROWS):
            yield from arrow_rows(table)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        reason = error.__cause__ or error
        first = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
        # A name on the hub may have a dot too (org/set-v1.1).
        is_like_a_file = bool(Path(settings.path).suffix)
        what = f": {NO_TABLE}, and no data set that can be read" if is_like_a_file else " cannot be read"
        raise UserError(f"questions.{settings.source}.path: {settings.path}{what} ({first})") from None


def _earlier(shape: Row) -> list[Demonstration]:
    turns = [tuple(text.strip() for text in pair) for pair in shape.get("earlier", ())]
    if not all(all(pair) for pair in turns):
        raise BadRow("question", "has an earlier turn that is empty")
    return [Demonstration(question=question, answer=answer) for question, answer in turns]


def _value(settings: QuestionSetSettings, row: Row, shape: Row, name: str) -> Any:
    template = getattr(settings, name)
    if template is None:
        return None
    columns = {**_folded(row), **row, **shape} if is_default(settings, name) else row
    try:
        if isinstance(template, list):
            return [compiled(t)(columns) for t in template]
        return compiled(template)(columns)
    except TemplateFailed as error:
        raise BadRow(name, f"{error}; the row has the columns {', '.join(map(str, row))}") from None


def _folded(row: Row) -> Row:
    """The row by names as `recognised` reads them: ID, Group and Subject are id, group and subject."""
    return {str(name).strip().casefold(): value for name, value in reversed(list(row.items()))}


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
    is_set = settings.grader == "set"
    if settings.label is not None:
        answers = [_labelled(settings.label, _value(settings, row, shape, "label"), choices, labels)]
    else:
        answers = _texts("answer", _value(settings, row, shape, "answer"), item_texts if is_set else answer_texts)
        if not answers or not all(answers):
            raise BadRow("answer", "is empty")
    answers = [without_label(answer, choices or [], labels) for answer in answers]
    # A letter is no answer to a question without choices: it belongs into `label`.
    if choices and answers[0] not in choices and (settings.style != "open_ended" or is_letter(answers[0])):
        raise BadRow("answer", f"{answers[0]!r} is not one of the choices {choices}")
    if settings.grader == "numeric" and plain_number(answers[0]) is None:
        raise BadRow("answer", f"{answers[0]!r} is not a number, as the grader `numeric` needs")
    if settings.path.lower().removesuffix(".gz").endswith((".csv", ".tsv")) and settings.grader in WORD_FOR_WORD:
        answers += [text.removesuffix(".0") for text in answers if WHOLE_FLOAT.fullmatch(text)]
        answers += [TRUTH[text.capitalize()] for text in answers if text.capitalize() in TRUTH]
    return list(dict.fromkeys([*answers, *_aliases(_value(settings, row, {} if is_set else shape, "aliases"))]))


def _labelled(template: str, label: Any, choices: list[str] | None, labels: list[str]) -> str:
    if choices is None:
        raise BadRow("label", "the row has no choices for it to name")
    # A computed number is a position. A value that stands in the row may be one of the row's labels.
    row_labels = labels if isinstance(label, str) or not COMPUTED.match(lone_expression(template) or template) else ()
    position = label_position(label, row_labels, choices)
    if position is None:
        last = CHOICE_LETTERS[min(len(choices), len(CHOICE_LETTERS)) - 1]
        lone = lone_expression(template) if str(label) == str(len(choices)) else None
        reason = f"{label!r} is neither a letter A-{last} nor a position from 0"
        raise BadRow("label", reason, lone and _less_one(f"({lone})" if " " in lone else lone, label))
    return choices[position]


def _less_one(expression: str, label: Any) -> str:
    """A template of the label's expression for labels that count from 1."""
    return f"{{{{ {expression}{' | int' if isinstance(label, str) else ''} - 1 }}}}"


def reference(column: str) -> str:
    """The expression of a column in a template."""
    return column if re.fullmatch(r"[a-z_]\w*", column) else f"row[{column!r}]"


def _texts(field: str, value: Any, read: Callable[[Any], list[str]] = answer_texts) -> list[str]:
    try:
        return read(value)
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
    return key if settings.path.startswith(EMBEDDED) else f"{_data_key(settings.path)}:{key}"


def _data_key(path: str) -> str:
    """Names a file by its content, wherever it lies, and a data set by its whole name."""
    is_file = is_file_path(path) and Path(path).is_file()
    return f"{last_part(path)}-{_content(path, Path(path).stat().st_mtime_ns) if is_file else fingerprint(path)[:8]}"


@cache
def _content(path: str, changed: int) -> str:
    return sha256_file(Path(path))[:8]
