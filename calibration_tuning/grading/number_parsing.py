"""Numbers as people write them: separators, fractions, powers, scale words, number words. A range is no number."""

from __future__ import annotations

import re
from fractions import Fraction

_CHARACTERS = str.maketrans({**dict.fromkeys("−–‒‐‑﹣－", "-"), **dict.fromkeys("\u00a0\u2007\u2009\u202f", " "),
                             **dict.fromkeys("×⋅·∙", "*"), "⁄": "/", "’": "'", "，": ",", "．": "."})  # fmt: skip
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
           "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8", "⅐": "1/7",
    "⅑": "1/9", "⅒": "1/10"}  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_REWRITTEN = [
    (re.compile(r"(?<=[\d)])([⁰¹²³⁴-⁹⁻⁺]+)"), lambda match: "^" + match[1].translate(_RAISED)),
    (re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}"), lambda match: f" {match[1]}/{match[2]}"),
    (re.compile(r"[½⅓⅔¼¾⅕-⅞⅐⅑⅒]"), lambda match: f" {_VULGAR.get(match[0], '')} "),
    (re.compile(r"\\times|\\cdot|\*\*\*|(?<=\d)\s*[xX](?=\s*10\s*\^)"), lambda match: "*"),
    (re.compile(r"\^\s*\{?\s*([-+]?\d+)\s*\}?|(?<=\d)\*\*(-?\d+)"), lambda match: f"^{match[1] or match[2]}"),
    (re.compile(r"\\[,;!$%]|\{,\}"), lambda match: {"{,}": ",", "\\$": "$", "\\%": "%"}.get(match[0], "")),
    (re.compile(r"\*\*|__|`|\\text|\\mathrm|\\boxed|\\left|\\right|\\[()\[\]]"), lambda match: ""),
]

_GROUPED = [
    r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?![\d,])",  # 1,234,567.8
    r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?(?![\d,])",  # 12,34,567
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
_HALF = re.compile(r"\s+and\s+a\s+half\b", re.IGNORECASE)
_POWER = re.compile(r"\^(?P<power>[-+]?\d{1,2})(?!\d)")
_TIMES_TEN = re.compile(r"\s?\*\s?10\s?\^(?P<power>[-+]?\d{1,3})(?!\d)")
_SCALE = re.compile(
    r"[ -]?(?P<word>hundred|thousand|million|billion|trillion|quadrillion|dozen)s?\b|\s?(?P<short>mn|bn|tn|mio)\b"
    r"|(?P<letter>[kKMB])(?![\w/^])",
    re.IGNORECASE,
)
_SCALES = {
    "dozen": Fraction(12), "hundred": Fraction(100), "thousand": Fraction(10**3), "million": Fraction(10**6),
    "billion": Fraction(10**9), "trillion": Fraction(10**12), "quadrillion": Fraction(10**15), "k": Fraction(10**3),
    "m": Fraction(10**6), "b": Fraction(10**9), "mn": Fraction(10**6), "mio": Fraction(10**6), "bn": Fraction(10**9),
    "tn": Fraction(10**12),
}  # fmt: skip

# What shows that a number is not the whole of what is said: a range, a list, a ratio, a date, a time, a sum, a name.
_GOES_ON = re.compile(
    r"\s*[$€£%]?\s*(?:-|—|to|or|and|through|until|plus or minus|~|/|:|,|;|\+/-|±|\+|\*|\^|x|=)\s*(?:and\s+"
    r"|or\s+)?[-+]?[$€£]?\.?\d"
    r"|\s+(?:in|out of)\s+\d{1,2}\b|\s*(?:±|!=|[*^/](?=\w)|\+(?!\w))|[A-Za-z]+\d|s\b|'s\b|\.\d|\s*-\s*[$€£]\d",
    re.IGNORECASE,
)
_NOT_EXACTLY = re.compile(
    r"(?:[<>≤≥≠±/^:]|\b(?:between|from|(?:more|less|fewer|greater|higher|lower|other|rather) than"
    r"|at (?:least|most)|up to"
    r"|over|under|above|below|not|isn't|no (?:more|less|fewer) than|either|exceeds|or|nor))\s*[$€£~≈]?\s*$",
    re.IGNORECASE,
)
_MARKS = [
    re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"####\s*([^\n]+)"),
    re.compile(r"\banswer\s*(?:is|:|=|would be|must be)\s*:?\s*([^\n]*\d[^\n]*)", re.IGNORECASE),
    re.compile(r"=\s*([^=\n]*\d[^=\n]*)(?:$|\n)"),
]

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: number for number, word in enumerate(_SMALL)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_WORD = re.compile(r"[a-z]+")


def read_number(text: str) -> Fraction | None:
    r"""The number that an answer comes to; None if it says none, or a range, list, ratio, date, bound or sum.

    That is the first number of what follows its last \boxed, "####", "answer is" or "=", or of all of it. A comma or
    point before other than three digits is a decimal one, as is a point before three; 1,234 is thousands. Number words
    are read in English where there are no digits.
    """
    for mark in _MARKS:
        if matches := mark.findall(text):
            return _first(_rewritten(matches[-1]))
    return _first(_rewritten(text))


def plain_number(reference: str) -> Fraction | None:
    """The number that a text is, but for a currency or percent sign; None if it is a fraction or more."""
    bare = _rewritten(reference).strip().rstrip(" .%")
    match = _START.fullmatch(bare) or _START.fullmatch(bare.rstrip("$€£¥₹ "))
    return _value(match) if match else None


def _rewritten(text: str) -> str:
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return " ".join(text.translate(_CHARACTERS).split())


def _first(text: str) -> Fraction | None:
    match = _START.search(text)
    if match is None:
        return _in_words(text)
    value, end = _value(match), match.end()
    if fraction := _FRACTION.match(text, end):
        under, over = int(fraction["under"]), fraction["over"]
        if under == 0 or (over is None and value.denominator > 1):
            return None
        whole, sign = (0, 1) if over is None else (value, -1 if value < 0 else 1)
        value, end = (value / under if over is None else whole + sign * Fraction(int(over), under)), fraction.end()
    if half := _HALF.match(text, end):
        value, end = value + Fraction(1, 2), half.end()
    if power := _POWER.match(text, end):
        exponent = int(power["power"])
        if (value == 0 and exponent < 0) or len(match[0]) > 9:
            return None
        value, end = value**exponent if value >= 0 else -((-value) ** exponent), power.end()
    if times := _TIMES_TEN.match(text, end):
        value, end = value * Fraction(10) ** int(times["power"]), times.end()
    if scale := _SCALE.match(text, end):
        name = next(filter(None, scale.group("word", "short", "letter")))
        value, end = value * _SCALES[name.lower()], scale.end()
    if _GOES_ON.match(text, end) or _NOT_EXACTLY.search(text, 0, match.start()):
        return None
    return value


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


def _in_words(text: str) -> Fraction | None:
    """A number that is written out in English: "minus twenty-one", "three hundred and five thousand"."""
    words = _WORD.findall(text.casefold())
    start = next((i for i, word in enumerate(words) if word in _WORDS or word in ("hundred", "dozen")), None)
    if start is None:
        return None
    total = part = 0
    end, is_open = start, False  # open: a number below 100 has just been read
    for position, word in enumerate(words[start:], start):
        if word in _WORDS:
            if is_open and not (part % 100 >= 20 and part % 10 == 0 and 0 < _WORDS[word] < 10):
                return None  # "two, three" is a list
            part, is_open = part + _WORDS[word], True
        elif word in ("hundred", "dozen"):
            part, is_open = max(part, 1) * int(_SCALES[word]), False
        elif len(word) > 3 and word in _SCALES:
            total, part, is_open = total + max(part, 1) * int(_SCALES[word]), 0, False
        elif not (
            word == "and" and not is_open and words[position + 1 : position + 2] and words[position + 1] in _WORDS
        ):
            break
        end = position + 1
    before, after = words[max(0, start - 2) : start], words[end : end + 3]
    if {"than", "between", "least", "most", "not", "or"} & {*before} or any(word in _WORDS for word in after[:2]):
        return None
    if after and after[0].rstrip("s") in ("half", "halve", "third", "quarter", "fifth", "tenth"):
        return None
    value = total + part + (Fraction(1, 2) if after == ["and", "a", "half"] else 0)
    return Fraction(-value if before[-1:] in (["minus"], ["negative"]) else value)
