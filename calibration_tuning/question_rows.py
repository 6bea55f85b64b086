"""Questions from outside, to be asked of a checkpoint, checked as they come in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from calibration_tuning.choice_labels import choice_texts
from calibration_tuning.conversation import Asked, Conversation, side_of
from calibration_tuning.errors import UserError, first_problem
from calibration_tuning.question_shapes import QUESTION, recognised
from calibration_tuning.records import Demonstration
from calibration_tuning.values import as_text, is_missing, kind_of

LONGEST = 20_000
"""Characters of a question or an answer."""
Text = Annotated[str, Field(min_length=1, max_length=LONGEST)]


class Row(BaseModel):
    """Other fields of a line are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    question: Text
    answer: Annotated[str, Field(max_length=LONGEST)] | None = None
    """An answer to judge; without it the question is answered."""
    choices: Annotated[list[Text], Field(min_length=2, max_length=64)] | None = None
    context: Text | None = None
    """A passage to read, shown above the question."""

    @model_validator(mode="before")
    @classmethod
    def _as_curation_reads_it(cls, values: Any) -> Any:
        """Read questions given as messages, choices by letter, and numbers in the shapes that curation reads."""
        if not isinstance(values, dict):
            return values
        values = _by_known_names(values)
        values = {
            name: value for name, value in values.items() if name not in cls.model_fields or not is_missing(value)
        }
        if _is_asked(values.get("messages")):
            try:
                return dict(values) | {"question": Conversation.of(values["messages"]).question}
            except UserError as error:
                raise ValueError(str(error)) from None
        shape = recognised(_asking(values))
        context = values.get("context")
        fields = dict(values) | ({"context": None} if isinstance(context, str) and not context.strip() else {})
        if "question" in shape:
            fields["question"] = as_text(shape["question"])
        if "context" in shape and not fields.get("context"):  # the system message of a conversation
            fields["context"] = shape["context"]
        if isinstance(values.get("choices"), dict | list):
            fields["choices"] = choice_texts(values["choices"])[0]
        if isinstance(values.get("answer"), int | float):
            fields["answer"] = as_text(values["answer"])
        return fields

    @model_validator(mode="after")
    def _answer_or_choices(self) -> Self:
        if self.answer is not None and self.choices is not None:
            raise ValueError("has an answer to judge and choices to answer with; give one of them")
        try:
            self.asked  # noqa: B018  a conversation that cannot be read is said here
        except UserError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def asked(self) -> Asked:
        """The question, with its conversation where the row is of `messages`."""
        more = self.model_extra or {}
        if (messages := more.get("messages")) and _is_asked(messages):
            return Conversation.of(messages)
        earlier = recognised(_asking(more)).get("earlier", ())
        turns = tuple(Demonstration(question=question, answer=answer) for question, answer in earlier)
        return Conversation(self.question, turns) if turns else self.question


def _by_known_names(row: dict[str, Any]) -> dict[str, Any]:
    """The row with Question, Context and Answer under question, context and answer, as curation reads them."""
    known = {*Row.model_fields, *QUESTION, "input"} - row.keys()
    return {name.strip().casefold() if name.strip().casefold() in known else name: row[name] for name in row}


def _asking(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row that ask; the others are of its answer."""
    return {name: value for name, value in row.items() if name in (*QUESTION, "input")}


def _is_asked(messages: Any) -> bool:
    """True for a conversation that ends with a question. One that ends with its answer is read as curation reads it."""
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, dict) and side_of(last) == "user"


def json_lines(file: Path) -> Iterator[tuple[int, Any]]:
    """The number and value of each line; empty lines are skipped. Raises `UserError` with the first line that is not
    JSON."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")  # splitlines would also split at breaks within a text
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:  # also numbers too long, and brackets too deep
                raise UserError(f"{file}, line {number}: not JSON ({getattr(error, 'msg', error)})") from None


def read_rows(file: Path) -> dict[int, Row]:
    """Rows by line number. Raises `UserError` with the line and field of the first row that cannot be asked."""
    rows = {}
    for number, value in json_lines(file):
        if not isinstance(value, dict):
            raise UserError(f"{file}, line {number}: is {kind_of(value)}; a line is an object with a question")
        try:
            rows[number] = Row.model_validate(value)
        except ValidationError as error:
            raise UserError(f"{file}, line {number}{first_problem(error)}") from None
    if not rows:
        raise UserError(f"{file}: holds no questions")
    return rows
