"""Reason first, then answer: what more tokens of thinking buy, in accuracy and in calibration.

A model whose `model.thinking` is on reasons in its trace; any other is asked to think step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from calibration_tuning.grading.graders import grade
from calibration_tuning.lm.generation import Answer, Decoding, generate_batch, write_answers
from calibration_tuning.lm.query import score_batch
from calibration_tuning.records import Demonstration, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State


def measure(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`budgets`, one for each of `evaluation.reasoning_tokens`: the answer after at most that much reasoning, its
    grade, the tokens written, the mean probability of its tokens, and the log-odds of the tuned query about it.

    With a budget of 0 the question is answered at once. Reasoning and answers are written with the adapter off.
    """
    findings: list[Finding] = [{"budgets": []} for _ in rows]
    reason = _in_traces if context.prompt.thinking == "on" else _step_by_step
    for budget in context.settings.reasoning_tokens:
        with context.in_state("before"):
            answers, spent = reason(context, rows, block, budget)
        # The judge sees what it was trained on: question and answer after the query's block, without the reasoning.
        sequences = [
            [*context.prompt.judged_ids(row), *answer.token_ids] for row, answer in zip(rows, answers, strict=True)
        ]
        prefix = context.prefix(context.few_shot.query, "after")
        judged = score_batch(context.model, context.prompt, prefix, sequences, context.checkpoint.probe)
        for i, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            findings[i]["budgets"].append(
                {
                    "budget": budget,
                    "answer": answer.text,
                    "correct": grade(row, answer.text),
                    "tokens": spent[i] + len(answer.token_ids),
                    "token_probability": float(np.exp(answer.token_logprobs).mean()) if answer.token_ids else 0.0,
                    "query_logit": float(judged.logit[i]),
                }
            )
    return findings


def _in_traces(
    context: PassContext, rows: Sequence[GradedAnswer], block: Sequence[Demonstration], budget: int
) -> tuple[list[Answer], list[int]]:
    """Answers behind the model's own traces of at most `budget` tokens, and how many tokens these have."""
    questions = [context.prompt.question_ids(row) for row in rows]
    decoding = replace(_decoding(context, rows), thinking_tokens=budget)
    answers = write_answers(context.model, context.prompt, context.prefix(block, "before"), questions, decoding)
    return answers, [answer.trace_tokens for answer in answers]


def _step_by_step(
    context: PassContext, rows: Sequence[GradedAnswer], block: Sequence[Demonstration], budget: int
) -> tuple[list[Answer], list[int]]:
    """Answers of a model that was asked to think step by step first, and how many tokens that took."""
    prefix = context.prefix(block, "before")
    thought, spent = [context.prompt.question_ids(row) for row in rows], [0] * len(rows)
    if budget:
        asking = [context.prompt.reasoning_ids(row) for row in rows]
        written = generate_batch(context.model, context.prompt, prefix, asking, Decoding(budget, multiline=True))
        thoughts = [_without_answer(context, reasoned) for reasoned in written]
        spent = [len(reasoned.token_ids) for reasoned in written]
        thought = [
            [*ids, *reasoning_ids, *context.prompt.answer_now_ids]
            for ids, reasoning_ids in zip(asking, thoughts, strict=True)
        ]
    return generate_batch(context.model, context.prompt, prefix, thought, _decoding(context, rows)), spent


def _decoding(context: PassContext, rows: Sequence[GradedAnswer]) -> Decoding:
    return Decoding(rows[0].max_new_tokens or context.max_new_tokens, rows[0].multiline)


def _without_answer(context: PassContext, thoughts: Answer) -> list[int]:
    """The tokens of the reasoning, up to the place where it begins to answer by itself."""
    ids = thoughts.token_ids
    length = len(ids)
    while length and "Answer:" in context.prompt.tokenizer.decode(ids[:length]):
        length -= 1
    return ids[:length]
