"""`score_queries` asks the model under training about answers. The processes share the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from training.checkpoints import State
from training.examples import Example
from training.layout import Layout, to_device
from training.strategy import Strategy, evaluation_mode


class Verdicts(NamedTuple):
    """What the model says of n answers, both float64 [n]."""

    logits: np.ndarray
    """Log-odds that the answers are correct."""
    mass: np.ndarray
    """Probability of the query's two answer tokens together, over the whole vocabulary; nan with a probe."""


def score_queries(
    strategy: Strategy,
    layout: Layout,
    examples: Sequence[Example],
    tokens_per_batch: int,
    advance: Callable[[int], object] = lambda n: None,
) -> Verdicts:
    """Ask the query about every answer. Every process calls it, and each gets all scores.

    `advance` is called after every round with the number of examples that it scored.
    """
    rounds = layout.rounds(examples, tokens_per_batch, strategy.processes)
    scored: list[tuple[int, float, float]] = []
    with evaluation_mode(strategy):
        for shares in rounds:
            share = shares[strategy.accelerator.process_index]
            batch = layout.batch([examples[i] for i in share or shares[0][:1]], 0.0, 0)
            device = strategy.accelerator.device
            z, log_mass = strategy.model(to_device(batch, device), judge_only=True)
            mass = [np.nan] * len(z) if log_mass is None else log_mass.double().exp().tolist()
            scored += zip(share, (z[:, 1] - z[:, 0]).double().tolist(), mass, strict=False)
            advance(sum(map(len, shares)))
    scores = np.full((2, len(examples)), np.nan)
    for scored_by_process in strategy.gather(scored):
        for index, *values in scored_by_process:
            scores[:, index] = values
    return Verdicts(*scores)


def worse_than_untuned(state: State, select_by: str) -> str | None:
    """A sentence where the kept step judges the validation answers worse than the untrained model does; else None."""
    before, best = state.history[0].get(select_by), state.best_score
    if before is None or best is None or best <= before:
        return None
    return (
        f"validation: {select_by} is {best:.3f} at the best step and {before:.3f} before training "
        f"({len(state.best):,} answers), so the tuned query judges worse than the untuned one; lower "
        "training.learning_rate, or train on more examples"
    )
