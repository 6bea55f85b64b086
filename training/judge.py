"""The confidence of many answers by the model under training, spread over the processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit

from training.engine import Engine, judging
from training.examples import Example
from training.layout import Layout
from training.plan import passes


def logits_of(
    engine: Engine,
    layout: Layout,
    examples: Sequence[Example],
    tokens_per_batch: int,
    advance: Callable[[int], object] = lambda n: None,
) -> np.ndarray:
    """Log-odds [n] of "correct", on every process. Every process calls it."""
    budget = tokens_per_batch - (len(layout.block) if layout.shared_block else 0)
    widths = [layout.width(example) for example in examples]
    rounds = passes(range(len(examples)), widths, budget, engine.processes, layout.kind == "packed")
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


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return expit(logits)
