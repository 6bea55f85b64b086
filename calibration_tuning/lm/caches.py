"""What a model keeps of the tokens it has read, and whether rows can share that of a common block."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from calibration_tuning.errors import UserError
from calibration_tuning.lm.models import decoder

BY_KEY_POSITION = {"mpt"}
"""Families whose attention depends on the column that a key stands in, so that padding must not stand between keys."""
BY_COLUMN = {*BY_KEY_POSITION, "bloom"}
"""Families that take no positions: they count columns, or the tokens that padding leaves. So does Falcon with ALiBi."""
NEED_MASK = {"falcon", "opt"}
"""Families that do not see from positions beginning again where an example of a packed row begins."""
LONG_ROW = 1024
"""Tokens that a question and its answer may have behind a block, for a sliding window to reach over both."""


@dataclass(frozen=True)
class Prefix:
    """A token block common to all rows.

    As a KV cache: keys and values [1, heads, length, head_dim] a layer. Models whose state cannot be shared (linear
    attention, state spaces, short sliding windows) read the block's ids in every row instead; `length` is then 0.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    length: int
    repeated: tuple[int, ...] = ()
    ids: tuple[int, ...] = ()
    """The shared block's ids, unless it was given as a tensor."""

    def expand(self, batch_size: int, config: Any) -> DynamicCache | None:
        """A cache for `batch_size` rows: views of the block until a layer appends to them, when it copies both.
        Gradients flow back into the block."""
        if not self.length:
            return None
        cache = DynamicCache(config=config)
        empty: list[Any] = cache.layers
        for layer, (keys, values) in zip(empty, self.layers, strict=True):
            # Filled here, as transformers would append the block to an empty cache: one more copy for every row.
            layer.keys, layer.values = (part.expand(batch_size, -1, -1, -1) for part in (keys, values))
            layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
            if isinstance(layer, DynamicSlidingWindowLayer):
                layer.cumulative_length = self.length
        return cache


def encode_prefix(model: Any, ids: Sequence[int] | Tensor) -> Prefix:
    """Run the block through the model once. Keeps gradients unless the caller switched them off."""
    if not len(ids):
        return Prefix((), 0)
    if not shares_block(model.config, len(ids)):
        return Prefix((), 0, tuple(map(int, ids)))
    tokens = (ids if isinstance(ids, Tensor) else torch.tensor(ids, device=model.device)).unsqueeze(0)
    cache = _empty_cache(model.config, tokens.device)
    cache = decoder(model)(input_ids=tokens, past_key_values=cache, use_cache=True).past_key_values
    known = () if isinstance(ids, Tensor) else tuple(map(int, ids))
    return Prefix(tuple((layer.keys, layer.values) for layer in cache.layers), tokens.shape[1], ids=known)


def _empty_cache(config: Any, device: torch.device) -> DynamicCache:
    """A cache without tokens. transformers would copy the length of every layer's window from the host to the device,
    and with each copy wait for the device; made there, it is not copied."""
    cache = DynamicCache(config=config)
    for layer in cache.layers:
        if isinstance(layer, DynamicSlidingWindowLayer):
            layer._sliding_window_tensor = torch.full((), layer.sliding_window, device=device)
    return cache


def keeps_keys(config: Any) -> bool:
    """True if every layer keeps keys and values of each token: no linear attention, convolution or state space."""
    text = config.get_text_config()
    if not getattr(text, "num_attention_heads", None):  # Mamba
        return False
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=text).layers)


def shares_block(config: Any, length: int) -> bool:
    """True if a block of `length` tokens can be run once and shared by all rows through its KV cache."""
    text = config.get_text_config()
    if text.model_type in BY_KEY_POSITION or not keeps_keys(text):
        return False
    window = shortest_window(text)
    return window is None or length + LONG_ROW <= window


def packs(config: Any, custom_mask: bool = True) -> bool:
    """True if several examples can stand in one row, told apart by a mask of ours or, without one, by positions."""
    text = config.get_text_config()
    if not keeps_keys(text) or text.model_type in BY_COLUMN or getattr(text, "alibi", False):
        return False
    return custom_mask or text.model_type not in NEED_MASK


def cache_argument(model: Any) -> str:
    """The name under which the model takes and returns its cache."""
    names = inspect.signature(decoder(model).forward).parameters
    return "cache_params" if "cache_params" in names else "past_key_values"


def shortest_window(config: Any) -> int | None:
    """Tokens that the layers with the shortest sliding window see; None where all layers see everything."""
    layers = DynamicCache(config=config.get_text_config()).layers
    windows = [layer.sliding_window for layer in layers if isinstance(layer, DynamicSlidingWindowLayer)]
    return min(windows, default=None)


def check_window(config: Any, tokens: int) -> None:
    """Raises `UserError` where a layer's sliding window is shorter than `tokens`."""
    window = shortest_window(config)
    if window is not None and tokens > window:
        raise UserError(
            f"model.path: some layers of this model see {window} tokens, but block and question have {tokens}; use "
            "fewer demonstrations or remove long questions"
        )
