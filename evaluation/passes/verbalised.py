"""Reads the confidence that a reply states, in percent or in words; a reply that leaves it open is read as None."""

from __future__ import annotations

import re
import unicodedata

from calibration_tuning.grading.number_parsing import read_number
from calibration_tuning.grading.traces import without_trace

WORDS: dict[str, float] = {
    "almost certain": 0.95,
    "highly likely": 0.9,
    "very good chance": 0.8,
    "likely": 0.7,
    "probable": 0.7,
    "better than even": 0.6,
    "about even": 0.5,
    "improbable": 0.2,
    "unlikely": 0.2,
    "highly unlikely": 0.1,
    "almost no chance": 0.05,
    "impossible": 0.0,
}
"""Rounded means of what people take these to mean (Fagen-Ulmschneider 2015, used so by Tian et al.)."""
_PHRASE = re.compile(rf"\b(?:{'|'.join(sorted(WORDS, key=len, reverse=True))})\b")
_NEUTRAL = frozenset(
    [
        "it",
        "is",
        "s",
        "be",
        "as",
        "answer",
        "seems",
        "looks",
        "appears",
        "say",
        "think",
        "that",
        "this",
        "probability",
        "likelihood",
        "chance",
        "confidence",
        "a",
        "an",
        "the",
        "correct",
        "choose",
        "choice",
        "one",
        "i",
        "d",
        "was",
        "are",
        "would",
        "been",
        "rated",
        "rate",
        "find",
        "consider",
        "estimate",
        "assessment",
        "guess",
        "rating",
    ]
)
"""Words that may stand before a phrase. Any other changes it ("somewhat likely")."""
_DENIALS = frozenset(
    [
        "not",
        "t",
        "never",
        "hardly",
        "scarcely",
        "barely",
        "neither",
        "nor",
        "less",
        "no",
        "cannot",
        "doubt",
        "doubtful",
        "rarely",
        "seldom",
    ]
)
_WRONG = re.compile(r"(?: \w+){0,4} (?:not|incorrect|wrong|false|untrue|mistaken|to fail)\b")
_UNSAID = re.compile(r"(?: for \w+)? to (?:say|tell|know|determine|judge|assess|estimate|verify|be (?:sure|certain))\b")

_SIGNS = str.maketrans(dict.fromkeys("−–—‐‑", "-"))
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d{1,2}(?!\d))")
_ENUMERATION = re.compile(r"^\s*\(?\d{1,2}[.)]\s+(?=\S)", re.MULTILINE)
_NUMBER = re.compile(
    r"(?<![\w.,-])(\d+(?:\.\d+)?|\.\d+)(?:e([-+]?\d{1,2}))?(?![\d,]*\d)\s*(%|percent\b|per cent\b)?", re.IGNORECASE
)
_OPEN = re.compile(
    r"\d\s*%?\s*(?:/|:|-|±|\+|~|(?:in|out|to|and|or)\b)\s*(?:of\s*)?\d|\bbetween\b|[<>≤≥]"
    r"|\b(?:less|more|lower|higher|greater|fewer) than\b|\bat (?:least|most)\b|\b(?:over|under|above|below"
    r"|up to|not)\s+\d",
    re.IGNORECASE,
)


def read_percent(reply: str) -> float | None:
    """The probability that a reply states: "90%", "90 percent", "0.9", "0,9", "90", "1e-3", "ninety percent".

    Numbers with a percent sign come before those without; the number of a list ("1. 80%") is none. None for no number,
    different ones, one below 0 or over 100%, and for odds, ranges and bounds ("1 in 10", "5/5", "10% to 20%", ">90%").
    """
    text = unicodedata.normalize("NFKC", without_trace(reply)).translate(_SIGNS)
    text = _DECIMAL_COMMA.sub(".", _ENUMERATION.sub("", text))
    if _OPEN.search(text):
        return None
    if not re.search(r"\d", text):
        value = read_number(text) if re.search(r"\bper ?cent\b", text, re.IGNORECASE) else None
        return float(value) / 100 if value is not None and 0 <= value <= 100 else None
    numbers = [(float(f"{digits}e{exponent or 0}"), bool(sign)) for digits, exponent, sign in _NUMBER.findall(text)]
    marked = [number for number in numbers if number[1]]
    # A bare "1" is 100%: who gives percentages writes the sign, or a number that is plainly one.
    stated = {value / 100 if sign or value > 1 else value for value, sign in marked or numbers}
    return stated.pop() if len(stated) == 1 and max(stated) <= 1 else None


def read_words(reply: str) -> float | None:
    """The probability of the phrase that a reply chooses, the longest where several begin at one place.

    None for no phrase, for phrases of different probability, and where a phrase is denied, graded, or said of being
    wrong or of judging at all ("not likely", "somewhat likely", "likely incorrect", "impossible to say").
    """
    stated = set()
    for clause in re.split(r"[.,;:!?\n(]+", without_trace(reply).casefold()):
        text = " ".join(re.sub(r"[^a-z]+", " ", clause).split())
        for match in _PHRASE.finditer(text):
            before = text[: match.start()].split()
            if _DENIALS & {*before}:
                continue
            if (before and before[-1] not in _NEUTRAL) or any(
                after.match(text, match.end()) for after in (_WRONG, _UNSAID)
            ):
                return None
            stated.add(WORDS[match.group()])
    return stated.pop() if len(stated) == 1 else None
