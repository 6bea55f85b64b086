"""Short answers made comparable: the normalisation of SQuAD and TriviaQA, with what tells answers apart kept."""

from __future__ import annotations

import re
import unicodedata

from calibration_tuning.grading.one_writing import in_one_writing

THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_RAISED = re.compile(r"(?<=\d)(?=⁻?[²³¹⁰⁴-⁹])")
_VULGAR = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
# Between digits, signs that decide, as mathematical symbols, which are kept. Years and dates are written with any.
_JOINED = re.compile(r"\d+(?:(?:[-–‒‐‑—/⁄:^*]|\s[-–‒‐‑—/:^*]\s)\d+)+")
_YEARS_OR_DATE = re.compile(r"[12]\d{3}\s?[-–‒‐‑—/]\s?\d{2,4}|\d+(?:\s?[-–‒‐‑—/]\s?\d+){2,}")
_SIGNS_BETWEEN = str.maketrans(
    {**dict.fromkeys("-–‒‐‑—", " ∸ "), **dict.fromkeys("/⁄", " ÷ "), ":": " ∶ ", "^": " ↑ ", "*": " × "}
)
_LATIN = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "−": "-"})

# An article is one before another word only. "the" and "an" are never letters. "a" is an article where a text begins
# and behind a word that takes one; elsewhere it may be a letter (hepatitis A virus), as before "minor".
_OPENING = r"[\"'“”‘’«(\[*_]*"
_CLOSING = r"[\"'“”‘’»)\]*_]*"
_KEPT_LETTER = r"(?!\s+(?:minor|major|flat|sharp|levels?|positive|negative)\b)"
_THE = re.compile(rf"(?<![\w.'’/&-])(?:the|an)(?={_CLOSING}\s+{_OPENING}[\w$€£#-])")
_A = re.compile(
    rf"(^\W*|\b(?:and|or|of|in|with|to|for|as|is|by|on|at|from|not|just|than|into|like|the|an|a)\s+|,\s*)"
    rf"a{_KEPT_LETTER}(?={_CLOSING}\s+{_OPENING}[^\W_])"
)

_INITIALS = re.compile(
    r"(?<![^\W_])(?:[^\W\d_]\.\s?)+[^\W\d_](?:\.|(?![\w.]))|(?<=[^\W\d_])\.(?=[^\W\d_](?:\.|(?!\w)))"
)
_SIGNS = {"%": " percent ", "$": " $ ", "€": " € ", "£": " £ ", "¥": " ¥ ", "₹": " ₹ ", "♭": " ♭ "}
_AMOUNT = r"-?[\d.]+(?: (?:hundred|thousand|million|billion|trillion))?"
_MONEY = re.compile(rf"(?<!\S)(-?)\s?([$€£¥₹]) ({_AMOUNT})(?!\S)")
_IN_WORDS = [
    (re.compile(r"\bper cent\b"), "percent"),
    (re.compile(rf"(?<!\S)({_AMOUNT}) (?:us )?dollars?\b"), r"\1 $"),
    (re.compile(rf"(?<!\S)({_AMOUNT}) euros?\b"), r"\1 €"),
    (re.compile(rf"(?<!\S)({_AMOUNT}) pounds? sterling\b"), r"\1 £"),
]


def normalise(text: str) -> str:
    """The text in lower case, without accents, punctuation, articles and extra spaces.

    The normalisation of TriviaQA (Joshi et al. 2017), where punctuation parts words, except in abbreviations: U.S. is
    US, J. R. R. is JRR. Kept, because answers differ by them: signs and charges (O-, Na+, C#), units (%, $), decimal
    points, mathematical symbols, signs between digits (2/3, 2:3, 2-3), vowel signs of scripts that have them, and
    letters that look like articles (vitamin A, A minor). A text of nothing but punctuation stays as it is. Thousands
    separators go; compatibility forms (full width, ligatures) become plain ones.
    """
    return _normalise(text, joined=False)


def normal_forms(text: str) -> set[str]:
    """The normalised texts that `text` may be written as: like TriviaQA, where punctuation between letters parts words
    (well-known is "well known"), and like SQuAD (Rajpurkar et al. 2016), where it goes ("wellknown"); and with dates,
    initials and amounts in one writing."""
    writings = {text, in_one_writing(text)}
    return {_normalise(text, joined=True), *(_normalise(writing, joined=False) for writing in writings)} - {""}


def _normalise(text: str, joined: bool) -> str:
    raised = _RAISED.sub("^", _VULGAR.sub(" ", text))
    # Decomposed both before and after casefolding, as in Unicode's caseless matching: each can undo the other.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", raised).casefold())
    folded = THOUSANDS.sub(lambda number: number.group().replace(",", ""), folded.translate(_LATIN))
    folded = _JOINED.sub(
        lambda joined: joined[0] if _YEARS_OR_DATE.fullmatch(joined[0]) else joined[0].translate(_SIGNS_BETWEEN), folded
    )
    folded = _INITIALS.sub(lambda initials: re.sub(r"[.\s]", "", initials.group()), folded)
    folded = _A.sub(r"\1", _A.sub(r"\1", _THE.sub(" ", folded)))
    folded = re.sub(r"(?<=\s)&(?=\s)", "and", folded)
    padded = f" {folded} "
    bare = "".join(_plain(*characters, joined) for characters in zip(padded, padded[1:], padded[2:], strict=False))
    words = " ".join(bare.split())
    for spelling, sign in _IN_WORDS:
        words = spelling.sub(sign, words)
    words = _MONEY.sub(r"\1\3 \2", words) or " ".join(text.casefold().split())
    return unicodedata.normalize("NFC", words)


def _plain(before: str, character: str, after: str, joined: bool) -> str:
    if character.isalnum() or character == " ":
        return character
    category, joining = unicodedata.category(character), unicodedata.combining(character)
    if category == "Cf" or joining >= 200 or 10 <= joining <= 36:  # invisible; accents; Hebrew and Arabic vowel points
        return ""
    if character in "+-–‒‐‑":
        if (after.isdigit() or after in ".∞$€£") and not (before.isalnum() or before in "+-–%)"):
            return " " if character == "+" else " -"  # a sign; the plus says nothing
        if character != "+" and before.isalnum() and after in " ,;:)":
            return " - "  # a charge, or a blood group
    if (character == "#" and before.isalnum()) or (category == "Sm" and character not in "|~⁄"):
        return f" {character} "
    if character == "." and after.isdigit() and not (before.isalpha() or before == "."):
        return character
    if character == "°":
        return " " if after.strip() in ("c", "f", "k") else " degrees "
    if character in _SIGNS:
        return _SIGNS[character]
    if category[0] not in "PSC":
        return character
    return "" if joined and before.isalpha() and after.isalpha() else " "
