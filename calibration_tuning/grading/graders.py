"""Graders decide whether a proposed answer is correct.

To add a grader, write a function here and a line in `GRADERS`. `judge`, which asks a model, is in
`data_curation/judge.py`.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Collection
from fractions import Fraction

from calibration_tuning.errors import UserError
from calibration_tuning.grading.answer_parsing import normal_forms, normalise
from calibration_tuning.grading.choice_parsing import choice_index
from calibration_tuning.grading.code_sandbox import Outcome, run_program
from calibration_tuning.grading.list_parsing import items
from calibration_tuning.grading.math_parsing import (
    WORD,
    final_answer,
    in_latex,
    is_prose,
    is_quantity,
    parts,
    without_exponents,
)
from calibration_tuning.grading.math_units import other_units
from calibration_tuning.grading.number_asides import numbers_of
from calibration_tuning.grading.number_digits import rewritten
from calibration_tuning.grading.number_parsing import numbers_in, plain_number, read_number
from calibration_tuning.grading.program_parsing import program_with
from calibration_tuning.grading.traces import without_trace
from calibration_tuning.records import Question

_APOSTROPHE = re.compile("['’ʼ`]")
_AROUND = re.compile(
    r"(([*`$])\2{0,2})(?!\2|\s)(.+)(?<!\s)\1|\\(?:boxed|text|mathrm|textbf|mathbf)\{(.*)\}|```\w*\n([^\n]+)\n\s*```"
)
_INVERTED = re.compile(r"([^,]+),\s*([^,]+)")
_LEADING_ZERO = re.compile(r"[-+]?0\d")

_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,3}(?!\d))?")
_MARKUP = re.compile(r"\$|\\boxed|\\\(|\\\[")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|mbox)\{([^{}]*)\}")
_PROSE = re.compile(rf"(?<![\\A-Za-z{{])(?:{WORD})")
_RELATION = re.compile(r"[<>≤≥≠]|\\(?:[lg](?:eq?|t)|neq?)(?:slant)?(?![A-Za-z])")
_LONE_RELATION = re.compile(rf"(?:[\s$(]|\\[(\[])*(?:{_RELATION.pattern})")
_INTERVAL = re.compile(r"^[\s$]*(?:[A-Za-z]\s*\\in\s*)?(?:\\left)?[(\[].*,.*[)\]][\s$]*$")
_IN_BASE = re.compile(r"\d\s*_\{?\d|\d[₀-₉]|\d\s*\(?\s*base\b", re.IGNORECASE)
_BASE = re.compile(r"\d\s*_\{?(\d+)|\d([₀-₉]+)|\bbase[\s-]*(\d+)|\b(binary|octal|hexadecimal)\b", re.IGNORECASE)
_NAMED_BASES = {"binary": 2, "octal": 8, "hexadecimal": 16}
_SCIENTIFIC = re.compile(r"\d\s*(?:\\times|\\cdot|[×·*x])\s*10\s*(?:\^|[⁰¹²³⁴-⁹⁻])")
_VERDICT = re.compile(  # "Yes, it is", but neither "Yes and no" nor "Yes, it is not"
    r"(yes|no|true|false)\s*[,.;:!–—](?!.*\b(?:yes|true|false|no|not|but|cannot|neither)\b|.*n['’]t\b)\s.*",
    re.IGNORECASE | re.DOTALL,
)
_WORDS = re.compile(r"[A-Za-z][a-z]+(?: [A-Za-z][a-z]+)*")
_NO_NUMBER = re.compile(r"%|,(?!\d{3}(?!\d))")
"""In a reference: a percentage is two values to math-verify, and 1,2 are two numbers."""
_MATH_SECONDS = 5


def exact(question: Question, answer: str) -> bool:
    """The answer is a reference once both are normalised as SQuAD or as TriviaQA does; numbers are equal by value."""
    proposed = normal_forms(answer)
    return bool(proposed) and any(
        proposed & normal_forms(reference) or _same_number(reference, answer) for reference in question.references
    )


def _same_number(reference: str, answer: str) -> bool:
    """3.0 is 3 and 1e-05 is 0.00001, but 007 is not 7."""
    if any(_LEADING_ZERO.match(text.strip()) or not re.search(r"\d", text) for text in (reference, answer)):
        return False
    if re.sub(r"[-+\d.,eE\s]", "", reference) != re.sub(r"[-+\d.,eE\s]", "", answer):
        return False  # other units
    value = plain_number(reference)
    return value is not None and value == plain_number(answer)


def case_sensitive(question: Question, answer: str) -> bool:
    """True if every character of the answer matches a reference, except a final period and markup around all of it
    (**Au**, `Au`, \\boxed{Au}). For symbols: Co is not CO."""
    forms = {_as_written(answer), _as_written(_without_markup(_as_written(answer)))} - {""}
    return not forms.isdisjoint(map(_as_written, question.references))


def _as_written(text: str) -> str:
    bare = unicodedata.normalize("NFC", text).strip()
    return bare.removesuffix(".") or bare


def _without_markup(text: str) -> str:
    while match := _AROUND.fullmatch(text.strip()):
        text = match[3] or match[4] or match[5]
    return text


def fuzzy(question: Question, answer: str) -> bool:
    """True if the answer equals a reference except for spelling.

    A slip of the pen or a British form in a word of six letters or more is forgiven, and so are words joined or
    separated, and "Lincoln, Abraham". Another word, another order, and any change in a number or short word are not
    forgiven.
    """
    from calibration_tuning.grading.spelling import same_but_for_spelling

    def forms(text: str) -> list[str]:
        bare = _APOSTROPHE.sub("", text)
        inverted = _INVERTED.fullmatch(bare.strip())
        return [normalise(bare), *([normalise(f"{inverted[2]} {inverted[1]}")] if inverted else [])]

    def alike(reference: str) -> bool:
        wanted, proposed = forms(reference), forms(answer)
        pairs = [(wanted[0], proposed[0])]
        if len(wanted) != len(proposed):  # of two texts with commas, neither need be turned round
            pairs.append((wanted[-1], proposed[-1]))
        return all(wanted + proposed) and any(same_but_for_spelling(*pair) for pair in pairs)

    return exact(question, answer) or (bool(normalise(answer)) and any(map(alike, question.references)))


def numeric(question: Question, answer: str) -> bool:
    """True if the answer's number equals a reference, however both are written; see `read_number`."""
    proposed = read_number(answer, given=numbers_in(question.question))
    return proposed is not None and any(proposed == read_number(reference) for reference in question.references)


def math(question: Question, answer: str) -> bool:
    """What the answer comes to is mathematically equal to a reference, by math-verify (Kydlíček, Hugging Face 2025).

    The last box counts. An answer of several parts needs all of the reference's, in any order, and no other. LaTeX,
    fractions, percentages (50% is 0.5 and 50), units and intervals are read as math-verify reads them; `numeric`
    decides where it reads nothing. A comparison that takes longer than 5 s is a wrong answer; there is no such limit
    outside the main thread, since it works by a signal.
    """
    final = without_exponents(final_answer(answer.replace("−", "-")))
    said = _values_said(final, numbers_in(question.question))
    for reference in question.references:
        wanted = without_exponents(reference)
        number = None if _NO_NUMBER.search(wanted) else plain_number(wanted)
        if said is not None and number is not None:
            if number in said:
                return True
            continue
        texts = [_TEXT_COMMAND.sub(r"\1", text).lstrip(" $").rstrip(" $.") for text in (final, wanted)]
        if texts[0] == texts[1]:
            return True
        if all(map(_WORDS.fullmatch, texts)) and texts[0].lower() == texts[1].lower():
            return True  # "Yes" is "yes", but "AB" is not "ab"
        if (verdict := _VERDICT.fullmatch(texts[0])) and verdict[1].lower() == texts[1].lower():
            return True
        needed, proposed = parts(wanted), parts(final)
        if len(needed) == 1 and is_quantity(final):
            proposed = [final]  # "5, of course"
        if len(needed) == len(proposed) and _all_match(needed, proposed):
            return True
    return False


def _values_said(final: str, given: Collection[Fraction]) -> set[Fraction] | None:
    """The values of an answer that is a number with separators or in words, or a sentence with several numbers.

    It is an empty set if the sentence is unclear, and None if math-verify has to read the answer.
    """
    plain = None if "%" in final else plain_number(final)
    if plain is not None:
        return {plain}
    has_digits = re.search(r"\d", final) is not None
    if has_digits and not is_prose(final):
        return None
    value = read_number(final, given)
    if value is None:
        return set() if has_digits else None
    text = rewritten(final)
    is_percentage = any(number.value == value and re.match(r"\s*%", text[number.end :]) for number in numbers_of(text))
    return {value, value / 100} if is_percentage else {value}


def _all_match(needed: list[str], proposed: list[str]) -> bool:
    unmatched = [re.sub(r"^\W*[A-Za-z]\s*=\s*", "", part) for part in proposed] if len(proposed) > 1 else list(proposed)
    for part in needed:
        bare = re.sub(r"^\W*[A-Za-z]\s*=\s*", "", part) if len(needed) > 1 else part
        match = next((other for other in unmatched if _math_equal(bare, other)), None)
        if match is None:
            return False
        unmatched.remove(match)
    return True


def _base(text: str) -> int | None:
    """The base that a number is written in, where a text says so."""
    match = _BASE.search(text)
    if match is None:
        return None
    return (
        _NAMED_BASES[match[4].lower()]
        if match[4]
        else int(unicodedata.normalize("NFKC", match[1] or match[2] or match[3]))
    )


def _math_equal(reference: str, proposed: str) -> bool:
    from math_verify import parse, verify

    if _LONE_RELATION.match(proposed) and not _RELATION.search(reference) and not _INTERVAL.search(reference):
        return False  # "≤ 5" is not 5
    if _IN_BASE.search(reference) and _base(proposed) != _base(reference):
        return False  # 101 is not 101 in base 2
    if other_units(reference, proposed):
        return False
    numbers = [plain_number(text) if "%" not in text else None for text in (reference, proposed)]
    if None not in numbers:
        return numbers[0] == numbers[1]  # math-verify rounds to six digits
    plain = _TEXT_COMMAND.sub(r"\1", proposed)
    if numbers[0] is not None and (is_quantity(plain) or _SCIENTIFIC.search(plain)):
        return numbers[0] == read_number(plain)
    seconds = _MATH_SECONDS if threading.current_thread() is threading.main_thread() else None
    is_number = _NUMBER.fullmatch(reference.strip()) is not None
    right, read = (
        parse(latex, parsing_timeout=seconds) for latex in (_as_latex(reference, is_number), _as_latex(proposed, False))
    )
    if not right or not read:
        value = read_number(proposed)
        return value is not None and value == read_number(reference)
    if verify(right, read, timeout_seconds=seconds):
        return True
    is_interval = _INTERVAL.search(reference) is not None and _RELATION.search(proposed) is not None
    return is_interval and verify(read, right, timeout_seconds=seconds)


def choice(question: Question, answer: str) -> bool:
    """The text of the right choice, or its letter; any other reference is right too."""
    choices = question.choices or []
    index = choice_index(answer, choices, lettered=question.style == "choice")
    if index is not None:
        return choices[index] in question.references
    other_references = [reference for reference in question.references if reference not in choices]
    return exact(question.model_copy(update={"references": other_references}), answer)


def set_of_items(question: Question, answer: str) -> float:
    """F1 of the answer's items against the references, each an item with its spellings between "|".

    2 * hits / (proposed + references), the F1 of QAMPARI (Amouyal et al. 2023). An item that is repeated, in another
    spelling too, counts once. 0.0 for an answer without items.
    """
    known: dict[str, int] = {}
    for number, reference in enumerate(question.references):
        for spelling in reference.split("|"):
            for form in sorted(normal_forms(spelling)):
                known.setdefault(form, number)
    proposed = {known.get(item, item) for item in items(answer, known)}
    hits = sum(isinstance(item, int) for item in proposed)
    return 2 * hits / (len(proposed) + len(set(known.values()))) if hits else 0.0


def code(question: Question, answer: str) -> bool:
    """The question's program, with the answer's code for `<answer>`, runs to its end; see `code_sandbox`."""
    return code_outcome(question, answer).verdict == "passed"


def code_outcome(question: Question, answer: str) -> Outcome:
    if question.program is None:
        raise UserError(f"question {question.id}: grader code needs a program that holds <answer>")
    return run_program(program_with(question.program, answer))


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
    """Correctness of an answer in [0, 1] by the question's grader. Only `set` gives values between 0 and 1.

    A trace of reasoning is not part of the answer; see `without_trace`.
    """
    return float(GRADERS[question.grader](question, without_trace(answer)))


def _as_latex(text: str, is_number: bool) -> str:
    """A bare formula between dollar signs, without which math-verify looks in a text for numbers alone."""
    formula = in_latex(text)
    if _MARKUP.search(text):
        return formula
    if _PROSE.search(_TEXT_COMMAND.sub("", formula)) or (is_number and not re.search(r"[\\^]", formula)):
        return text
    return f"${formula.rstrip('.')}$"
