"""Numbers in digits as people write them: separators, signs, fractions, powers, scale words, LaTeX."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from calibration_tuning.grading.conclusion import unstyled
from calibration_tuning.grading.number_words import PART, SCALE, SCALES, NumberSpan, and_parts
from calibration_tuning.grading.number_words import share as share_of

_CHARACTERS = str.maketrans({**dict.fromkeys("−–‒‐‑﹣－", "-"), **dict.fromkeys("\u00a0\u2007\u2009\u202f", " "),
                             **dict.fromkeys("×⋅·∙", "*"), "⁄": "/", "’": "'", "，": ",", "．": "."})  # fmt: skip
VULGAR = {sign: unicodedata.normalize("NFKC", sign).replace("⁄", "/") for sign in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_RELATIONS = {"geq": "≥", "ge": "≥", "leq": "≤", "le": "≤", "neq": "≠", "ne": "≠", "gt": ">", "lt": "<", "pm": "±",
              "mp": "±", "div": "÷", "times": "*", "cdot": "*", "approx": "≈", "ldots": "…", "dots": "…"}  # fmt: skip
_REWRITTEN = [
    (re.compile(r"(?<=[\d)])([⁰¹²³⁴-⁹⁻⁺]+)"), lambda match: "^" + match[1].translate(_RAISED)),
    (re.compile(r"\\[dt]?frac(?:\{(-?\d+)\}\{(\d+)\}|\s*(\d)(\d))"), lambda match: " {}/{}".format(*_given(match))),
    (re.compile(rf"[{''.join(VULGAR)}]"), lambda match: f" {VULGAR[match[0]]} "),
    (re.compile(rf"\\({'|'.join(_RELATIONS)})(?:slant)?(?![A-Za-z])"), lambda match: _RELATIONS[match[1]]),
    (re.compile(r"\*\*\*|(?<=\d)\s*[xX](?=\s*10\s*\^)"), lambda match: "*"),
    (re.compile(r"\^\s*\{?\s*([-+]?\d+)\s*\}?|(?<=\d)\*\*(-?\d+)"), lambda match: f"^{match[1] or match[2]}"),
    (re.compile(r"\\[,;!$%&]|\{,\}"), lambda match: "," if match[0] == "{,}" else match[0][1].strip(",;!")),
    (re.compile(r"\*\*|__|`|\\boxed|\\fbox|\\left|\\right|\\[()\[\]]"), lambda match: ""),
    (re.compile(r"^[ \t]*(?:[-=]>|→)", re.MULTILINE), lambda match: ""),
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
START = re.compile(
    rf"(?P<sign>(?<![A-Za-z\d_)%.,^/-])-\s?(?=[\d.$€£¥₹])|\b(?:minus|negative)\s+)?{_CURRENCY}?\s?(?P<inner>(?<=[$€£¥₹])-)?"
    rf"(?<![A-Za-z\d_.^/])(?<![A-Za-z\d_]-)(?:{_DIGITS})(?:[eE](?P<exponent>[-+]?\d{{1,3}})(?![\w.]))?",
    re.IGNORECASE,
)
_FRACTION = re.compile(r"(?:[ -](?P<over>\d{1,4}))?\s?/\s?(?P<under>\d{1,9})(?![\d/]|\.\d)")
_PARTS = re.compile(rf"[ -](?P<part>(?!half|halves|quarter)(?:{PART}))s\b", re.IGNORECASE)
_POWER = re.compile(r"\^(?P<power>[-+]?\d{1,2})(?!\d)")
_TIMES_TEN = re.compile(r"\s?\*\s?10\s?\^(?P<power>[-+]?\d{1,3})(?!\d)")
_SCALE = re.compile(
    rf"[ -]?(?P<word>{SCALE})s?\b|\s?(?P<short>mn|bn|tn|mio|mrd)\b|(?-i:(?: (?=k))?(?P<letter>[kKMBbm]))(?![\w/^])",
    re.IGNORECASE,
)
_ABROAD = {
    2: "百|백", 3: r"千|천|тыс\w*|tausend|tusen|duizend|mille|milliers|mila|tys|ribu|bin|nghìn|हज़ार|हजार|ألف|آلاف",
    4: "万|萬|만", 5: "लाख", 6: r"mil(?:li?|[ijyh])(?:on|ón|õe|oe)\w*|млн|миллион\w*|mln|juta|triệu|मिलियन"
    "|مليون|ملايين", 7: "करोड़|करोड", 8: "億|亿|억", 9: r"mil(?:l?i|j)ard\w*|milyar|млрд|миллиард\w*|mld|tỷ|مليار",
    12: "兆|조",
}  # fmt: skip
"""Scale words of other languages, by powers of ten."""
_SCALE_ABROAD = re.compile(
    rf"\s?(?:{'|'.join(f'(?P<e{power}>{words})' for power, words in _ABROAD.items())})(?![A-Za-z])", re.IGNORECASE
)
_SHORT = {"k": 10**3, "m": 10**6, "mn": 10**6, "mio": 10**6, "b": 10**9, "bn": 10**9, "mrd": 10**9, "tn": 10**12}


def _given(match: re.Match[str]) -> list[str]:
    return [group for group in match.groups() if group is not None]


def rewritten(text: str) -> str:
    """The text with uniform signs: no LaTeX, no markup, ASCII signs, single blanks."""
    text = unstyled(text)
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    lines = (" ".join(line.split()) for line in text.translate(_CHARACTERS).splitlines())
    return "\n".join(lines).strip()


def find_digits(text: str, position: int = 0) -> NumberSpan | None:
    """The first number in digits from a place on; its value is None if it divides by zero or is out of bounds."""
    match = START.search(text, position)
    if match is None:
        return None
    start, end = match.end() - len(match[0].lstrip()), match.end()
    value = value_of(match)
    nothing = NumberSpan(None, start, end)
    if fraction := _FRACTION.match(text, end):
        under, over = int(fraction["under"]), fraction["over"]
        if under == 0 or (over is None and value.denominator > 1):
            return nothing
        integer, sign = (0, 1) if over is None else (value, -1 if value < 0 else 1)
        value, end = (value / under if over is None else integer + sign * Fraction(int(over), under)), fraction.end()
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
    while scale := _SCALE_ABROAD.match(text, end):  # 5 тысяч, 3千万
        value, end = value * 10 ** int(str(scale.lastgroup)[1:]), scale.end()
    if part := _PARTS.match(text, end):
        value, end = value * share_of(part["part"]), part.end()
    return NumberSpan(value, start, end)


def value_of(match: re.Match[str]) -> Fraction:
    grouped, plain = match["grouped"], match["plain"]
    if grouped:
        decimal = re.search(r"[.,](?=\d+$)", grouped)
        # The last separator marks decimals if it differs from those before it, or does not separate groups of three.
        kinds = re.findall(r"[.,_' ]", grouped)
        is_decimal = decimal is not None and len(kinds) > 1 and kinds.count(kinds[-1]) == 1
        integer, fraction = (
            (grouped[: decimal.start()], grouped[decimal.end() :]) if decimal and is_decimal else (grouped, "")
        )
        text = re.sub(r"\D", "", integer) + (f".{fraction}" if fraction else "")
    else:
        text = plain.replace(",", ".")
    integer, _, fraction = text.partition(".")
    value = _integer(integer + fraction) / Fraction(10) ** len(fraction)
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
