"""Is a proposed answer correct? Graders by name; a new one is a function here and a line in `GRADERS`.

`judge`, which asks a model, is in `data_curation/judge.py`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from decimal import Decimal

from calibration_tuning.errors import UserError
from calibration_tuning.grading.answer_parsing import choice_index, fenced_code, final_answer, items, normalise
from calibration_tuning.grading.code_sandbox import run_program
from calibration_tuning.records import Question

FUZZY_THRESHOLD = 0.9
"""Lowest similarity that counts as equal: one wrong letter in ten. Between Australia and Austria it is 0.875, between
nitrate and nitrite 0.857; between Mississippi and Mississipi 0.952."""
_TELLING_WORD = re.compile(r".|.*\d.*|[ivxlcdm]+")
_APOSTROPHE = re.compile("['’ʼ]")

_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3}(?!\d))?")
_MARKUP = re.compile(r"\$|\\boxed|\\\(|\\\[")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|mbox)\{([^{}]*)\}")
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}")
_MATH_SECONDS = 5


def exact(question: Question, answer: str) -> bool:
    proposed = normalise(answer)
    return bool(proposed) and any(proposed == normalise(reference) for reference in question.references)


def case_sensitive(question: Question, answer: str) -> bool:
    """The answer is a reference, letter for letter: for symbols and codes, where Co and CO differ."""
    return answer.strip().rstrip(".") in question.references


def fuzzy(question: Question, answer: str) -> bool:
    """Equal except for spelling and word order: rapidfuzz's token_sort_ratio is at least `FUZZY_THRESHOLD`.

    Numbers, single letters and Roman numerals must be the same in both: 1914 is not 1915, hepatitis A not hepatitis B,
    World War I not World War II.
    """
    from rapidfuzz.fuzz import token_sort_ratio

    def alike(reference: str) -> bool:
        wanted, other = (normalise(_APOSTROPHE.sub("", text)) for text in (reference, answer))
        telling = [sorted(filter(_TELLING_WORD.fullmatch, text.split())) for text in (wanted, other)]
        return telling[0] == telling[1] and token_sort_ratio(wanted, other) >= 100 * FUZZY_THRESHOLD

    return exact(question, answer) or (bool(normalise(answer)) and any(map(alike, question.references)))


def numeric(question: Question, answer: str) -> bool:
    """The first number of the answer equals a reference, whatever the thousands separators."""
    return any(_starts_with_number(answer, reference) for reference in question.references)


def math(question: Question, answer: str) -> bool:
    """What the answer comes to is mathematically equal to a reference, by math-verify (Kydlíček, Hugging Face 2025).

    LaTeX, fractions, percentages (50% is 0.5 and 50), units and intervals are read as math-verify reads them; `numeric`
    decides where it reads nothing. A comparison that takes longer than 5 s is a wrong answer; there is no such limit
    outside the main thread, since it works by a signal.
    """
    from math_verify import parse, verify

    seconds = _MATH_SECONDS if threading.current_thread() is threading.main_thread() else None
    final = final_answer(answer.replace("−", "-"))

    def equal(reference: str) -> bool:
        is_number = _NUMBER.fullmatch(reference.strip()) is not None
        right, proposed = (parse(_as_latex(t, is_number), parsing_timeout=seconds) for t in (reference, final))
        if not right or not proposed:
            return _starts_with_number(final, reference)
        return verify(right, proposed, timeout_seconds=seconds)

    texts = [_TEXT_COMMAND.sub(r"\1", text).strip(" $.") for text in (final, *question.references)]
    return texts[0] in texts[1:] or any(map(equal, question.references))


def choice(question: Question, answer: str) -> bool:
    """The text of the right choice, or its letter; any other reference is right too."""
    index = choice_index(answer, question.choices or [], lettered=question.style == "choice")
    if index is None:
        return exact(question, answer)
    return (question.choices or [])[index] in question.references


def set_of_items(question: Question, answer: str) -> float:
    """F1 of the answer's items against the references, each an item with its spellings between "|".

    2 * hits / (proposed + references), the F1 of QAMPARI (Amouyal et al. 2023). An item that is repeated, in another
    spelling too, counts once. 0.0 for an answer without items.
    """
    known: dict[str, int] = {}
    for number, reference in enumerate(question.references):
        for spelling in filter(None, map(normalise, reference.split("|"))):
            known.setdefault(spelling, number)
    proposed = {known.get(item, item) for item in items(answer, known)}
    hits = sum(isinstance(item, int) for item in proposed)
    return 2 * hits / (len(proposed) + len(set(known.values()))) if hits else 0.0


def code(question: Question, answer: str) -> bool:
    """The question's program, with the answer's code for `<answer>`, runs to its end; see `code_sandbox`."""
    if question.program is None:
        raise UserError(f"question {question.id}: grader code needs a program that holds <answer>")
    return run_program(question.program.replace("<answer>", fenced_code(answer))).verdict == "passed"


GRADERS: dict[str, Callable[[Question, str], float]] = {
    "exact": exact,
    "case_sensitive": case_sensitive,
    "fuzzy": fuzzy,
    "numeric": numeric,
    "math": math,
    "choice": choice,
    "set": set_of_items,
    "code": code,
}


def grade(question: Question, answer: str) -> float:
    """Correctness of one answer in [0, 1] by the question's grader; other than 0.0 and 1.0 only for `set`."""
    return float(GRADERS[question.grader](question, answer))


def as_number(reference: str) -> Decimal | None:
    """The number that a reference is, without a currency or percent sign; None if it is not just a number."""
    bare = reference.replace("−", "-").strip(" $€£%.")
    return _number(bare) if _NUMBER.fullmatch(bare) else None


def _starts_with_number(answer: str, reference: str) -> bool:
    match, wanted = _NUMBER.search(answer.replace("−", "-")), as_number(reference)
    return match is not None and wanted is not None and _number(match.group()) == wanted


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def _as_latex(text: str, is_number: bool) -> str:
    """A bare formula between dollar signs, without which math-verify looks in a text for numbers alone."""
    has_prose = _PROSE.search(_TEXT_COMMAND.sub("", text))
    if _MARKUP.search(text) or has_prose or (is_number and "\\" not in text):
        return text
    return f"${text.rstrip('.')}$"
