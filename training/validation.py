"""`logits_of` scores answers with the model under training. The processes share the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.examples import Example
from training.layout import Layout
from training.strategy import Strategy, evaluation_mode


def logits_of(
    strategy: Strategy,
    layout: Layout,
    examples: Sequence[Example],
    tokens_per_batch: int,
    advance: Callable[[int], object] = lambda n: None,
) -> np.ndarray:
    """Return the log-odds [n] that the answers are correct. Every process calls it, and each gets all of them.

    `advance` is called after every round with the number of examples that it scored.
    """
    rounds = layout.rounds(examples, tokens_per_batch, strategy.processes)
    scored: list[tuple[int, float]] = []
    with evaluation_mode(strategy):
        for shares in rounds:
            share = shares[strategy.accelerator.process_index]
            batch = layout.batch([examples[i] for i in share or shares[0][:1]], 0.0, 0)
            device = strategy.accelerator.device
            z, _ = strategy.model({name: value.to(device) for name, value in batch.items()}, judge_only=True)
            scored += zip(share, (z[:, 1] - z[:, 0]).double().tolist(), strict=False)
            advance(sum(map(len, shares)))
    logits = np.full(len(examples), np.nan)
    for scored_by_process in strategy.gather(scored):
        for index, value in scored_by_process:
            logits[index] = value
    return logits
