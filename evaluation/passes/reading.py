"""What the untuned model knows of an answer as it reads it, for the stacked readout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration_tuning.lm.reading import read_batch
from calibration_tuning.records import Demonstration, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State, pack


def measure(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`logprobs`: of the answer's tokens. `states`: of the readout's layers, averaged over these tokens."""
    readout = context.checkpoint.readout
    assert readout is not None, "only a stacked readout asks for this pass"
    reading = read_batch(
        context.model,
        context.prefix(block, state),
        [context.prompt.answering_ids(row) for row in rows],
        [row.token_ids for row in rows],
        readout.record.layers,
    )
    return [
        {"logprobs": logprobs, "states": pack(states.astype(np.float32))}
        for logprobs, states in zip(reading.token_logprobs, reading.states, strict=True)
    ]
