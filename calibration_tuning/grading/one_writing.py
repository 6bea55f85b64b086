"""One writing for what people write in several: dates, initials, amounts with their units, spans of years."""

from __future__ import annotations

import re

_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?\b"
_YEAR = r"(?:,?\s+(?P<year>\d{4})\b(?!\s*[-–:]))?"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![\w.,/-])(?:the\s+)?{_DAY}(?:\s+of)?\s+{_MONTH}{_YEAR}",
        rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}(?![.,/:-]\d){_YEAR}",
    )
]
_ISO_DATE = re.compile(r"(?<![\d-])(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?![\d-])")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_UNIT = (
    r"(?:[kcmµμn]?m[²³]?|k?m/h|m/s[²]?|[kmµμ]?g|[cm]?[lL]|ms|h|min|[kMGT]?Hz|[kMG]?W|kWh|[km]?V|mA|k?J|k?cal|k?Pa|K"
    r"|°[CF]|mph|ft|lbs?|oz|mol|[kKMGT]B|[ap]m|[AP]M)"
)
_SPACED_INITIALS = re.compile(r"(?<![\w.'’&-])[A-Z](?: [A-Z])+(?![\w'’&-])\.?")
_REWRITES = [
    (re.compile(r"(?<![^\W\d_])([A-Z]\.)(?=[A-Z][a-z])"), r"\1 "),  # D.H.Lawrence
    (re.compile(rf"(?<![\w.,])(-?\d[\d.,]*)(?={_UNIT}(?!\w))"), r"\1 "),
    (re.compile(r"(?<!\d)([12]\d{3}) (?:to|until|through) ([12]\d{3})(?!\d)"), r"\1-\2"),
    (re.compile(r"(?<=\w)\s*&\s*(?=\w)"), " & "),
    (re.compile(r"(?<=[A-Za-z)])(?=⁻?[²³¹⁰⁴-⁹])"), "^"),
    (re.compile(r"(?<=\d)\s*[x×]\s*(?=\d)"), " × "),
]


def in_one_writing(text: str) -> str:
    """The text with its dates as "20 jul 1969", J K Rowling as J. K., 5km as 5 km, 1990 to 1995 as 1990-1995, R&B as
    R & B, x² as x^2, 2 x 3 as 2 × 3."""
    for date in _DATES:
        text = date.sub(lambda match: _date(match["day"], match["month"][:3].lower(), match["year"]), text)
    text = _ISO_DATE.sub(lambda match: _date(match[3], _MONTHS[int(match[2]) - 1], match[1]), text)
    text = _SPACED_INITIALS.sub(lambda initials: ". ".join(initials[0].rstrip(".").split()) + ".", text)
    for pattern, written in _REWRITES:
        text = pattern.sub(written, text)
    return text


def _date(day: str, month: str, year: str | None) -> str:
    return f"{int(day)} {month}" + (f" {year}" if year else "")
