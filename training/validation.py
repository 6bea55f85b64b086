"""The confidence of many answers by the model under training, spread over the processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.examples import Example
from training.layout import Layout, rounds_of
from training.strategy import Engine, judging


def logits_of(
    engine: Engine,
    layout: Layout,
    examples: Sequence[Example],
    tokens_per_batch: int,
    advance: Callable[[int], object] = lambda n: None,
) -> np.ndarray:
    """Log-odds [n] of "correct", on every process. Every process calls it."""
    rounds = rounds_of(layout, examples, range(len(examples)), tokens_per_batch, engine.processes)
    found: list[tuple[int, float]] = []
    with judging(engine):
        for shares in rounds:
            own = shares[engine.accelerator.process_index]
            batch = layout.batch([examples[i] for i in own or shares[0][:1]], 0.0, 0)
            device = engine.accelerator.device
            z, _ = engine.model({name: value.to(device) for name, value in batch.items()}, judge_only=True)
            found += zip(own, (z[:, 1] - z[:, 0]).double().tolist(), strict=False)
            advance(sum(map(len, shares)))
    logits = np.full(len(examples), np.nan)
    for one in engine.gather(found):
        for index, value in one:
            logits[index] = value
    return logits
