"""The result of a worked solution, and its parts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from calibration_tuning.grading.conclusion import after_change_of_mind, marked
from calibration_tuning.grading.number_digits import VULGAR, rewritten


def _root(match: re.Match[str]) -> str:
    return rf"\sqrt{{{match[1] or match[2]}}}"


_SEPARATOR = re.compile(
    r"\s*(?:,\s*(?:and|or)\b|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b|;|,(?!\d{3}(?!\d)))\s*", re.IGNORECASE
)
_PART = re.compile(
    r"\$?\s*(?:\\?[A-Za-z]\s*=\s*)?[-+±]?\s*(?:\$?[\d.,]*\d[\d.,]*%?|[^\s,;]*\\[A-Za-z]+[^,;]*"
    r"|(?:[-+*/^()\d\s.]|(?<![A-Za-z])[A-Za-z](?![A-Za-z]))*\d[-+*/^()\d\s]*|[A-Za-z])"
    r"\s*(?:\\?[A-Za-z°²³/]+\.?\s*){0,2}\$?"
)
_PLUS_MINUS = re.compile(r"(?:±|\\pm(?![A-Za-z]))\s*")
_LEAD = re.compile(r"^[A-Za-z\s]*\b(?:are|is):?\s+")
_SCIENTIFIC = re.compile(r"(?<![\w.])([-+]?\d+(?:\.\d+)?)[eE]([-+]?\d{1,3})(?![\w.])")
_LONGEST_EXPONENT = 400

_LATEX: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(r"∞"), r"\\infty "),
    (re.compile(r"(?<=[\w)}\]])[²³¹⁰⁴-⁹⁻⁺]+"), lambda match: f"^{{{unicodedata.normalize('NFKC', match[0])}}}"),
    (re.compile(rf"[{''.join(VULGAR)}]"), lambda match: r"\frac{{{}}}{{{}}}".format(*VULGAR[match[0]].split("/"))),
    (re.compile(r"(?:(?<![\\A-Za-z])sqrt|√)\s*\(([^()]*)\)|√\s*(\d+(?:\.\d+)?|[A-Za-z])"), _root),
    (re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])"), r"\\pi "),
    (re.compile(r"(?<=[\w)])\*\*(?=[\w(])"), "^"),
    (re.compile(r"(?<![\d/.^] )(?<![\d/.^])(\d+) (\d+)/(\d+)(?![\d/.])"), r"\1\\frac{\2}{\3}"),  # 1 1/2
]
_NUMBER = re.compile(r"(?<![A-Za-z\d.])\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?")
WORD = r"[A-Za-z]{2,}|[^\W\d_A-Za-z\u0370-\u03ff]"
"""A word, in other scripts than Latin and Greek from its first letter on."""
_BESIDE = re.compile(  # a word, a unit or scale of one letter, or a sign that joins
    rf"{WORD}|\d\s?[°µΩ]?[AVWNJKLTFCHhgmlskMBb](?![A-Za-z])|\d\s*[Ω²³¹⁰⁴-⁹½⅓⅔¼¾‰→～〜—]|\d\s*–\s*[$€£]?\d"
    r"|\d\s*-\s*\$\s*\d|[:_;&|~]|#\d|\+\s*$|\.\.|°\s*\d"
)
_PROSE = re.compile(
    r"(?<![A-Za-z\\])(?!(?:sqrt|sin|cos|tan|cot|log|exp|mod|choose)\b)(?:[A-Za-z]{3,}|is|of|or|to|in|by)(?![A-Za-z(])"
    r"|\d%?\s+\((?:[A-Z]?-?[\d.]+%?|[\d.]+ ?\* ?[\d.]+)\)"
)
_WORKED = re.compile(r"=|\b(?:is|are|so|makes?|gives?|equals?|yields?|totals?|thus|hence|therefore)\b", re.IGNORECASE)


def final_answer(answer: str) -> str:
    r"""The result of a worked solution: its last \boxed, "####" or "answer is", or the whole text; see `conclusion`."""
    statement = after_change_of_mind(answer)
    return (marked(statement) or [statement])[-1].strip()


def parts(text: str) -> list[str]:
    """The parts of an answer that gives several results ("12 and 15", "x = 2 or x = 3"); otherwise a list of the whole
    text.

    An interval, a point or a set in brackets is a single part, and so is a sentence.
    """
    bare = _LEAD.sub("", text.strip()).strip("$ .")
    depth, start, pieces = 0, 0, []
    cuts = {match.start(): match.end() for match in _SEPARATOR.finditer(bare) if match.group()}
    position = 0
    while position < len(bare):
        if depth == 0 and position in cuts:
            pieces.append(bare[start:position])
            position = start = cuts[position]
            continue
        depth += (bare[position] in "([{") - (bare[position] in ")]}")
        position += 1
    pieces = [signed for piece in (*pieces, bare[start:]) if piece.strip() for signed in _both_signs(piece.strip())]
    return pieces if len(pieces) > 1 and all(map(_PART.fullmatch, pieces)) else [text]


def _both_signs(piece: str) -> list[str]:
    """The two numbers that a piece with a single ± stands for."""
    if len(_PLUS_MINUS.findall(piece)) != 1:
        return [piece]
    plus, minus = (_PLUS_MINUS.sub(sign, piece) for sign in "+-")
    return [re.sub(r"^(\W*(?:[A-Za-z]\s*=\s*)?)\+\s*", r"\1", plus), minus]


def without_exponents(text: str) -> str:
    """Numbers of the form 1e-05, which math-verify reads as a product, written out."""

    def plain(match: re.Match[str]) -> str:
        from decimal import Decimal

        return f"{Decimal(match.group()):f}" if abs(int(match[2])) <= _LONGEST_EXPONENT else match.group()

    return _SCIENTIFIC.sub(plain, text)


def in_latex(text: str) -> str:
    """A formula with LaTeX for the signs of Unicode and of programs: √2, x², ½, 1 1/2, ∞, 2*sqrt(3), x**2, pi."""
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


def is_prose(text: str) -> bool:
    """True if a text is a sentence with several numbers, or a number with a remark in brackets, without a formula."""
    bare = rewritten(text)
    return "\\" not in bare and len(_NUMBER.findall(bare)) > 1 and _PROSE.search(bare) is not None


def is_quantity(text: str) -> bool:
    """True if a text is a number with words or a unit, or two numbers that words join: "5 km", "5 minus 2", "5:1",
    "over 5".

    From such texts math-verify takes a number and ignores the rest.
    """
    if re.search(r"\\[A-Za-z]|(?:%|\bper ?cent\b)(?!\s+of\b)", text, re.IGNORECASE):
        return False
    numbers = [*_NUMBER.finditer(text)]
    if len(numbers) == 2 and (_WORKED.search(text) or re.search(r"\w", text[: numbers[0].start()])):
        return False
    return len(numbers) in (1, 2) and _BESIDE.search(text) is not None
