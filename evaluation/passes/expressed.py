"""Confidence that the model is asked to express: P(True), a percentage, or words.

Prompt bytes are kept as they are: another wording gives other numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from calibration_tuning.lm.generation import Decoding, generate_batch
from calibration_tuning.lm.likelihood import continuation_logprobs
from calibration_tuning.records import Demonstration, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State
from evaluation.passes.verbalised import WORDS

# Kadavath et al. 2022 (arXiv 2207.05221), section 3.2, without brainstormed samples.
P_TRUE = "\n\nIs the proposed answer:\n(A) True\n(B) False\nThe proposed answer is:"
TRUE, FALSE = "(A)", "(B)"
# After Tian et al. 2023 (arXiv 2305.14975), "verbalized" confidence in two turns.
PERCENT = (
    "\n\nHow likely is it that the proposed answer is correct? Give a probability between 0% and 100%.\nProbability:"
)
IN_WORDS = f"\n\nHow likely is it that the proposed answer is correct? Choose one: {', '.join(WORDS)}.\nIt is:"
REPLY_TOKENS = 8


def p_true(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`logit`: log-odds of (A) True against (B) False."""
    asking = context.prompt.follow_up_ids(P_TRUE)
    sequences = [[*context.question_and_answer(row), *asking] for row in rows]
    choices = [context.prompt.answer_ids(choice) for choice in (TRUE, FALSE)]
    logprobs = continuation_logprobs(context.model, context.prefix(block, state), sequences, [choices] * len(rows))
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
