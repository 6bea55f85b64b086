"""Rows of well-known question sets, read by default: SQuAD, TriviaQA, ARC, MedQA, MedMCQA, MMLU, SciQ, conversations.

`recognised` says what a row's question, context, choices, answer and aliases are, under these names, whatever the
columns are called. It is used where a question set gives no template; a template sees the row as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from calibration_tuning.conversation import Messages, turns_of
from calibration_tuning.values import NotText, as_text, is_missing, kind_of, parsed

Row = Mapping[str, Any]
QUESTION = ("question", "question_stem", "problem", "prompt", "messages", "conversations", "instruction", "query")
CHOICES = ("choices", "options", "endings")
ANSWER = ("answer", "answers", "possible_answers", "correct_answer", "best_answer", "completion", "output", "target")
LABEL = ("answerkey", "answer_idx", "answer_index", "answer_letter", "label", "cop")
"""Columns that say which choice is right: ARC, MedQA, MMLU-Pro, MedMCQA; others."""
LETTERED = ("", "option", "option_", "option ", "op", "choice", "choice_", "choice ")
"""What stands before the letter of a column that holds one choice: A, B, C, D as in MMLU's files, opa as in MedMCQA."""
VALUE = ("value", "text", "answer", "content", "spans")
"""Fields of a struct that hold the answer: TriviaQA, SQuAD and ARC, others."""
KEY = ("label", "key", "id", "letter")
"""Fields of a choice that name it."""


class Misread(ValueError):
    """A row whose `field` cannot be understood, and why."""

    def __init__(self, field: str, what: str, from_one: str | None = None) -> None:
        super().__init__(what)
        self.field = field
        self.from_one = from_one
        """The column whose number is one beyond the last position: its labels may count from 1."""
        self.others: dict[str, Any] = {}
        """The fields that are understood."""


def recognised(row: Row) -> dict[str, Any]:
    """Those of question, context, choices, answer and aliases that the row has; a conversation has `earlier` turns too.

    Raises `Misread`.
    """
    columns = {str(name).strip().casefold(): value for name, value in reversed(list(row.items()))}
    fields: dict[str, Any] = {}
    name, question = _first(columns, QUESTION)
    if isinstance(question, Mapping):  # ARC as its authors publish it
        columns = {**columns, "choices": question.get("choices")}
        question = question.get("stem", question)
    turns = parsed(question)
    if _is_conversation(turns):
        fields |= _conversation(turns, name)
    elif name == "instruction" and _text(columns.get("input")):  # Alpaca
        fields["question"] = f"{_text(question)}\n{_text(columns['input'])}"
    elif name:
        fields["question"] = question
    name, choices = _first(columns, CHOICES)
    if name and not is_missing(choices):
        fields["choices"] = parsed(choices)
    elif (right := columns.get("correct_answer")) and "distractor1" in columns:  # SciQ; in one order the last is right
        wrong = [columns.get(f"distractor{i}") for i in (1, 2, 3)]
        fields["choices"] = sorted(_text(choice) for choice in [right, *wrong] if _text(choice))
    elif lettered := _lettered(columns):
        fields["choices"] = lettered
    try:
        return fields | _answer(columns, fields)
    except Misread as error:
        error.others = fields
        raise


def _lettered(columns: Row) -> dict[str, Any]:
    """The choices of columns A, B, C ..., by letter; none where the answer is no letter, as a and b may be numbers."""
    answer = _text(_first(columns, ANSWER)[1])
    for prefix in LETTERED:
        values = [columns.get(prefix + letter) for letter in ascii_lowercase]
        choices = dict(zip(ascii_uppercase, takewhile(lambda value: not is_missing(value), values), strict=False))
        if len(choices) > 1 and (prefix or answer.upper() in choices):
            return choices
    return {}


def _answer(columns: Row, fields: Mapping[str, Any]) -> dict[str, Any]:
    name, answer = _first(columns, ANSWER)
    answer = _structure(answer)
    if name == "possible_answers":  # PopQA: JSON written as text
        answer = parsed(answer)
    more: dict[str, Any] = {}
    if _is_conversation(answer):
        answer = _conversation([{"role": "user", "content": "-"}, *answer], name).get("answer")
    spans = answer if isinstance(answer, list) else [answer]
    if _text(columns.get("context")) and all(isinstance(span, Mapping) and "answer_start" in span for span in spans):
        more["context"] = columns["context"]  # SQuAD, whose questions mean nothing without the passage
    choices = fields.get("choices")
    try:
        texts, labels = choice_texts(choices)
    except NotText:  # said where the choices are needed
        texts, labels = [], []
    if len(texts) > 1:
        # MMLU's 2 is a position, also where "2" is a choice; among the numbers 1, 2, 3 it is one of them.
        is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
        is_position = is_number and all(isinstance(choice, str) for choice in _raw_choices(choices)[0])
        answer = _chosen(answer, texts, labels, columns, is_position)
    return more if answer is None else more | {"answer": answer}


def _structure(answer: Any) -> Any:
    """A struct or a list of texts that a table holds as text; [1, 2] may be an interval, and stays."""
    structure = parsed(answer)
    is_list = isinstance(structure, list) and structure and all(isinstance(part, str) for part in structure)
    return structure if isinstance(structure, dict) or is_list else answer


def _chosen(answer: Any, texts: Sequence[str], labels: Sequence[str], columns: Row, is_position: bool) -> Any:
    """The right choice's text: by the answer, or by the column that names it. Raises `Misread` where these disagree."""
    text = _text(answer)
    name, label = _first(columns, LABEL)
    named = label_position(label, labels, len(texts)) if name else None
    place = label_position(answer, labels, len(texts)) if is_position else None
    if place is not None and (named is None or texts[named] != text):
        text = texts[place]
    if text in texts:
        if named is not None and texts[named] != text:
            raise Misread("answer", f"{text!r} and {name} {label!r} are not the same choice")
        return text
    if named is not None:
        return texts[named]
    # Without labels "a" may be an answer.
    is_label = text.casefold() in map(str.casefold, labels) or text.isdecimal() or text.isupper()
    position = label_position(answer, labels, len(texts)) if is_label else None
    source, number = (_first(columns, ANSWER)[0], text) if text else (name, _text(label))
    if position is None and number == str(len(texts)) and not any(map(str.isdecimal, texts)):
        last = len(texts) - 1
        raise Misread("answer", f"{source} {number} is no position from 0 to {last}, and no choice", source)
    return answer if position is None else texts[position]


def label_position(label: Any, labels: Sequence[str], count: int) -> int | None:
    """Which of `count` choices a label names: by the row's own labels, by a letter, or by a position from 0."""
    try:
        text = as_text(label)
    except NotText:
        return None
    names = [name.casefold() for name in labels]
    if text.casefold() in names:
        return names.index(text.casefold())
    if len(text) == 1 and text.isascii() and text.isalpha():
        position = ord(text.upper()) - ord("A")
    elif text.isdecimal() and len(text) < 4:
        position = int(text)
    else:
        return None
    return position if position < count else None


def choice_texts(value: Any) -> tuple[list[str], list[str]]:
    """Texts and labels of choices: a list of texts, a struct of label to text (MedQA), of `text` and `label` lists
    (ARC), or a list of such pairs. A plain list has no labels. Any other value gives two empty lists.

    Raises `NotText` for a choice that is no text.
    """
    texts, labels = _raw_choices(value)
    return list(map(as_text, texts)), list(map(as_text, labels))


def _raw_choices(value: Any) -> tuple[list[Any], list[Any]]:
    """Choices and labels as the row has them, texts or not."""
    if isinstance(value, Mapping):
        texts, labels = value.get("text"), value.get("label", value.get("labels"))
        if isinstance(texts, list | tuple):
            is_labelled = isinstance(labels, list | tuple) and len(labels) == len(texts)  # else it is no name of each
            return list(texts), list(labels) if is_labelled else []
        pairs = [(key, text) for key, text in value.items() if not is_missing(text)]
        return [text for _, text in pairs], [key for key, _ in pairs]
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return [], []
    parts = list(value)
    if parts and all(isinstance(part, Mapping) for part in parts):
        texts = [_first(part, VALUE)[1] if _first(part, VALUE)[0] else part for part in parts]
        return texts, [_first(part, KEY)[1] for part in parts] if _first(parts[0], KEY)[0] else []
    return parts, []


def answer_texts(value: Any) -> list[str]:
    """The texts of an answer, the canonical one first: a text or number, a list, or a struct with its aliases.

    Raises `NotText` for a struct that does not say which of its fields is the answer.
    """
    if isinstance(value, Mapping):
        names = {str(name).casefold(): part for name, part in value.items()}
        name, text = _first(names, VALUE)
        if not name:
            raise NotText(f"is {kind_of(value)}; name one in the template, for example {{{{ answer.value }}}}")
        aliases = [names[key] for key in ("aliases", "normalized_aliases") if not is_missing(names.get(key))]
        return [*answer_texts(text), *answer_texts(aliases)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in answer_texts(part)]
    return [] if is_missing(value) else [as_text(value)]


def _is_conversation(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, Mapping) and ("role" in turn or "from" in turn) for turn in value)
    )


def _conversation(messages: Messages, name: str) -> dict[str, Any]:
    """The last question of a conversation, its answer, and the turns before it; the system message is context."""
    try:
        system, earlier, question = turns_of(name, messages)
    except ValueError as error:
        raise Misread("question", str(error)) from None
    fields: dict[str, Any] = {} if system is None else {"context": system}
    if question is None:
        question, fields["answer"] = earlier.pop()
    return fields | {"earlier": earlier, "question": question}


def _text(value: Any) -> str:
    """As text; empty for what is no text."""
    try:
        return as_text(value)
    except NotText:
        return ""


def _first(columns: Mapping[str, Any], names: Sequence[str]) -> tuple[str, Any]:
    """The first of `names` that is among the columns and has a value, and the value; ("", None) without one."""
    return next(((name, columns[name]) for name in names if not is_missing(columns.get(name))), ("", None))
