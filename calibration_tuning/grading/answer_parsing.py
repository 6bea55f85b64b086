"""Texts made comparable, and the answer proper taken out of what a model wrote around it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence

from calibration_tuning.records import CHOICE_LETTERS

_ARTICLE = re.compile(r"\b(?:a|an|the)\b(?=\s+\w)")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_RAISED = re.compile(r"(?<=\d)(?=[²³¹⁰⁴-⁹¼-¾⅐-⅞])")
_LATIN = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "−": "-"})

_LEAD = re.compile(r"\b(?:answer|option|choice)\s*(?:is|:|=)?\s*:?\s*(?=[(\[]?[A-Za-z]\b)", re.IGNORECASE)
_LETTER = re.compile(r"[(\[]?([A-Za-z])(?:[)\]]|[.:,](?!\S)|(?=\s*(?:\n|$)|\s+[-–—]\s))")
_CAPITAL = re.compile(r"([A-Z])\b(?!['’])")

_SEPARATOR = re.compile(
    r"[,;\n•◦▪]|\s&\s|\band\b"  # between items
    r"|(?:^|(?<=\n))\s*[-*–]\s|(?:^|(?<=\s))\(?\d{1,2}[.)](?=[ \t])",  # before one: bullets and numbers
    re.IGNORECASE,
)

_FENCED = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_HASHES = re.compile(r"####\s*([-+$€£]?\.?\d[^\n]*)")
_ANSWER_IS = re.compile(r"\banswer\s*(?:is|:|=)\s*:?\s*([^\n]+?)\.?(?=\s*\n|\s*$|\.\s)", re.IGNORECASE)


def normalise(text: str) -> str:
    """Lower case without accents, punctuation, articles and extra spaces: SQuAD's exact match (Rajpurkar et al. 2016).

    Kept, because names and numbers differ by them: the # of C#, mathematical symbols, signs and decimal points of
    numbers, vowel signs of scripts that have them, an article that nothing follows (vitamin A). A text of nothing but
    punctuation stays as it is. Thousands separators go; compatibility forms (full width, ligatures) become plain ones.
    """
    # Decomposed both before and after casefolding, as in Unicode's caseless matching: each can undo the other.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", _RAISED.sub(" ", text)).casefold())
    folded = _THOUSANDS.sub(lambda number: number.group().replace(",", ""), folded.translate(_LATIN))
    padded = f" {folded} "
    bare = "".join(map(_plain, padded, padded[1:], padded[2:]))
    words = " ".join(_ARTICLE.sub(" ", " ".join(bare.split())).split()) or " ".join(folded.split())
    return unicodedata.normalize("NFC", words)


def _plain(before: str, character: str, after: str) -> str:
    category, joining = unicodedata.category(character), unicodedata.combining(character)
    if category == "Cf" or joining >= 200 or 10 <= joining <= 36:  # invisible; accents; Hebrew and Arabic vowel points
        return ""
    if character in "+-" and (after.isdigit() or after in ".∞$€£") and not (before.isalnum() or before in "+-%)"):
        return " -" if character == "-" else " "  # a sign; the plus says nothing
    if (character == "#" and before.isalnum()) or (category == "Sm" and character not in "|~⁄"):
        return f" {character} "
    if character == "." and after.isdigit() and not (before.isalpha() or before == "."):
        return character
    return " " if category[0] in "PSC" else character


def chosen_letter(answer: str) -> str | None:
    """The letter of a lettered choice that an answer names, in upper case; None if it names none.

    "B", "b", "(B)", "B. iron", "**B**", "the answer is B"; not the article of "A dog ran" or of "the answer is a dog".
    """
    text = answer.translate(str.maketrans("", "", "*_`$")).strip().strip("\"'“”")
    if match := _LETTER.match(text):
        return match.group(1).upper()
    for lead in _LEAD.finditer(text):
        if match := _LETTER.match(text, lead.end()) or _CAPITAL.match(text, lead.end()):
            return match.group(1).upper()
    return None


def choice_index(answer: str, choices: Sequence[str], lettered: bool) -> int | None:
    """Which choice an answer names, by its text or by letter; None for no choice, or one not offered.

    Where choices were shown with letters, a letter alone is a letter, though it may be the text of another choice. Else
    the choice's own text comes first ("E. coli" is no letter), then the letter ("A. iron" is not "iron" with an article
    before it), then its normalised text.
    """
    bare = answer.strip(" \n.")
    if lettered and len(bare) == 1 and bare.upper() in CHOICE_LETTERS[: len(choices)]:
        return CHOICE_LETTERS.index(bare.upper())
    # Letter by letter before case is folded: genotypes TT, Tt and tt are three choices.
    for fold in (str, str.casefold):
        for index, choice in enumerate(choices):
            if fold(bare) == fold(choice.strip(" \n.")):
                return index
    if letter := chosen_letter(answer):
        index = CHOICE_LETTERS.index(letter)
        return index if index < len(choices) else None
    proposed = normalise(answer)
    for index, choice in enumerate(choices):
        labelled = f"{CHOICE_LETTERS[index]} {choice}" if index < len(CHOICE_LETTERS) else choice
        if proposed in (normalise(choice), normalise(labelled)):
            return index
    return None


def items(answer: str, known: Collection[str]) -> Iterator[str]:
    """The normalised items of a list: between commas, semicolons, line ends, "and", "&", bullets and numbers.

    A stretch that reads as one of `known` (normalised) is one item whatever is in it, as "Trinidad and Tobago" is. A
    heading, which ends in a colon, is none.
    """
    edges = [0, *(edge for separator in _SEPARATOR.finditer(answer) for edge in separator.span()), len(answer)]
    pieces = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if answer[a:b].strip(" \t\r.")]
    longest = max((len(item.split()) for item in known), default=1)  # no piece is shorter than a word
    position = 0
    while position < len(pieces):
        start, stop = pieces[position]
        ends = range(min(len(pieces), position + longest) - 1, position, -1)
        end = next((e for e in ends if normalise(answer[start : pieces[e][1]]) in known), position)
        if end > position or not answer[start:stop].rstrip().endswith(":"):
            yield normalise(answer[start : pieces[end][1]])
        position = end + 1


def fenced_code(answer: str) -> str:
    """The first Markdown code block, closed or cut off; an answer without one as it is, its indentation included."""
    block = _FENCED.search(answer)
    return block.group(1) if block else answer


def final_answer(answer: str) -> str:
    r"""What a worked solution comes to: what follows its last "####" or "answer is"; all of it if it has a \boxed."""
    if "\\boxed" in answer:
        return answer
    matches = _HASHES.findall(answer) or _ANSWER_IS.findall(answer)
    return (matches[-1] if matches else answer).strip()
