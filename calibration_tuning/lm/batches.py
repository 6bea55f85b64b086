"""Left-padded batches after a few-shot block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from calibration_tuning.lm.caches import Prefix, check_window, shortest_window

PAD = 0
"""Token id of padding. It is masked, so any token will do; a tokenizer's pad token may be missing, or lie outside the
model's embeddings."""


def within_window(prefix: Prefix, rows: Sequence[Sequence[int]], more: int, config: Any) -> Prefix:
    """The prefix for a batch of rows that get at most `more` tokens each, with its block repeated in every row where a
    sliding window ends before that: the padding of a short row stands behind a shared block and would push it out."""
    window = shortest_window(config) if prefix.ids else None
    if window is None or prefix.length + max(map(len, rows)) + more <= window:
        return prefix
    return Prefix((), 0, prefix.ids)


def left_pad(rows: Sequence[Sequence[int]], prefix: Prefix | None = None) -> tuple[Tensor, Tensor]:
    """Token ids [B, T] and attention mask [B, T], rows ending in the same column; a block that cannot be shared stands
    at the beginning of every row."""
    if prefix is not None and prefix.repeated:
        rows = [[*prefix.repeated, *row] for row in rows]
    width = max(map(len, rows))
    input_ids = torch.tensor([[PAD] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return input_ids, mask


def forward_inputs(input_ids: Tensor, mask: Tensor, prefix: Prefix, config: Any) -> dict[str, Any]:
    """Arguments for `model(...)`: positions count real tokens only and the block is always attended to.

    Raises `UserError` where a sliding window would not reach over the block: padding stands between it and the rows.
    """
    if prefix.length:
        check_window(config, prefix.length + mask.shape[1])
    positions = (mask.cumsum(1) - 1).clamp(min=0) + prefix.length
    block = mask.new_ones(mask.shape[0], prefix.length)
    return {
        "input_ids": input_ids,
        "attention_mask": torch.cat([block, mask], dim=1),
        "position_ids": positions,
        "past_key_values": prefix.expand(mask.shape[0], config),
        "use_cache": prefix.length > 0,
    }


def by_length(
    lengths: Sequence[int],
    batch_size: int,
    max_tokens: int | None = None,
    extra: int = 0,
    copies: int = 1,
) -> Iterator[list[int]]:
    """Positions in `lengths` [n] in batches of similar length, longest first, so that a lack of memory shows early.

    A batch has at most `batch_size` sequences and, if given, `max_tokens` tokens, padding counted in. Every row has
    `extra` more tokens (a block before it, an answer after it) and becomes `copies` sequences (one for each
    choice of its question). A row that is larger by itself is a batch alone.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    most = max(1, batch_size // copies)
    start = 0
    while start < len(order):
        width = max(1, lengths[order[start]] + extra)
        size = most if max_tokens is None else max(1, min(most, max_tokens // copies // width))
        yield order[start : start + size]
        start += size
