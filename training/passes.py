"""`cut_into_passes` cuts the examples of a step into forward passes. Every process computes the same cut."""

from __future__ import annotations

from collections.abc import Sequence

from calibration_tuning.lm.batches import by_length


def cut_into_passes(
    widths: Sequence[int], tokens_per_pass: int, processes: int, packed: bool = False
) -> list[list[list[int]]]:
    """Return rounds, in each of which every process runs a pass: [rounds][processes] -> positions in `widths`.

    `widths` [n] are the numbers of tokens that the examples add to a pass. A pass holds at most `tokens_per_pass`
    tokens; a longer example is a pass by itself. Padded passes hold examples of similar length; packed passes are
    filled up. Every process has the same number of passes, because the processes of a sharded model wait for each other
    in every pass. If there are fewer examples than processes, some passes are empty.
    """
    cut = _first_fit(widths, tokens_per_pass) if packed else list(by_length(widths, len(widths), tokens_per_pass))
    while len(cut) % processes:
        largest = max(range(len(cut)), key=lambda k: (len(cut[k]) > 1, sum(widths[j] for j in cut[k]), -k))
        half = (len(cut[largest]) + 1) // 2
        cut[largest : largest + 1] = [cut[largest][:half], cut[largest][half:]]
    cut.sort(key=lambda rows: -sum(widths[j] for j in rows))
    return [cut[k : k + processes] for k in range(0, len(cut), processes)]


def _first_fit(widths: Sequence[int], tokens_per_pass: int) -> list[list[int]]:
    """First-fit decreasing: the longest examples first, each into the first pass that has room."""
    bins: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(widths)), key=lambda i: (-widths[i], i)):
        fits = next((k for k, left in enumerate(room) if left >= widths[index]), None)
        if fits is None:
            bins.append([])
            room.append(tokens_per_pass)
            fits = len(bins) - 1
        bins[fits].append(index)
        room[fits] -= widths[index]
    return bins
