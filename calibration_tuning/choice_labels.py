"""Choices and answers of a row as texts, and which choice a label names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from calibration_tuning.values import NotText, as_text, is_missing, kind_of

VALUE = ("value", "text", "answer", "content", "spans")
"""Fields of a struct that hold the answer: TriviaQA, SQuAD and ARC, others."""
ALIASES = ("aliases", "normalized_aliases", "answer_aliases", "answer_alias", "alias")
"""Fields and columns that hold further spellings of the answer: TriviaQA, MuSiQue, others."""
KEY = ("label", "key", "letter", "option", "id")
"""Fields of a choice that name it."""
TRUTH = {"True": "yes", "False": "no"}
"""What a boolean answers in words, by the way Python and pandas write it."""
_LABEL = re.compile(
    r"((?:the )?(?:correct )?(?:option|choice|answer)(?: is)?[ _:]+)?[(\[（*$]*(?:\\boxed\{)?(\w{1,3})[)\]）}*$.:]*",
    re.IGNORECASE,
)
"""A label alone: B, (B), **B**, Option B, "The answer is B."."""
_LABELLED = re.compile(r"[(\[（]?([A-Za-z]|\d{1,2})\s?(?:[)\]）][.:]?\s*|[.:]\s+|[．：、]\s*)(\S.*)", re.DOTALL)
"""A choice behind its label: "B. Oslo"."""
_LETTERS = re.compile(r"[A-Z](?:(?:\W|and)*[A-Z])+")
"""Several labels: AC, "A and C"."""


def label_position(label: Any, labels: Sequence[str], texts: Sequence[str]) -> int | None:
    """Which choice a label names: by the row's labels, by a letter, with its text, or by a position from 0."""
    text = text_of(label)
    name, names = bare(text).casefold(), [bare(row_label).casefold() for row_label in labels]
    if name and name in names:
        return names.index(name)
    if len(name) == 1 and name.isascii() and name.isalpha():
        position = ord(name) - ord("a")
    elif (number := without_decimal(text)).isdecimal() and len(number) < 4:
        position = int(number)
    elif labelled := _LABELLED.fullmatch(text):
        place = label_position(labelled[1], labels, texts)
        return place if place is not None and _same_text(texts[place], labelled[2]) else None
    else:
        return None
    return position if position < len(texts) else None


def both_readings(answer: Any, texts: Sequence[str], labels: Sequence[str]) -> tuple[str | None, str | None]:
    """The choice that an answer in words or digits is, and the choice that its digits name.

    MMLU as a table has the position 1 as the text "1", which may be a choice too. Without such a choice it is None.
    """
    text = answer.strip() if isinstance(answer, str) else ""
    digits = text if text in texts else without_decimal(text)
    place = label_position(digits, labels, texts) if digits.isdecimal() else None
    return text if text and text in texts else None, None if place is None else texts[place]


def without_label(text: str, texts: Sequence[str], labels: Sequence[str]) -> str:
    """The choice's text for "B. Oslo" if Oslo is choice B, and for "oslo"; any other text unchanged."""
    if text in texts:
        return text
    place = label_position(text, labels, texts) if _LABELLED.fullmatch(text) else None
    if place is not None:
        return texts[place]
    same = [choice for choice in texts if _same_text(choice, text)]
    return same[0] if len(same) == 1 and len(text) > 1 else text  # b may be a letter


def bare(label: str) -> str:
    """B for (B), B. and Option B; any other text unchanged."""
    match = _LABEL.fullmatch(label)
    return match[2] if match else label


def without_decimal(text: str) -> str:
    """Return the text without the ".0" that pandas writes behind positions in a column with missing values."""
    return text.removesuffix(".0")


def is_letter(text: str) -> bool:
    """True for a label that can be nothing else: B, (b), Option B, Option 2; 2 may be a number, and b a text."""
    match = _LABEL.fullmatch(text)
    if match is None or match[1]:
        return match is not None
    return len(match[2]) == 1 and match[2].isascii() and match[2].isalpha() and (text.isupper() or text != match[2])


def names_no_single_choice(parts: Sequence[str], texts: Sequence[str], labels: Sequence[str]) -> bool:
    """True where an answer names several choices ("AC", "A and C", ["A", "C"]), or a label with another text ("B. Oslo"
    where choice B is not Oslo)."""
    if len(parts) > 1:
        return all(part not in texts and label_position(part, labels, texts) is not None for part in parts)
    text = parts[0] if parts else ""
    if labelled := _LABELLED.fullmatch(text):
        return any(_same_text(labelled[2], choice) for choice in texts)
    letters = [letter for letter in text if letter.isupper()]
    are_labels = all(label_position(letter, labels, texts) is not None for letter in letters)
    return bool(_LETTERS.fullmatch(text)) and are_labels and len({*letters}) == len(letters)


def _same_text(first: str, second: str) -> bool:
    return first.casefold().strip(" .") == second.casefold().strip(" .")


def choice_texts(value: Any) -> tuple[list[str], list[str]]:
    """Texts and labels of choices: a list of texts, a struct of label to text (MedQA), of `text` and `label` lists
    (ARC), or a list of such pairs. A plain list has no labels. Any other value gives two empty lists.

    Raises `NotText` for a choice that is no text.
    """
    texts, labels = raw_choices(value)
    return list(map(as_text, texts)), list(map(as_text, labels))


def raw_choices(value: Any) -> tuple[list[Any], list[Any]]:
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
        texts = [first(part, VALUE)[1] if first(part, VALUE)[0] else part for part in parts]
        return texts, [first(part, KEY)[1] for part in parts] if first(parts[0], KEY)[0] else []
    return _apart(parts)


def _apart(choices: list[Any]) -> tuple[list[Any], list[Any]]:
    """Texts and labels of choices that begin with their labels, "A) 21" and "B) 22"; others as they are."""
    matches = [_LABELLED.fullmatch(choice.strip()) for choice in choices if isinstance(choice, str)]
    labels = [match[1].upper() for match in matches if match]
    counted = [str(n) for n in range(1, len(choices) + 1)]
    if len(labels) == len(choices) > 1 and labels in (list(ascii_uppercase[: len(labels)]), counted):
        return [match[2] for match in matches if match], labels
    return choices, []


def answer_texts(value: Any) -> list[str]:
    """The texts of an answer, the canonical one first: a text or number, a list, or a struct with its aliases.

    Raises `NotText` for a struct that does not say which of its fields is the answer.
    """
    if isinstance(value, Mapping):
        names = {str(name).casefold(): part for name, part in value.items()}
        name, text = first(names, VALUE)
        if not name:
            raise NotText(f"is {kind_of(value)}; name one in the template, for example {{{{ answer.value }}}}")
        aliases = [names[key] for key in ALIASES if not is_missing(names.get(key))]
        return [*answer_texts(text), *answer_texts(aliases)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in answer_texts(part)]
    if isinstance(value, bool):
        return [str(value), TRUTH[str(value)]]
    return [] if is_missing(value) else [as_text(value)]


def item_texts(value: Any) -> list[str]:
    """The items of an answer that is a list, each with its spellings between "|". Raises `NotText`."""
    if not isinstance(value, list | tuple):
        return answer_texts(value)
    return ["|".join(spellings) for part in value if (spellings := answer_texts(part))]


def answers_of(value: Any) -> list[str]:
    """Like `answer_texts`; empty for a value that is not text."""
    try:
        return answer_texts(value)
    except NotText:
        return []


def text_of(value: Any) -> str:
    """The value as text; empty for a value that is not text."""
    try:
        return as_text(value)
    except NotText:
        return ""


def first(columns: Mapping[str, Any], names: Sequence[str]) -> tuple[str, Any]:
    """The first of `names` that is a column with a value, and that value; ("", None) if there is none."""
    return next(((name, columns[name]) for name in names if not is_missing(columns.get(name))), ("", None))
