"""A `StepOrder` says which examples a step learns from. The number of processes does not change it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np


@dataclass(frozen=True)
class StepOrder:
    """Each step takes the next `batch_size` examples of a stream of epochs.

    An epoch is a permutation of the `examples` examples, drawn from (seed, epoch). A step's examples depend only on the
    step's number and the seed, so a run can resume at any step.
    """

    examples: int
    batch_size: int
    epochs: float
    seed: int

    @property
    def steps(self) -> int:
        return ceil(self.epochs * self.examples / self.batch_size)

    def step(self, number: int) -> list[int]:
        """Return the indices of the examples in step `number`, counted from 0. An epoch may end within a step."""
        stream = range(number * self.batch_size, (number + 1) * self.batch_size)
        return [int(_epoch(self.seed, i // self.examples, self.examples)[i % self.examples]) for i in stream]


@lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, examples: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(examples)
