"""Prompts as plain text: `Question: ... Answer: ...`, and the uncertainty query."""

from __future__ import annotations

from collections.abc import Callable

from calibration_tuning.records import Demonstration

# Kapoor et al. 2024 (arXiv 2406.08391). In text prompts it follows the answer directly; as a chat turn it is stripped.
QUERY = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"
NO, YES = "i", "ii"
QUESTION, ANSWER = "Question:", "\nAnswer:"


def system_text(system_prompt: str | None) -> str:
    """What stands above the first example: the system message, and an empty line."""
    return "" if system_prompt is None else f"{system_prompt}\n\n"


def question_text(question: str) -> str:
    """The question up to where its answer begins."""
    return f"{QUESTION} {question.strip()}{ANSWER}"


def demonstration_text(demonstration: Demonstration, protected: Callable[[str], str] = str) -> str:
    """A question with its answer and, if the demonstration has one, the query with its verdict.

    `protected` replaces contents that must not be tokenized as control tokens.
    """
    shown = f"{question_text(protected(demonstration.question.strip()))} {protected(demonstration.answer.strip())}"
    if demonstration.correct is not None:
        shown += f"{QUERY} {YES if demonstration.correct else NO}"
    return shown + "\n\n"
