"""Read the number that an answer gives. A range, list, bound, date or sum is not a number."""

from __future__ import annotations

import re
from collections.abc import Collection
from fractions import Fraction

from calibration_tuning.grading.conclusion import after_change_of_mind, marked
from calibration_tuning.grading.number_asides import is_in_item, numbers_of, without_asides, without_item_numbers
from calibration_tuning.grading.number_context import is_partial
from calibration_tuning.grading.number_digits import START, find_digits, rewritten, value_of
from calibration_tuning.grading.number_words import WORD, NumberSpan, factor_before, find_words

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
    r"|\b(?:sums?|adds?(?:\s+up)?|amounts?)\s+to\b"
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
_ASSIGNED = re.compile(r"(?<![\w+*/-])(?<![+*/-] )([A-Za-z])\s*=\s*(?=[-+$]?\.?\d)")
_ASSIGNED_AGAIN = re.compile(r"(?<!\w)([A-Za-z])\s*=\s*[^=\s]+?,?\s*(?:\b(?:or|and)\b|,)\s*\$?\1\s*=")
_TURN = re.compile(r"\b(?:but|so|therefore|thus|hence)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\bi\.e\.)(?<!\be\.g\.)\s+|(?<=[。！？])|\n+")
_REFUSAL = re.compile(
    r"\b(?:not\s+enough|insufficient)\s+(?:information|data|details)\b"
    r"|\b(?:can(?:not|['’]t|\s+not)|unable\s+to|impossible\s+to)\s+(?:be\s+)?(?:answer|solve|determine)",
    re.IGNORECASE,
)
_OVERCOMES = re.compile(r"=|\b(?:but|however|so|therefore|thus|hence|assum\w+|if)\b", re.IGNORECASE)
_STEPS = re.compile(r"(?:^|[:\n])[ \n]{0,9}\(?1[.)]\s.{0,2000}?\s\(?2[.)]\s", re.DOTALL)


def read_number(text: str, given: Collection[Fraction] = ()) -> Fraction | None:
    r"""The number that an answer gives. None if it gives no number, or a range, list, ratio, date, bound or sum.

    The number is read from the last \boxed, "####" or "answer is" with a number, otherwise from the whole answer after
    its last change of mind (see `conclusion`). Of several different numbers, the answer's is the number that stands
    alone on the last line, that opens the answer and is explained, or that follows the last "=", "so", "total" or the
    like. Otherwise it is the number that opens the answer, or the only number that the question does not contain
    (`given`).

    A point is a decimal mark. So is a comma, unless exactly three digits follow it: 1,234 has a thousands separator.
    Number words are read in English where there are no digits.
    """
    statement = after_change_of_mind(text)
    for content in map(rewritten, reversed(marked(statement))):
        if not content or _first_number(content):
            return _answered(content, given)
    if _refuses(statement):
        return None
    return _answered(rewritten(statement), given)


def _refuses(statement: str) -> bool:
    """True if an answer says that there is none, and no sentence of it states just a number."""
    refusal = _REFUSAL.search(statement)
    if refusal is None or _OVERCOMES.search(statement, refusal.end()):
        return False
    return not any(map(_states_number, _SENTENCE.split(rewritten(statement))))


def _states_number(sentence: str) -> bool:
    """True for "5 apples." and "The result: 5", but not for "5 is given"."""
    marks = [*_CONCLUDES.finditer(sentence)]
    rest = sentence[marks[-1].end() :].rstrip() if marks else sentence.rstrip()
    number = find_digits(rest)
    return number is not None and _opening(rest) is not None and _UNIT.fullmatch(rest, number.end) is not None


def plain_number(reference: str) -> Fraction | None:
    """The number that the whole text is, apart from a currency or percent sign. None for any other text."""
    bare = rewritten(reference).strip().rstrip(" .%")
    match = START.fullmatch(bare) or START.fullmatch(bare.rstrip("$€£¥₹ "))
    return value_of(match) if match else None


def numbers_in(text: str) -> set[Fraction]:
    """The numbers in a text that are written in digits."""
    return {number.value for number in numbers_of(rewritten(text)) if number.value is not None}


def _answered(text: str, given: Collection[Fraction]) -> Fraction | None:
    return _settled(without_asides(without_item_numbers(text), given), given)


def _settled(text: str, given: Collection[Fraction], concludes: bool = True) -> Fraction | None:
    """The number of a text without marks, by the rules of `read_number`. `concludes`: the text may have "so" or the
    like."""
    first = _first_number(text)
    if first is None:
        return None
    value, numbers = _value_of(text, first), numbers_of(text)
    if len(numbers) == 1 or (value is not None and len({number.value for number in numbers}) < 2):
        return None if is_in_item(text, first.start) else value
    *before, last = [_line_alone(line) for line in text.split("\n")]
    if before and last is not None and {*before} <= {None, last}:
        return last
    opens = value is not None and not is_in_item(text, first.start) and _opening(text) == value
    if opens and _EXPLAINED.match(text, first.end):
        return value
    if concludes and (concluded := _concluded(text, given)):
        return None if opens and _ALONE.match(text, first.end) and concluded != [value] else concluded[0]
    if _STEPS.search(text) or is_in_item(text):
        return None
    if opens:
        openings = {_opening(sentence) for sentence in _SENTENCE.split(text)} - {None, value}
        return None if openings and not _ALONE.match(text, first.end) else value
    new = [number for number in numbers if number.value not in given]
    return _value_of(text, new[0]) if len({number.value for number in new}) == 1 else None


def _concluded(text: str, given: Collection[Fraction]) -> list[Fraction | None]:
    """The number after the last "=", "so" or the like; an empty list where there is none.

    It is read in the last sentence with a number. If that only repeats a result ("48 + 24 = 72. She sold 72."), it is
    read in the sentence before it.
    """
    *before, sentence = [piece for piece in _SENTENCE.split(text) if _first_number(piece)] or [""]
    if (reason := _REASON.search(sentence)) and _first_number(sentence[: reason.start()]):
        return [_settled(sentence[: reason.start()], given)]
    assigned = [*_ASSIGNED.finditer(sentence)]
    if len({match[1] for match in assigned}) > 1 and "=" not in sentence[assigned[-1].end() :]:
        return [None]  # "x = 5, y = 7"
    again = _ASSIGNED_AGAIN.search(sentence)
    turn = _TURN.search(sentence, again.end()) if again else None
    if again and not (turn and find_digits(sentence[turn.end() :])):
        values = {_value_of(sentence, number) for number in numbers_of(sentence) if number.start > again.start()}
        if len(values) > 1:
            return [None]  # "x = 5 or x = 7"
    if totals := [number for number in numbers_of(sentence) if _IN_TOTAL.match(sentence, number.end)]:
        return [_value_of(sentence, totals[-1])]
    for mark in reversed([*_CONCLUDES.finditer(sentence)]):
        if _first_number(sentence[mark.end() :]):
            value = _settled(sentence[mark.end() :], given, concludes=False)
            if value is None and mark["equals"]:  # 168 = 7 * 24
                value = _settled(sentence[: mark.start()], given, concludes=False)
            return [value]
    value = _settled(sentence, given, concludes=False) if before else None
    return [value] if value is not None and _concluded(before[-1], given) == [value] else []


def _opening(text: str) -> Fraction | None:
    """The number that a text opens with; "about" or "there are" may stand before it. None where it is a question ("5?
    ...")."""
    number = find_digits(text)
    opens = number and _OPENS.match(text[: number.start]) and not text.startswith("?", number.end)
    return _value_of(text, number) if number and opens else None


def _line_alone(line: str) -> Fraction | None:
    """The number of a line that contains nothing else, except for a unit."""
    number = find_digits(line)
    return _value_of(line, number) if number and number.start == 0 and _UNIT.fullmatch(line, number.end) else None


def _first_number(text: str) -> NumberSpan | None:
    return find_digits(text) or find_words(text)


def _value_of(text: str, number: NumberSpan) -> Fraction | None:
    """The value of a number in its place; None if it is part of something larger. "1/4 or 0.25" is one value, "1/4 or
    0.5" is not."""
    if number.value is None:
        return None
    factor, start = factor_before(text, number.start)
    if (again := _OR.match(text, number.end)) and (other := find_digits(text, again.end())):
        return number.value if other.value == number.value else None
    return None if is_partial(text, start, number.end) else factor * number.value
