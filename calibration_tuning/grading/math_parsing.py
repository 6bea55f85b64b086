"""What a worked solution comes to, and its parts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable


def _root(match: re.Match[str]) -> str:
    return rf"\sqrt{{{match[1] or match[2]}}}"


_HASHES = re.compile(r"####\s*([-+$€£]?\.?\d[^\n]*)")
_ANSWER_IS = re.compile(r"\banswer\s*(?:is|:|=)\s*:?\s*([^\n]+?)\.?(?=\s*\n|\s*$|\.\s)", re.IGNORECASE)
# Not the end of a sentence, nor an empty line.
_BETWEEN_BOXES = re.compile(r"(?!.*(?:[.!?]|\n\s*\n))\W*(?:and|or)?\W*", re.IGNORECASE | re.DOTALL)
_SEPARATOR = re.compile(
    r"\s*(?:,\s*(?:and|or)\b|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b|;|,(?!\d{3}(?!\d)))\s*", re.IGNORECASE
)
_PART = re.compile(
    r"\$?\s*(?:\\?[A-Za-z]\s*=\s*)?[-+±]?\s*(?:\$?[\d.,]*\d[\d.,]*%?|[^\s,;]*\\[A-Za-z]+[^,;]*"
    r"|(?:[-+*/^()\d\s.]|(?<![A-Za-z])[A-Za-z](?![A-Za-z]))*\d[-+*/^()\d\s]*|[A-Za-z])"
    r"\s*(?:\\?[A-Za-z°²³/]+\.?\s*){0,2}\$?"
)
_LEAD = re.compile(r"^[A-Za-z\s]*\b(?:are|is):?\s+")
_SCIENTIFIC = re.compile(r"(?<![\w.])([-+]?\d+(?:\.\d+)?)[eE]([-+]?\d{1,3})(?![\w.])")
_LONGEST_EXPONENT = 400

_VULGAR = {sign: unicodedata.normalize("NFKC", sign).split("⁄") for sign in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"}
_LATEX: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(r"∞"), r"\\infty "),
    (re.compile(r"(?<=[\w)}\]])[²³¹⁰⁴-⁹⁻⁺]+"), lambda match: f"^{{{unicodedata.normalize('NFKC', match[0])}}}"),
    (re.compile(rf"[{''.join(_VULGAR)}]"), lambda match: r"\frac{{{}}}{{{}}}".format(*_VULGAR[match[0]])),
    (re.compile(r"(?:(?<![\\A-Za-z])sqrt|√)\s*\(([^()]*)\)|√\s*(\d+(?:\.\d+)?|[A-Za-z])"), _root),
    (re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])"), r"\\pi "),
    (re.compile(r"(?<=[\w)])\*\*(?=[\w(])"), "^"),
    (re.compile(r"(?<![\d/.^] )(?<![\d/.^])(\d+) (\d+)/(\d+)(?![\d/.])"), r"\1\\frac{\2}{\3}"),  # 1 1/2
]
_NUMBER = re.compile(r"(?<![A-Za-z\d.])\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?")
_BESIDE = re.compile(  # a word, a unit of one letter, or a sign that joins
    r"[A-Za-z]{2,}|\d\s?[°µΩ]?[AVWNJKLTFCHhgmls](?![A-Za-z])|\d\s*[Ω²³¹⁰⁴-⁹½⅓⅔¼¾]|[:_;&|~]|#\d|\+\s*$|\.\."
)
_WORKED = re.compile(r"=|\b(?:is|are|so|makes?|gives?|equals?|yields?|totals?|thus|hence|therefore)\b", re.IGNORECASE)


def final_answer(answer: str) -> str:
    r"""What a worked solution comes to: its last \boxed, what follows its last "####" or "answer is", or all of it.

    Boxes with nothing but "and", "or" and signs between them are one answer of several parts, joined by "and"; a part
    that is said twice counts once.
    """
    boxes = _boxes(answer)
    if boxes:
        first = len(boxes) - 1
        while first and _BETWEEN_BOXES.fullmatch(answer[boxes[first - 1][1] : boxes[first][0]]):
            first -= 1
        return " and ".join(dict.fromkeys(content.strip() for _, _, content in boxes[first:]))
    matches = _HASHES.findall(answer) or _ANSWER_IS.findall(answer)
    return (matches[-1] if matches else answer).strip()


def _boxes(text: str) -> list[tuple[int, int, str]]:
    r"""Begin, end and content of every \boxed or \fbox; one that is cut off is none."""
    boxes = []
    for match in re.finditer(r"\\(?:boxed|fbox)\s*(?:\{|(?=\w))", text):
        if not match.group().endswith("{"):
            boxes.append((match.start(), match.end() + 1, text[match.end()]))
            continue
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += (text[end] == "{") - (text[end] == "}")
            end += 1
        if not depth:
            boxes.append((match.start(), end, text[match.end() : end - 1]))
    return boxes


def parts(text: str) -> list[str]:
    """The parts of an answer that gives several ("12 and 15", "x = 2 or x = 3"); a list of the whole text otherwise.

    What stands in brackets (an interval, a point, a set) is one part, and so is a sentence.
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
    pieces = [piece.strip() for piece in (*pieces, bare[start:]) if piece.strip()]
    return pieces if len(pieces) > 1 and all(map(_PART.fullmatch, pieces)) else [text]


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


def is_quantity(text: str) -> bool:
    """True if a text is one number and words or a unit, or two that words join: "5 km", "5 minus 2", "5:1", "over 5".

    Of these math-verify takes one number and leaves out the rest.
    """
    if re.search(r"\\[A-Za-z]|(?:%|\bper ?cent\b)(?!\s+of\b)", text, re.IGNORECASE):
        return False
    numbers = [*_NUMBER.finditer(text)]
    if len(numbers) == 2 and (_WORKED.search(text) or re.search(r"\w", text[: numbers[0].start()])):
        return False
    return len(numbers) in (1, 2) and _BESIDE.search(text) is not None
