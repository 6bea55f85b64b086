"""Which examples a step learns from, and how they are cut into forward passes: the same on any number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np

from calibration_tuning.lm.batches import by_length


@dataclass(frozen=True)
class Plan:
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


def passes(
    indices: Sequence[int], widths: Sequence[int], tokens_per_batch: int, processes: int, packed: bool = False
) -> list[list[list[int]]]:
    """Cut a step's examples into rounds of one forward pass for each process: [rounds][processes] -> indices.

    Rows of similar length come together, a pass holds at most `tokens_per_batch` tokens (an example that is longer by
    itself is a pass of its own), and every process has the same number of passes, as sharded engines wait for each
    other in each. Where there are fewer examples than processes, the missing passes are empty.
    """
    own = [range(widths[i]) for i in indices]
    cut = _packed(own, tokens_per_batch) if packed else list(by_length(own, len(own), tokens_per_batch))
    while len(cut) % processes:
        largest = max(range(len(cut)), key=lambda k: (len(cut[k]) > 1, sum(len(own[j]) for j in cut[k]), -k))
        half = (len(cut[largest]) + 1) // 2
        cut[largest : largest + 1] = [cut[largest][:half], cut[largest][half:]]
    cut.sort(key=lambda rows: -sum(len(own[j]) for j in rows))
    shared = [[indices[j] for j in rows] for rows in cut]
    return [shared[k : k + processes] for k in range(0, len(shared), processes)]


def _packed(rows: Sequence[range], budget: int) -> list[list[int]]:
    """First-fit decreasing: the longest examples first, each into the first pass that has room."""
    bins: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: (-len(rows[i]), i)):
        fits = next((k for k, left in enumerate(room) if left >= len(rows[index])), None)
        if fits is None:
            bins.append([])
            room.append(budget)
            fits = len(bins) - 1
        bins[fits].append(index)
        room[fits] -= len(rows[index])
    return bins
