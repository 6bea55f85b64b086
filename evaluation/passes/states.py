"""Hidden states of a middle layer: over an answer's tokens, and at the end of a question before it is answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration_tuning.lm.reading import read_batch
from calibration_tuning.records import Demonstration, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State, pack

DEPTH = 0.5
"""Of the layer that is read, as a share of all layers."""


def measure_answers(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`states`: float32 [H], averaged over the answer's tokens; of an empty answer those of `measure_questions`."""
    return _measure(context, rows, state, block, [row.token_ids for row in rows])


def measure_questions(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`states`: float32 [H], at the last token of the question, behind which the answer would begin."""
    return _measure(context, rows, state, block, [[] for _ in rows])


def _measure(
    context: PassContext,
    rows: Sequence[GradedAnswer],
    state: State,
    block: Sequence[Demonstration],
    answers: Sequence[Sequence[int]],
) -> list[Finding]:
    layer = max(1, round(DEPTH * context.model.config.get_text_config().num_hidden_layers))
    questions = [context.prompt.answering_ids(row) for row in rows]
    reading = read_batch(context.model, context.prefix(block, state), questions, answers, [layer])
    return [{"states": pack(states.astype(np.float32))} for states in reading.states]
