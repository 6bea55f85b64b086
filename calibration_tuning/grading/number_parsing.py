"""The number that an answer comes to. A range, list, bound, date or sum is no number."""

from __future__ import annotations

import re
from collections.abc import Collection
from fractions import Fraction

from calibration_tuning.grading.conclusion import last_said, marked
from calibration_tuning.grading.number_context import is_partial
from calibration_tuning.grading.number_digits import START, find_digits, rewritten, value_of
from calibration_tuning.grading.number_words import WORD, Found, factor_before, find_words

_HEDGES = r"(?:(?:about|around|approximately|roughly|nearly|almost|just|only|exactly|of)\s+)*"
_OPENS = re.compile(
    r"[\W_]*(?:(?:it|there|that|this)(?:['’]s|\s+(?:is|are))\s+|i\s+(?:think|believe|get)\s+)?"
    rf"{_HEDGES}[\W_]*$",
    re.IGNORECASE,
)
_EXPLAINED = re.compile(
    r"(?:[ -]?[^\W\d_]+){0,3}?[,;]?\s*(?:\b(?:because|since|as|where|that\s+is|namely)\b|i\.e\."
    r"|\([^()]*\)(?!\s*[-+*×÷/=]))",
    re.IGNORECASE,
)
_ALONE = re.compile(r"(?:[ -]?[^\W\d_/]+){0,2}[.!]?(?:\n|\s*$|(?<=[.!])\s)")
_CONCLUDES = re.compile(
    r"(?P<equals>(?<![<>!=])=(?![>=]))|(?<!\bor )\b(?:so|therefore|thus|hence|donc|por\s+lo\s+tanto|insgesamt|итого)\b"
    r"|所以|因此|总共|一共|[合总]计|合計|よって|따라서|\btotal\s+(?:of|is|was)\b"
    r"|(?:^|[.;,\n])\W{0,9}(?:the\s+|in\s+)?(?:total|result|altogether)\b"
    r"|(?:\b(?:is|makes?|giv(?:es?|ing)|equals|leav(?:es|ing)|comes\s+to|yields)|\b(?:it|that|which)['’]s)"
    rf"(?:\s+(?:us|him|her|them|you|with))*\s+(?={_HEDGES}[-+$€£¥(]*(?:\d|{WORD}\b))",
    re.IGNORECASE,
)
_IN_TOTAL = re.compile(
    r"(?:\s+[^\W\d_]+){0,2}\s+(?:in\s+total|altogether|in\s+all|total)\b(?!\s*(?:is|are|=|makes?|comes))", re.IGNORECASE
)
_REASON = re.compile(r"[,;]?\s+(?:because|since|where|i\.e\.|namely)\s", re.IGNORECASE)
_UNIT = re.compile(r"(?:[ -]?[^\W\d_/]+|%)?[.!]?")
_OR = re.compile(r"\s*[,(]?\s*or\s+(?=[-$]?\.?\d)")
_ASSIGNED = re.compile(r"(?<![\w])([A-Za-z])\s*=\s*(?=[-+$]?\.?\d)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_STEPS = re.compile(r"(?:^|[:\n])[ \n]{0,9}\(?1[.)]\s.{0,2000}?\s\(?2[.)]\s", re.DOTALL)


def read_number(text: str, given: Collection[Fraction] = ()) -> Fraction | None:
    r"""The number that an answer comes to; None if it says none, or a range, list, ratio, date, bound or sum.

    It is read in the last \boxed, "####" or "answer is" with a number, or in all of the answer, after the last change
    of mind (see `conclusion`). Of several different numbers it is the one that opens the answer and is explained,
    stands alone on the last line, or follows the last "=", "so", "total" or the like; otherwise the one that opens the
    answer, or the only one that is not `given` by the question. A comma or point before other than three digits is a
    decimal one, as is a point before three; 1,234 is thousands. Number words are read in English where there are no
    digits.
    """
    said = last_said(text)
    for content in map(rewritten, reversed(marked(said))):
        if not content or _found(content):
            return _settled(content, given)
    return _settled(rewritten(said), given)


def plain_number(reference: str) -> Fraction | None:
    """The number that a text is, but for a currency or percent sign; None if it is a fraction or more."""
    bare = rewritten(reference).strip().rstrip(" .%")
    match = START.fullmatch(bare) or START.fullmatch(bare.rstrip("$€£¥₹ "))
    return value_of(match) if match else None


def numbers_in(text: str) -> set[Fraction]:
    """The numbers that a text says in digits."""
    return {found.value for found in _all(rewritten(text)) if found.value is not None}


def _settled(text: str, given: Collection[Fraction], concludes: bool = True) -> Fraction | None:
    """The number that a text without marks comes to; see `read_number`. `concludes`: it may have "so" or the like."""
    first = _found(text)
    if first is None:
        return None
    value, numbers = _value_of(text, first), _all(text)
    if len(numbers) == 1 or (value is not None and len({found.value for found in numbers}) < 2):
        return value
    *before, last = [_line_alone(line) for line in text.split("\n")]
    if before and last is not None and {*before} <= {None, last}:
        return last
    opens = value is not None and _opening(text) == value
    if opens and _EXPLAINED.match(text, first.end):
        return value
    if concludes and (concluded := _concluded(text, given)):
        return None if opens and _ALONE.match(text, first.end) and concluded != [value] else concluded[0]
    if _STEPS.search(text):
        return None
    if opens:
        others = {_opening(sentence) for sentence in _SENTENCE.split(text)} - {None, value}
        return None if others and not _ALONE.match(text, first.end) else value
    new = [found for found in numbers if found.value not in given]
    return _value_of(text, new[0]) if len({found.value for found in new}) == 1 else None


def _concluded(text: str, given: Collection[Fraction]) -> list[Fraction | None]:
    """What follows the last "=", "so" or the like in the last sentence with a number, or in the one before it if the
    last says it again ("48 + 24 = 72. She sold 72."); nothing where there is none."""
    *before, sentence = [piece for piece in _SENTENCE.split(text) if _found(piece)] or [""]
    if (reason := _REASON.search(sentence)) and _found(sentence[: reason.start()]):
        return [_settled(sentence[: reason.start()], given)]
    if len({*_ASSIGNED.findall(sentence)}) > 1:
        return [None]  # "x = 5, y = 7"
    if totals := [found for found in _all(sentence) if _IN_TOTAL.match(sentence, found.end)]:
        return [_value_of(sentence, totals[-1])]
    for mark in reversed([*_CONCLUDES.finditer(sentence)]):
        if _found(sentence[mark.end() :]):
            value = _settled(sentence[mark.end() :], given, concludes=False)
            if value is None and mark["equals"]:  # 168 = 7 * 24
                value = _settled(sentence[: mark.start()], given, concludes=False)
            return [value]
    value = _settled(sentence, given, concludes=False) if before else None
    return [value] if value is not None and _concluded(before[-1], given) == [value] else []


def _opening(text: str) -> Fraction | None:
    """The number that a text opens with, but for "about" or "there are"; none where it is asked ("5? ...")."""
    found = find_digits(text)
    opens = found and _OPENS.match(text[: found.start]) and not text.startswith("?", found.end)
    return _value_of(text, found) if found and opens else None


def _line_alone(line: str) -> Fraction | None:
    """The number of a line that has nothing else, but for a unit."""
    found = find_digits(line)
    return _value_of(line, found) if found and found.start == 0 and _UNIT.fullmatch(line, found.end) else None


def _all(text: str) -> list[Found]:
    found: list[Found] = []
    while more := find_digits(text, found[-1].end if found else 0):
        found.append(more)
    return found


def _found(text: str) -> Found | None:
    return find_digits(text) or find_words(text)


def _value_of(text: str, found: Found) -> Fraction | None:
    """The number in its place; None if it is a part of something. "1/4 or 0.25" is one number, "1/4 or 0.5" is none."""
    if found.value is None:
        return None
    factor, start = factor_before(text, found.start)
    if (again := _OR.match(text, found.end)) and (other := find_digits(text, again.end())):
        return found.value if other.value == found.value else None
    return None if is_partial(text, start, found.end) else factor * found.value
