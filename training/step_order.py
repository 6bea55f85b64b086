"""Which examples a step learns from: the same on any number of processes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np


@dataclass(frozen=True)
class StepOrder:
    """`batch_size` examples a step out of one stream of epochs, each a permutation of the `examples` examples drawn
    from (seed, epoch): step and seed alone say what a step sees, so that a run can go on anywhere."""

    examples: int
    batch_size: int
    epochs: float
    seed: int

    @property
    def steps(self) -> int:
        return max(1, ceil(self.epochs * self.examples / self.batch_size))

    def step(self, number: int) -> list[int]:
        """Indices of the examples of step `number`, counted from 0; an epoch may end within a step."""
        stream = range(number * self.batch_size, (number + 1) * self.batch_size)
        return [int(_epoch(self.seed, i // self.examples, self.examples)[i % self.examples]) for i in stream]


@lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, examples: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(examples)
