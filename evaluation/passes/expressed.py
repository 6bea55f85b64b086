"""Confidence that the model is asked to express: P(True), a percentage, or words.

Prompt bytes are kept as they are: another wording gives other numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from calibration_tuning.lm.generation import Decoding, generate_batch
from calibration_tuning.lm.likelihood import continuation_logprobs
from calibration_tuning.records import Demonstration, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State

# Kadavath et al. 2022 (arXiv 2207.05221), section 3.2, without brainstormed samples.
P_TRUE = "\n\nIs the proposed answer:\n(A) True\n(B) False\nThe proposed answer is:"
TRUE, FALSE = "(A)", "(B)"
# After Tian et al. 2023 (arXiv 2305.14975), "verbalized" confidence in two turns.
PERCENT = (
    "\n\nHow likely is it that the proposed answer is correct? Give a probability between 0% and 100%.\nProbability:"
)
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
IN_WORDS = f"\n\nHow likely is it that the proposed answer is correct? Choose one: {', '.join(WORDS)}.\nIt is:"
REPLY_TOKENS = 8
_NUMBER = re.compile(r"(?<![\w.-])(\d+(?:\.\d+)?)\s*(%|percent\b)?", re.IGNORECASE)
_ODDS = re.compile(r"\d\s*%?\s*(?:/|:|-|–|(?:in|out|to|and|or)\b)\s*(?:of\s*)?\d|between", re.IGNORECASE)


def p_true(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`logit`: log-odds of (A) True against (B) False."""
    asking = context.prompt.follow_up_ids(P_TRUE)
    sequences = [[*context.question_and_answer(row), *asking] for row in rows]
    choices = [context.prompt.answer_ids(choice) for choice in (TRUE, FALSE)]
    logprobs = continuation_logprobs(
        context.model, context.prompt, context.prefix(block, state), sequences, [choices] * len(rows)
    )
    return [{"logit": sum(true) - sum(false)} for true, false in logprobs]


def percent(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    return _replies(context, rows, state, block, PERCENT)


def words(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    return _replies(context, rows, state, block, IN_WORDS)


def _replies(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration], question: str
) -> list[Finding]:
    asking = context.prompt.follow_up_ids(question)
    sequences = [[*context.question_and_answer(row), *asking] for row in rows]
    replies = generate_batch(
        context.model, context.prompt, context.prefix(block, state), sequences, Decoding(REPLY_TOKENS)
    )
    return [{"reply": reply.text} for reply in replies]


def read_percent(reply: str) -> float | None:
    """The probability that a reply names: "90%", "90 percent", "0.9", "90". None for no number, one below 0 or over
    100%, and for odds and ranges ("1 in 10", "5/5", "between 10% and 20%")."""
    match = _NUMBER.search(reply)
    if match is None or _ODDS.search(reply):
        return None
    value = float(match.group(1))
    # A bare "1" is 100%: who gives percentages writes the sign, or a number that is plainly one.
    is_fraction = match.group(2) is None and value <= 1
    probability = value if is_fraction else value / 100
    return probability if 0 <= probability <= 1 else None


def read_words(reply: str) -> float | None:
    """The probability of the first known phrase of a reply, the longest where several begin at one place; None where it
    is negated."""
    text = " ".join(re.sub(r"[^a-z]+", " ", reply.casefold()).split())
    places = [
        (match.start(), -len(phrase), value)
        for phrase, value in WORDS.items()
        if (match := re.search(rf"\b{phrase}\b", text))
    ]
    if not places:
        return None
    start, _, value = min(places)
    return None if re.search(r"\b(?:not|isn t|never)(?: \w+)? $", text[:start]) else value
