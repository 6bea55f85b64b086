"""Numbers written out in English: "three hundred and five", "nineteen eighty-four", "five sixths", "half a million"."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

_SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
          "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
WORDS = {word: number for number, word in enumerate(_SMALL)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
SCALES = {
    "dozen": 12, "hundred": 100, "thousand": 10**3, "lakh": 10**5, "million": 10**6, "crore": 10**7, "billion": 10**9,
    "milliard": 10**9, "trillion": 10**12, "quadrillion": 10**15,
}  # fmt: skip
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "twentieth": 20, "hundredth": 100, "thousandth": 1000,
    "millionth": 10**6,
}  # fmt: skip

WORD, SCALE, PART = (rf"(?:{'|'.join(names)})" for names in (WORDS, SCALES, _PARTS))
# Words below 100 are joined by blanks and hyphens; behind a hundred or a thousand there may be "and" or a comma.
_PHRASE = rf"(?:{WORD}[\s-]+|{SCALE}(?:[\s-]+|,?\s+and\s+|,\s+))*(?:{WORD}|{SCALE})\b"
_CARDINAL = re.compile(
    rf"(?P<sign>\b(?:minus|negative)\s+)?"
    rf"(?:\b(?=(?:{WORD}|hundred|dozen)\b)|(?:\ban?\s+|(?<=\bhalf )|(?<=\bquarter ))(?={SCALE}\b))"
    rf"(?P<phrase>{_PHRASE})",
    re.IGNORECASE,
)
_DECIMALS = re.compile(rf"\s+point((?:[\s-]+{WORD}\b)+)", re.IGNORECASE)
_MULTIPLIED = re.compile(rf"\s+(?:of\s+)?(?:an?\s+)?(?P<scale>{SCALE})s?\b", re.IGNORECASE)
_PARTS_AFTER = re.compile(rf"[\s-](?P<part>halve|{PART})(?P<plural>s?)\b", re.IGNORECASE)
_AND_PARTS = re.compile(rf"\s+and\s+(?P<count>an?|{WORD})[\s-](?P<part>halve|{PART})s?\b", re.IGNORECASE)
_LONE_PART = re.compile(
    rf"(?:(?<!\band )\ban?\s+|(?:^|[:,(])\s*)(?P<part>{PART})\b(?=\s*(?:[.,;!?)%]|$|of\b))", re.IGNORECASE
)
_SECOND = re.compile(rf"\s+[a-z]+,?\s+(?:and\s+)?{WORD}\b", re.IGNORECASE)
_FACTOR = re.compile(
    rf"(?:\b(?P<count>an?|{WORD})[\s-])?\b(?P<part>{PART})s?\s+of\s+$|\b(?P<times>twice|double)\s+$"
    r"|(?:\ban?\s+)?\b(?P<before_scale>half|quarter)\s+$",
    re.IGNORECASE,
)
_CENTURIES = range(13, 21)
"""First halves of years that are said in two, as in nineteen eighty-four."""


class NumberSpan(NamedTuple):
    """A number and its place in a text. The value is None where the words may mean several numbers."""

    value: Fraction | None
    start: int
    end: int


def find_words(text: str) -> NumberSpan | None:
    """The first number that is written out in a text; None if there is none."""
    match = _CARDINAL.search(text)
    if match is None:
        part = _LONE_PART.search(text)
        return part and NumberSpan(share(part["part"]), part.start(), part.end())
    integer, end = _cardinal(re.findall(r"[a-z]+", match["phrase"].lower())), match.end()
    if integer is None:
        return NumberSpan(None, match.start(), end)
    value = Fraction(integer)
    if decimals := _DECIMALS.match(text, end):
        digits = [WORDS[word] for word in re.findall(r"[a-z]+", decimals[1].lower())]
        if max(digits) > 9:  # "point twenty-five"
            return NumberSpan(None, match.start(), end)
        value, end = value + Fraction(int("".join(map(str, digits))), 10 ** len(digits)), decimals.end()
    elif parts := _PARTS_AFTER.match(text, end):
        value, end = value * share(parts["part"]), parts.end()
        if value >= 1 or (integer == 1) == bool(parts["plural"]):
            # Five quarters may be coins, and a twenty-fifth is a place in a row.
            return NumberSpan(None, match.start(), end)
    else:
        more, end = and_parts(text, end)
        value += more
    if value.denominator > 1 and (scale := _MULTIPLIED.match(text, end)):
        value, end = value * SCALES[scale["scale"].lower()], scale.end()
    if _SECOND.match(text, end):  # two eggs, three pans
        return NumberSpan(None, match.start(), end)
    return NumberSpan(-value if match["sign"] else value, match.start(), end)


def _cardinal(words: list[str]) -> int | None:
    """The whole number that words come to; None for a list of numbers."""
    total = part = 0
    is_open = False  # a number below 100 has just been read
    for word in words:
        if word == "and":
            continue
        if word in WORDS:
            number = WORDS[word]
            if is_open and part in _CENTURIES and total == 0 and number >= 10:
                part *= 100
            elif is_open and not (part % 100 >= 20 and part % 10 == 0 and 0 < number < 10):
                return None
            part, is_open = part + number, True
        elif SCALES[word] <= 100:
            part, is_open = max(part, 1) * SCALES[word], False
        else:
            total, part, is_open = total + max(part, 1) * SCALES[word], 0, False
    return total + part


def and_parts(text: str, end: int) -> tuple[Fraction, int]:
    """What "and a half" or "and three quarters" adds to a number that ends there, and the place after it."""
    match = _AND_PARTS.match(text, end)
    return (_count(match["count"]) * share(match["part"]), match.end()) if match else (Fraction(0), end)


def factor_before(text: str, start: int) -> tuple[Fraction, int]:
    """What multiplies the number that starts there, and where that begins: 1/2 for "half of", 2 for "twice", or 1."""
    match = _FACTOR.search(text, max(0, start - 60), start)
    if match is None or (match["before_scale"] and text[start].isdigit()):  # "half 5" may be a time
        return Fraction(1), start
    if match["times"]:
        return Fraction(2), match.start()
    return _count(match["count"]) * share(match["part"] or match["before_scale"]), match.start()


def _count(word: str | None) -> int:
    return WORDS.get((word or "a").lower(), 1)


def share(part: str) -> Fraction:
    """The value of a part: a third is 1/3."""
    return Fraction(1, _PARTS[part.lower().replace("halve", "half")])
