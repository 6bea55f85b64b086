"""`cut_into_passes` cuts the examples of a step into forward passes. Every process computes the same cut."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Sequence
from math import ceil

from calibration_tuning.lm.batches import by_length


def cut_into_passes(
    widths: Sequence[int], tokens_per_pass: int, processes: int, packed: bool = False
) -> list[list[list[int]]]:
    """Return rounds, in each of which every process runs a pass: [rounds][processes] -> positions in `widths`.

    `widths` [n] are the numbers of tokens that the examples add to a pass. A pass holds at most `tokens_per_pass`
    tokens; a longer example is a pass by itself. Padded passes hold examples of similar length. Rounds are few, and the
    passes of a round about equal, because its largest pass keeps the other processes waiting. Every process has the
    same number of passes, because the processes of a sharded model wait for each other in every pass. Passes may be
    empty, as when there are fewer examples than processes; the first of a round never is.
    """
    cut = _packed(widths, tokens_per_pass, processes) if packed else _padded(widths, tokens_per_pass, processes)
    cut = sorted(filter(None, cut), key=lambda rows: -pass_tokens([widths[i] for i in rows], packed))
    cut += [[] for _ in range(-len(cut) % processes)]
    return [cut[k : k + processes] for k in range(0, len(cut), processes)]


def pass_tokens(widths: Sequence[int], packed: bool) -> int:
    """Return the number of tokens in a pass over examples of these widths, padding counted in."""
    return sum(widths) if packed else len(widths) * max(widths, default=0)


def _packed(widths: Sequence[int], tokens_per_pass: int, processes: int) -> list[list[int]]:
    """Put the longest examples first, each into the emptiest pass. Where a pass is too full, try with more passes."""
    order = sorted(range(len(widths)), key=lambda i: (-widths[i], i))
    tokens = sum(min(width, tokens_per_pass) for width in widths)
    count = processes * max(1, ceil(tokens / (processes * max(1, tokens_per_pass))))
    while True:
        cut: list[list[int]] = [[] for _ in range(count)]
        emptiest = [(0, k) for k in range(count)]
        for i in order:
            filled, k = emptiest[0]
            if filled and filled + widths[i] > tokens_per_pass:
                break
            cut[k].append(i)
            heapq.heapreplace(emptiest, (filled + widths[i], k))
        else:
            return cut
        count += processes * max(1, count // (16 * processes))  # of thousands of examples, not one round at a time


def _padded(widths: Sequence[int], tokens_per_pass: int, processes: int) -> list[list[int]]:
    """Cut the examples by length, with the smallest budget that takes no more rounds than `tokens_per_pass` does."""

    def cut(budget: int) -> list[list[int]]:
        return list(by_length(widths, len(widths), budget))

    count = processes * ceil(len(cut(tokens_per_pass)) / processes)
    smallest = bisect_left(range(tokens_per_pass), True, key=lambda budget: len(cut(budget)) <= count)
    return cut(smallest)
