"""Is a proposed answer correct? Graders by name; a new one is a function here and a line in `GRADERS`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from calibration_tuning.records import CHOICE_LETTERS, Question

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


def normalise(text: str) -> str:
    """Lower case without accents, punctuation, articles and extra spaces (as in SQuAD's exact match)."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(_plain(c) for c in folded)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Mn":  # accents, apart from their letters since NFKD
        return ""
    return " " if category[0] in "PS" else character


def exact(question: Question, answer: str) -> bool:
    proposed = normalise(answer)
    return bool(proposed) and any(proposed == normalise(reference) for reference in question.references)


def case_sensitive(question: Question, answer: str) -> bool:
    """For symbols and codes, where Co and CO differ."""
    return answer.strip().rstrip(".") in question.references


def numeric(question: Question, answer: str) -> bool:
    """The first number of the answer equals the reference, whatever the thousands separators."""
    found = _NUMBER.search(answer)
    return found is not None and any(_number(found.group()) == _number(r) for r in question.references)


def choice(question: Question, answer: str) -> bool:
    """The letter of the right choice, or its text."""
    choices = question.choices or []
    letter = answer.strip().removeprefix("(")[:2].rstrip(").: ").upper()
    if len(letter) == 1 and letter in CHOICE_LETTERS[: len(choices)]:
        return choices[CHOICE_LETTERS.index(letter)] in question.references
    return exact(question, answer)


GRADERS: dict[str, Callable[[Question, str], bool]] = {
    "exact": exact,
    "case_sensitive": case_sensitive,
    "numeric": numeric,
    "choice": choice,
}


def grade(question: Question, answer: str) -> float:
    """Correctness of one answer by the question's own grader: 1.0 or 0.0."""
    return float(GRADERS[question.grader](question, answer))


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return float("nan")
