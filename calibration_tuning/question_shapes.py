"""Rows of well-known question sets, read by default: SQuAD, TriviaQA, ARC, MedQA, MedMCQA, MMLU, SciQ, conversations.

`recognised` says what a row's question, context, choices, answer and aliases are, under these names, whatever the
columns are called. It is used where a question set gives no template; a template sees the row as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from calibration_tuning.choice_labels import (
    ALIASES,
    answers_of,
    bare,
    both_readings,
    choice_texts,
    first,
    is_letter,
    label_position,
    names_no_single_choice,
    raw_choices,
    text_of,
    without_decimal,
)
from calibration_tuning.conversation import Messages, turns_of
from calibration_tuning.grading.conclusion import boxed
from calibration_tuning.grading.traces import without_trace
from calibration_tuning.values import NotText, as_text, is_missing, parsed

Row = Mapping[str, Any]
QUESTION = ("question", "question_stem", "problem", "prompt", "messages", "conversations", "instruction", "query")
CHOICES = ("choices", "options", "endings", "answer_choices", "answer_options")
ANSWER = ("answer", "answers", "possible_answers", "correct_answer", "best_answer", "completion", "output", "target")
GOLD = (
    *("answers", "possible_answers", "correct_answer", "best_answer", "target", "ideal", "ground_truth"),
    *("ground_truths", "gold_answer", "expected_answer", "reference_answer"),
)
"""Columns that hold what is right; an `answer`, `completion` or `output` beside them may be what a model said."""
LABEL = ("answerkey", "answer_idx", "answer_index", "answer_letter", "correct_answer_id", "label", "cop")
"""Columns that say which choice is right: ARC, MedQA, MMLU-Pro, QuAIL, MedMCQA; others."""
MARK = ("correct", "is_correct", "right", "label")
"""Columns that may say whether the answer is right: WikiQA, `label` of preference data; others."""
LETTERED = ("", "option", "option_", "option ", "op", "choice", "choice_", "choice ")
"""Prefixes of columns that hold one choice each, before the letter: A, B, C, D in MMLU's files, opa in MedMCQA."""
NUMBERED = ("option", "option_", "choice", "choice_")
"""What stands before the number of such a column."""
_RESULT = re.compile(r"(?<!#)####\s*([^\s#][^\n#]*)\Z")
"""The result of a GSM8K solution, on its last line."""


class Misread(ValueError):
    """A row whose `field` cannot be understood, and why."""

    def __init__(self, field: str, message: str, one_based: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.one_based = one_based
        """The column whose number is one above the last position: its labels may count from 1."""
        self.understood: dict[str, Any] = {}
        """The fields that are understood."""


def recognised(row: Row, given: Collection[str] = ()) -> dict[str, Any]:
    """Those of question, context, choices, answer and aliases that the row has; a conversation has `earlier` turns too.

    `readings`: the answer's column, and the right choice as its text and by its position, as it may be either.
    Raises `Misread`, but for the fields in `given`: they have templates.
    """
    columns = {str(name).strip().casefold(): value for name, value in reversed(list(row.items()))}
    if isinstance(question := columns.get("question"), Mapping):  # ARC as its authors publish it
        columns |= {"choices": question.get("choices"), "question": question.get("stem", question)}
    elif "context" not in given and "equation" in columns and (body := text_of(columns.get("body"))):  # SVAMP
        columns["question"] = f"{body} {text_of(question)}"
    fields: dict[str, Any] = {}
    for read in (_question, _choices, _answer, _aliases):
        try:
            fields |= read(columns, fields)
        except Misread as error:
            if error.field not in given:
                error.understood = fields
                raise
    return fields


def _question(columns: Row, fields: Row) -> dict[str, Any]:
    name, question = first(columns, QUESTION)
    turns = parsed(question)
    if _is_conversation(turns):
        return _conversation(turns, name)
    if name != "instruction":
        return {"question": question} if name else {}
    texts = []
    for part in ("instruction", "input"):  # Alpaca
        try:
            texts.append(as_text(columns.get(part)))
        except NotText as error:
            raise Misread("question", f"{part} {error}") from None
    return {"question": "\n".join(filter(None, texts))}


def _choices(columns: Row, fields: Row) -> dict[str, Any]:
    name, choices = first(columns, CHOICES)
    if name:
        return {"choices": parsed(choices)}
    if (right := columns.get("correct_answer")) and "distractor1" in columns:  # SciQ; in one order the last is right
        wrong = [columns.get(f"distractor{i}") for i in (1, 2, 3)]
        return {"choices": sorted(text_of(choice) for choice in [right, *wrong] if text_of(choice))}
    return {"choices": choices} if (choices := _lettered(columns) or _numbered(columns)) else {}


def _lettered(columns: Row) -> dict[str, Any]:
    """The choices of columns A, B, C ..., by letter; none where neither these are words nor the answer is a letter, as
    a and b may be numbers."""
    answer = bare(text_of(first(columns, ANSWER)[1])).upper()
    for prefix in LETTERED:
        values = [columns.get(prefix + letter) for letter in ascii_lowercase]
        choices = dict(zip(ascii_uppercase, takewhile(lambda value: not is_missing(value), values), strict=False))
        are_words = answer.isdecimal() and all(re.search(r"[^\W\d]", text_of(choice)) for choice in choices.values())
        if len(choices) > 1 and (prefix or answer in choices or are_words):
            return choices
    return {}


def _numbered(columns: Row) -> dict[str, Any]:
    """The choices of columns option1, option2 ..., by column. Raises `Misread` if a number names one of them."""
    for prefix in NUMBERED:
        names = takewhile(lambda name: not is_missing(columns.get(name)), (f"{prefix}{n}" for n in range(1, 10)))
        choices = {name: columns[name] for name in names}
        if len(choices) > 1:
            texts = [*map(text_of, choices.values())]
            for name in (*ANSWER, *LABEL):
                number = text_of(columns.get(name))
                if number not in texts and without_decimal(number) in map(str, range(len(texts) + 1)):
                    raise Misread("answer", f"{name} {number} may count {', '.join(choices)} from 0 or from 1")
            return choices
    return {}


def _answer(columns: Row, fields: Row) -> dict[str, Any]:
    name, answer = first(columns, ANSWER)
    answer = _answer_in(name, answer) if name else fields.get("answer")
    more: dict[str, Any] = {}
    spans = answer if isinstance(answer, list) else [answer]
    if text_of(columns.get("context")) and all(isinstance(span, Mapping) and "answer_start" in span for span in spans):
        more["context"] = columns["context"]  # SQuAD, whose questions mean nothing without the passage
    choices = fields.get("choices")
    try:
        texts, labels = choice_texts(choices)
    except NotText:  # said where the choices are needed
        texts, labels = [], []
    are_texts = all(isinstance(choice, str) for choice in raw_choices(choices)[0])

    def right(column: str, value: Any) -> Any:
        return _chosen(column, value, texts, labels, columns, are_texts) if len(texts) > 1 else value

    if choices and len(texts) < 2 and is_letter(text_of(answer)):
        raise Misread("answer", f"{text_of(answer)!r} is a letter, and the choices cannot be read")
    if len(texts) > 1 and are_texts and _named(columns, texts, labels)[1] is None:
        more["readings"] = (name, *both_readings(answer, texts, labels))
    answer = right(name or "answer", answer)
    texts_of_answer = [*filter(None, answers_of(answer))]
    for other in (other for other in GOLD if other in columns and other != name):
        gold = [*filter(None, answers_of(right(other, _answer_in(other, columns[other]))))]
        if texts_of_answer and gold and not {*map(str.casefold, texts_of_answer)} & {*map(str.casefold, gold)}:
            ways = f'{"label" if texts else "answer"}: "{{{{ {other} }}}}" or "{{{{ row.{name or "answer"} }}}}"'
            raise Misread("answer", f"{texts_of_answer[0]!r} and {other} {gold[0]!r} are not the same; write {ways}")
    for label in LABEL if isinstance(answer, list) and len(texts_of_answer) > 1 and not choices else ():
        if label_position(columns.get(label), [], texts_of_answer) is not None:
            raise Misread("answer", f"{name} may be the choices of {label} {columns[label]}; write choices and label")
    for mark in (mark for mark in MARK if mark in columns):
        text = without_decimal(text_of(columns[mark])).casefold()
        is_answer = {"no", "false", text} & {part.casefold() for part in (*texts_of_answer, *texts)}
        if texts_of_answer and (text == "false" or (text == "0" and not texts)) and not is_answer:
            raise Misread("answer", f"is marked as wrong ({mark}: {columns[mark]})")
    return more if answer is None else more | {"answer": answer}


def _aliases(columns: Row, fields: Row) -> dict[str, Any]:
    """Further right answers, where another column than `aliases` holds them: MuSiQue, TruthfulQA."""
    values = {name: parsed(columns.get(name)) for name in (*ALIASES, "correct_answers")}
    if not isinstance(values["correct_answers"], list):  # it may count them
        del values["correct_answers"]
    known = {name: value for name, value in values.items() if not is_missing(value)}
    if not {*known} - {"aliases"}:
        return {}
    return {"aliases": [value.split("|") if isinstance(value, str) else value for value in known.values()]}


def _answer_in(name: str, value: Any) -> Any:
    """The answer in a column, where a table may hold it as text, without a trace of reasoning."""
    structure = parsed(value)
    # [1, 2] may be an interval, and stays; of several answers it is two.
    is_list = isinstance(structure, list) and (name in ("answers", "possible_answers") or _holds_texts(structure))
    is_shortened = isinstance(structure, list) and len(structure) > 1 and ... in structure and "," not in str(value)
    value = structure if isinstance(structure, dict) or is_list or is_shortened else value
    if not _is_conversation(value):
        return _without_working(value)
    try:
        return _conversation([{"role": "user", "content": "-"}, *value], name).get("answer")
    except Misread as error:
        raise Misread("answer", str(error)) from None


def _holds_texts(values: Sequence[Any]) -> bool:
    parts = [part for part in values if part is not None and part is not ...]
    return bool(parts) and all(
        _holds_texts(part) if isinstance(part, list) else isinstance(part, str | Mapping) for part in parts
    )


def _without_working(answer: Any) -> Any:
    """The result of a text with reasoning, of a GSM8K solution or in a box: no answer equals the whole text."""
    if isinstance(answer, list):
        return [_without_working(part) for part in answer]
    if not isinstance(answer, str):
        return answer
    text = without_trace(answer)
    result = _RESULT.search(text.rstrip())
    boxes = {content.strip() for _, _, content in boxed(text)}
    return result[1] if result else boxes.pop() if len(boxes) == 1 else text


def _chosen(
    source: str, answer: Any, texts: Sequence[str], labels: Sequence[str], columns: Row, are_texts: bool
) -> Any:
    """The right choice's text: by the answer, or by the column that names it. Raises `Misread` where these disagree."""
    name, named = _named(columns, texts, labels)
    parts = answers_of(answer)
    text = parts[0] if len(parts) == 1 or isinstance(answer, bool) else ""
    by_text = next((texts.index(part) for part in parts if text and part in texts), None)
    by_label = label_position(text, labels, texts)
    if by_text is None and named is None and text in {*ascii_lowercase} - {*map(str.casefold, labels)}:
        return answer  # without labels "a" may be an answer
    # MMLU's 2 is a position, also where "2" is a choice; among the numbers 1, 2, 3 it is one of them.
    is_number = isinstance(answer, int | float) and not isinstance(answer, bool) and are_texts
    is_position = is_number and by_label is not None and (named is None or named != by_text)
    position = by_label if by_text is None or is_position else by_text
    if position is None and without_decimal(text) in ("-1", str(len(texts))):
        one_based = source if without_decimal(text) != "-1" else None
        raise Misread("answer", f"{source} {text} is no position from 0 to {len(texts) - 1}, and no choice", one_based)
    if position is None and (is_letter(text) or names_no_single_choice(parts, texts, labels)):
        raise Misread("answer", f"{parts[0] if text else parts!r} names none or several of the {len(texts)} choices")
    if position is not None and named is not None and texts[position] != texts[named]:
        raise Misread("answer", f"{text!r} and {name} {columns[name]!r} are not the same choice")
    position = named if position is None else position
    return answer if position is None else texts[position]


def _named(columns: Row, texts: Sequence[str], labels: Sequence[str]) -> tuple[str, int | None]:
    """The column that names the right choice, and the choice's position. Raises `Misread` where two columns
    disagree."""
    positions: dict[str, int] = {}
    for name in (name for name in LABEL if name in columns):
        text = text_of(columns[name])
        position = label_position(text, labels, texts)
        if position is not None or (text and text in texts):
            positions[name] = texts.index(text) if position is None else position
        elif without_decimal(text) == str(len(texts)):
            raise Misread("answer", f"{name} {text} is no position from 0 to {len(texts) - 1}, and no choice", name)
    if len({texts[position] for position in positions.values()}) > 1:
        raise Misread("answer", f"{' and '.join(f'{n} {columns[n]!r}' for n in positions)} are not the same choice")
    return next(iter(positions.items()), ("", None))


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
        question, answer = earlier.pop()
        fields["answer"] = _without_working(answer)
    return fields | {"earlier": earlier, "question": question}
