"""Left-padded batches after a shared few-shot block whose KV cache is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from calibration_tuning.errors import UserError
from calibration_tuning.lm.models import decoder


@dataclass(frozen=True)
class Prefix:
    """The KV cache of a token block common to all rows: keys and values [1, heads, length, head_dim] a layer."""

    layers: tuple[tuple[Tensor, Tensor], ...]
    length: int

    def expand(self, batch_size: int, config: Any) -> DynamicCache | None:
        """A cache for `batch_size` rows. Views, not copies; gradients flow back into the block."""
        if not self.length:
            return None
        data = [(k.expand(batch_size, -1, -1, -1), v.expand(batch_size, -1, -1, -1)) for k, v in self.layers]
        return DynamicCache(data, config=config)


def encode_prefix(model: Any, ids: Sequence[int] | Tensor) -> Prefix:
    """Run the block through the model once. Keeps gradients unless the caller switched them off."""
    if not len(ids):
        return Prefix((), 0)
    tokens = (ids if isinstance(ids, Tensor) else torch.tensor(ids, device=model.device)).unsqueeze(0)
    cache = decoder(model)(input_ids=tokens, use_cache=True).past_key_values
    return Prefix(tuple((layer.keys, layer.values) for layer in cache.layers), tokens.shape[1])


def left_pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Token ids [B, T] and attention mask [B, T], rows ending in the same column."""
    width = max(map(len, rows))
    input_ids = torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in rows])
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


def check_window(config: Any, tokens: int) -> None:
    window = getattr(config.get_text_config(), "sliding_window", None)
    if window is not None and tokens > window:
        raise UserError(
            f"model.path: some layers of this model see {window} tokens, but block and question have {tokens}; take "
            "fewer demonstrations or leave long questions out"
        )


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
