"""What the model is asked about the answers. A pass is a file with a `measure` function and a line in `PASSES`.

Every pass leaves a few JSON-like values for each answer, in one or both states of the model: `before` is the adapter
switched off, `after` on.
"""

from __future__ import annotations

from calibration_tuning.records import GradedAnswer
from evaluation.passes import choices, expressed, query, reasoning, samples, tokens, writing
from evaluation.passes.asked import Asked, Pass, State

PASSES: dict[str, Pass] = {
    "query": Pass(query.measure, block=query.few_shot, reads_probe=True, settings=query.settings),
    "query_zero_shot": Pass(
        query.measure_zero_shot, block=query.zero_shot, reads_probe=True, settings=lambda s: s.num_bins
    ),
    "tokens": Pass(tokens.measure, block=tokens.answer_block, width=lambda row: 2, settings=lambda s: s.num_bins),
    "choices": Pass(choices.measure, block=tokens.answer_block, applies=choices.has_choices, width=choices.sequences),
    "p_true": Pass(expressed.p_true, block=query.zero_shot, width=lambda row: 2),
    "verbalised_percent": Pass(expressed.percent, block=query.zero_shot, writes=True),
    "verbalised_words": Pass(expressed.words, block=query.zero_shot, writes=True),
    "samples": Pass(
        samples.measure,
        block=tokens.answer_block,
        states=("before",),
        applies=writing.can_be_graded,
        kind=writing.kind,
        settings=lambda s: s.samples,
        writes=True,
    ),
    "reasoning": Pass(
        reasoning.measure,
        block=tokens.answer_block,
        states=("after",),
        applies=writing.can_be_graded,
        kind=writing.kind,
        settings=lambda s: s.reasoning_tokens,
        writes=True,
    ),
    "reanswered": Pass(
        writing.answer_again, block=tokens.answer_block, applies=writing.can_be_graded, kind=writing.kind
    ),
}

__all__ = ["PASSES", "Asked", "GradedAnswer", "Pass", "State"]
