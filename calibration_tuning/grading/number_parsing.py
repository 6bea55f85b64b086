"""Numbers as people write them: separators, fractions, powers, scale words, number words. A range is no number."""

from __future__ import annotations

import re
from fractions import Fraction

from calibration_tuning.grading.number_context import is_partial
from calibration_tuning.grading.number_words import PART, SCALE, SCALES, Found, and_parts, factor_before, find_words
from calibration_tuning.grading.number_words import share as share_of

_CHARACTERS = str.maketrans({**dict.fromkeys("−–‒‐‑﹣－", "-"), **dict.fromkeys("\u00a0\u2007\u2009\u202f", " "),
                             **dict.fromkeys("×⋅·∙", "*"), "⁄": "/", "’": "'", "，": ",", "．": "."})  # fmt: skip
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
           "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8", "⅐": "1/7",
    "⅑": "1/9", "⅒": "1/10"}  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_RELATIONS = {"geq": "≥", "ge": "≥", "leq": "≤", "le": "≤", "neq": "≠", "ne": "≠", "gt": ">", "lt": "<", "pm": "±",
              "mp": "±", "div": "÷", "times": "*", "cdot": "*", "approx": "≈", "ldots": "…", "dots": "…"}  # fmt: skip
_STYLES = "(?:text|math)(?:bf|it|rm|sf|tt|normal)?|mbox|underline|boldsymbol|bm"
_REWRITTEN = [
    (re.compile(r"(?<=[\d)])([⁰¹²³⁴-⁹⁻⁺]+)"), lambda match: "^" + match[1].translate(_RAISED)),
    (re.compile(r"\\[dt]?frac(?:\{(-?\d+)\}\{(\d+)\}|\s*(\d)(\d))"), lambda match: " {}/{}".format(*_given(match))),
    (re.compile(r"[½⅓⅔¼¾⅕-⅞⅐⅑⅒]"), lambda match: f" {_VULGAR.get(match[0], '')} "),
    (re.compile(rf"\\({'|'.join(_RELATIONS)})(?:slant)?(?![A-Za-z])"), lambda match: _RELATIONS[match[1]]),
    (re.compile(r"\*\*\*|(?<=\d)\s*[xX](?=\s*10\s*\^)"), lambda match: "*"),
    (re.compile(r"\^\s*\{?\s*([-+]?\d+)\s*\}?|(?<=\d)\*\*(-?\d+)"), lambda match: f"^{match[1] or match[2]}"),
    (re.compile(r"\\[,;!$%&]|\{,\}"), lambda match: "," if match[0] == "{,}" else match[0][1].strip(",;!")),
    (re.compile(rf"\\(?:{_STYLES})\s*\{{([^{{}}]*)\}}"), lambda match: match[1]),
    (re.compile(r"\*\*|__|`|\\boxed|\\left|\\right|\\[()\[\]]"), lambda match: ""),
    (re.compile(r"\bnot\s+\S+,?\s+but\s+", re.IGNORECASE), lambda match: ""),  # not 6 but 5
]

_GROUPED = [
    r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?!\d|,\d)",  # 1,234,567.8
    r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?(?!\d|,\d)",  # 12,34,567
    r"\d{1,3}(?:\.\d{3})+,\d+(?!\d)|\d{1,3}(?:\.\d{3}){2,}(?![\d.])",  # 1.234,5 and 1.234.567
    r"\d{1,3}(?:[ ']\d{3})+(?:[.,]\d+)?(?!\d)|\d{1,3}(?:_\d{3})+(?!\d)",  # 1 234 567,8 and 1_000
]
_DIGITS = rf"(?P<grouped>{'|'.join(_GROUPED)})|(?P<plain>\d+[.,]\d+|\.\d+|\d+)"
_CURRENCY = r"(?:US\$|[$€£¥₹]|\b(?:USD|EUR|GBP)\s|\bRs\.?\s?)"
_START = re.compile(
    rf"(?P<sign>(?<![\w)%.,^/-])-\s?(?=[\d.$€£¥₹])|\b(?:minus|negative)\s+)?{_CURRENCY}?\s?(?P<inner>(?<=[$€£¥₹])-)?"
    rf"(?<![\w.^/])(?<!\w-)(?:{_DIGITS})(?:[eE](?P<exponent>[-+]?\d{{1,3}})(?![\w.]))?",
    re.IGNORECASE,
)
_FRACTION = re.compile(r"(?:[ -](?P<over>\d{1,4}))?\s?/\s?(?P<under>\d{1,9})(?![\d/]|\.\d)")
_PARTS = re.compile(rf"[ -](?P<part>(?!half|halves|quarter)(?:{PART}))s\b", re.IGNORECASE)
_POWER = re.compile(r"\^(?P<power>[-+]?\d{1,2})(?!\d)")
_TIMES_TEN = re.compile(r"\s?\*\s?10\s?\^(?P<power>[-+]?\d{1,3})(?!\d)")
_SCALE = re.compile(
    rf"[ -]?(?P<word>{SCALE})s?\b|\s?(?P<short>mn|bn|tn|mio|mrd)\b|(?-i:(?P<letter>[kKMBbm]))(?![\w/^])",
    re.IGNORECASE,
)
_SHORT = {"k": 10**3, "m": 10**6, "mn": 10**6, "mio": 10**6, "b": 10**9, "bn": 10**9, "mrd": 10**9, "tn": 10**12}

_ANSWER_IS = r"\banswer\s*(?:is|:|=|would be|must be)"
_REST = rf"(?:(?!{_ANSWER_IS})[^\n])*"
_MARKS = [
    re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"####\s*([^\n]+)"),
    re.compile(rf"{_ANSWER_IS}\s*:?\s*({_REST}\d{_REST})", re.IGNORECASE),
    re.compile(r"=\s*([^=\n]*\d[^=\n]*)(?:$|\n)"),
]
_STEPS = re.compile(r"(?:^|[:\n])[ \n]{0,9}\(?1[.)]\s.{0,2000}?\s\(?2[.)]\s", re.DOTALL)


def read_number(text: str) -> Fraction | None:
    r"""The number that an answer comes to; None if it says none, or a range, list, ratio, date, bound or sum.

    That is the first number of what follows its last \boxed, "####", "answer is" or "=", or of all of it. A comma or
    point before other than three digits is a decimal one, as is a point before three; 1,234 is thousands. Number words
    are read in English where there are no digits.
    """
    for mark in _MARKS:
        if matches := mark.findall(text):
            return _first(_rewritten(matches[-1]))
    return None if _STEPS.search(text) else _first(_rewritten(text))


def plain_number(reference: str) -> Fraction | None:
    """The number that a text is, but for a currency or percent sign; None if it is a fraction or more."""
    bare = _rewritten(reference).strip().rstrip(" .%")
    match = _START.fullmatch(bare) or _START.fullmatch(bare.rstrip("$€£¥₹ "))
    return _value(match) if match else None


def _given(match: re.Match[str]) -> list[str]:
    return [group for group in match.groups() if group is not None]


def _rewritten(text: str) -> str:
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    lines = (" ".join(line.split()) for line in text.translate(_CHARACTERS).splitlines())
    return "\n".join(lines).strip()


def _first(text: str) -> Fraction | None:
    found = _in_digits(text) or find_words(text)
    if found is None or found.value is None:
        return None
    factor, start = factor_before(text, found.start)
    return None if is_partial(text, start, found.end) else factor * found.value


def _in_digits(text: str) -> Found | None:
    match = _START.search(text)
    if match is None:
        return None
    start, end = match.end() - len(match[0].lstrip()), match.end()
    value = _value(match)
    nothing = Found(None, start, end)
    if fraction := _FRACTION.match(text, end):
        under, over = int(fraction["under"]), fraction["over"]
        if under == 0 or (over is None and value.denominator > 1):
            return nothing
        whole, sign = (0, 1) if over is None else (value, -1 if value < 0 else 1)
        value, end = (value / under if over is None else whole + sign * Fraction(int(over), under)), fraction.end()
    more, end = and_parts(text, end)
    value += more
    if power := _POWER.match(text, end):
        exponent = int(power["power"])
        if (value == 0 and exponent < 0) or len(match[0]) > 9:
            return nothing
        value, end = value**exponent if value >= 0 else -((-value) ** exponent), power.end()
    if times := _TIMES_TEN.match(text, end):
        value, end = value * Fraction(10) ** int(times["power"]), times.end()
    while scale := _SCALE.match(text, end):  # a hundred thousand
        if scale["letter"] == "m" and not re.search(_CURRENCY, match[0]):
            break  # $5m is five million, 5m five metres
        name = next(filter(None, scale.group("word", "short", "letter"))).lower()
        value, end = value * (SCALES.get(name) or _SHORT[name]), scale.end()
    if part := _PARTS.match(text, end):
        value, end = value * share_of(part["part"]), part.end()
    return Found(value, start, end)


def _value(match: re.Match[str]) -> Fraction:
    grouped, plain = match["grouped"], match["plain"]
    if grouped:
        decimal = re.search(r"[.,](?=\d+$)", grouped)
        # The last separator is the decimal one if it is of another kind than those before it, or does not part three.
        kinds = re.findall(r"[.,_' ]", grouped)
        is_decimal = decimal is not None and len(kinds) > 1 and kinds.count(kinds[-1]) == 1
        whole, fraction = (
            (grouped[: decimal.start()], grouped[decimal.end() :]) if decimal and is_decimal else (grouped, "")
        )
        text = re.sub(r"\D", "", whole) + (f".{fraction}" if fraction else "")
    else:
        text = plain.replace(",", ".")
    whole, _, fraction = text.partition(".")
    value = _integer(whole + fraction) / Fraction(10) ** len(fraction)
    if match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"])
    return -value if match["sign"] or match["inner"] else value


def _integer(digits: str) -> Fraction:
    """Python reads at most 4,300 digits at a time."""
    value = 0
    for start in range(0, len(digits), 4000):
        part = digits[start : start + 4000]
        value = value * 10 ** len(part) + int(part)
    return Fraction(value)
