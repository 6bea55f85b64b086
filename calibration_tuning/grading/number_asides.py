"""What stands beside the number of an answer: the numbers of a list's items, a remark in brackets, a check, the parts.

"46 chromosomes (23 pairs)" says 46, and "4 chambers: 2 atria and 2 ventricles" says 4.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from fractions import Fraction
from math import prod

from calibration_tuning.grading.number_digits import find_digits
from calibration_tuning.grading.number_words import NumberSpan

_ITEM = re.compile(r"^(?:[-*#]+ ?)?\(?(\d{1,2})[.)] ", re.MULTILINE)
_BULLET = "‣ "
_WORD = r"(?!(?:or|and|to|times|plus|minus|over|by)\b)[^\W\d_/]+[²³]?"
_UNIT = rf"(?:%|°[CF]?)?(?:[ -]?{_WORD})?(?:[ -]{_WORD}){{0,2}}"
_REMARK = re.compile(
    rf"{_UNIT} ?\((?!\s*(?:or|and|to|plus|minus|not|maybe|perhaps|possibly|mod|remainder|rem|with|in)\b)"
    r"(?=[^()]*\d)(?=[^()]*(?:[^\W\d_]{2}|%|°|\d\s?\*\s?\d|[A-Z]-?\d))[^()]*\)",
    re.IGNORECASE,
)
_LISTED = re.compile(rf"{_UNIT}: ?(?P<parts>[^:\n.;]*(?:\.\d+[^:\n.;]*)*)[.!]?(?=\s|$)")
_CHECK = re.compile(
    r"(?:\n|(?<=[.!] ))\W{0,4}(?:(?:to\s+)?(?:check|verify)\b|verification\b|note(?:\s+that|:)\s)"
    r"(?:(?![.!?]\s+\S)[^\n])*$",
    re.IGNORECASE,
)
_CASE = re.compile(
    r"\W*(?:(?:out\s+)?of\s+(?:the\s+|all\s+|these\s+|those\s+)?\d+(?:\s+[^\W\d_]+){1,3},"
    r"|for\s+[a-z]\s*=\s*-?\d+(?:,|\s+(?=we\s+(?:get|have))))\s*(?=\D*\d)",
    re.IGNORECASE,
)
"""What a sentence begins with that says of what it is: "Of the 20 people,", "For n = 4"."""
_CONCLUSION = re.compile(r"\b(?:so|therefore|thus|hence|answer|total|result|left|leav\w+|remain\w*)\b", re.IGNORECASE)


def without_item_numbers(text: str) -> str:
    """The text with bullets for the numbers of a list's items, if the list has a first and a second."""
    numbers = {item[1] for item in _ITEM.finditer(text)}
    return _ITEM.sub(_BULLET, text) if {"1", "2"} <= numbers else text


def is_in_item(text: str, place: int | None = None) -> bool:
    """True if a place is in an item of a list that had numbers; without a place, if the text has such a list."""
    if place is None:
        return re.search(rf"^{_BULLET}", text, re.MULTILINE) is not None
    return text.startswith(_BULLET, text.rfind("\n", 0, place) + 1)


def numbers_of(text: str) -> list[NumberSpan]:
    """The numbers in a text that are written in digits, in their places."""
    numbers: list[NumberSpan] = []
    while number := find_digits(text, numbers[-1].end if numbers else 0):
        numbers.append(number)
    return numbers


def without_asides(text: str, given: Collection[Fraction]) -> str:
    """The text without a remark in brackets behind a number, the parts that a number is the sum or product of, and a
    check at the end.

    A number of the question (`given`) is not one that an answer explains.
    """
    if case := _CASE.match(text):
        text = text[case.end() :]
    check = _CHECK.search(text)
    if check and find_digits(text[: check.start()]) and not _CONCLUSION.search(check[0]):
        text = text[: check.start()]
    for number in reversed(numbers_of(text)):
        if number.value is None or number.value in given:
            continue
        aside = _REMARK.match(text, number.end)
        if aside and (_CONCLUSION.search(aside[0]) or "=" in aside[0]):
            continue
        listed = _LISTED.match(text, number.end)
        if aside is None and listed:
            parts = [part.value for part in numbers_of(listed["parts"]) if part.value is not None]
            aside = listed if len(parts) > 1 and number.value in (sum(parts), prod(parts)) else None
        if aside:
            kept = text[number.end : aside.end()].partition(":" if aside is listed else "(")[0].rstrip()
            text = text[: number.end] + kept + text[aside.end() :]
    return text
