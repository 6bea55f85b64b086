"""What the model is asked about the answers. A pass is a file with a `measure` function and a line in `PASSES`.

Every pass leaves a few JSON-like values for each answer, in one or both states of the model: `before` is the adapter
switched off, `after` on.
"""

from __future__ import annotations

from evaluation.passes import choices, expressed, query, reading, reasoning, samples, states, text, tokens, writing
from evaluation.passes.base import Pass
from evaluation.passes.rows import (
    every_answer,
    reanswered_test_answers,
    some_answers,
    some_test_answers,
    with_other_models,
    with_training_answers,
)

PASSES: dict[str, Pass] = {
    "query": Pass(
        query.measure, block=query.few_shot, rows=with_other_models, reads_probe=True, settings=query.settings
    ),
    "query_zero_shot": Pass(
        query.measure_zero_shot,
        block=query.zero_shot,
        rows=every_answer,
        reads_probe=True,
        settings=lambda s: s.num_bins,
    ),
    "reading": Pass(reading.measure, block=tokens.answer_block, rows=with_other_models, states=("before",)),
    "reading_as_loaded": Pass(reading.measure, block=tokens.block_as_loaded, rows=every_answer, states=("before",)),
    "answer_states": Pass(
        states.measure_answers, block=tokens.answer_block, rows=with_training_answers, states=("before",)
    ),
    "question_states": Pass(
        states.measure_questions, block=tokens.answer_block, rows=with_training_answers, states=("before",)
    ),
    "tokens": Pass(
        tokens.measure,
        block=tokens.answer_block,
        rows=every_answer,
        width=lambda row: 2,
        settings=lambda s: s.num_bins,
        runs=lambda settings: True,  # for Full-ECE, whatever the estimators
    ),
    "text": Pass(
        text.measure,
        block=query.zero_shot,
        rows=lambda answers: list(answers.texts),
        settings=text.settings,
        runs=lambda settings: settings.text is not None,
    ),
    "choices": Pass(
        choices.measure,
        block=tokens.answer_block,
        rows=every_answer,
        applies=choices.has_choices,
        width=choices.sequences,
    ),
    "p_true": Pass(expressed.p_true, block=query.zero_shot, rows=every_answer, width=lambda row: 2),
    "verbalised_percent": Pass(expressed.percent, block=query.zero_shot, rows=some_answers),
    "verbalised_words": Pass(expressed.words, block=query.zero_shot, rows=some_answers),
    "samples": Pass(
        samples.measure,
        block=tokens.answer_block,
        rows=some_answers,
        states=("before",),
        applies=writing.can_be_graded,
        kind=writing.kind,
        settings=lambda s: s.samples,
        runs=lambda s: bool(s.samples),
    ),
    "reasoning": Pass(
        reasoning.measure,
        block=tokens.answer_block,
        rows=some_test_answers,
        states=("after",),
        applies=writing.can_be_graded,
        kind=writing.kind,
        settings=lambda s: s.reasoning_tokens,
        runs=lambda s: bool(s.reasoning_tokens),
    ),
    "reanswered": Pass(
        writing.answer_again,
        block=tokens.answer_block,
        rows=reanswered_test_answers,
        applies=writing.can_be_graded,
        kind=writing.kind,
        runs=lambda s: bool(s.adapter_on_answers),
    ),
}

__all__ = ["PASSES"]
