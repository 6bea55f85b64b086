"""How much memory training takes on each device, by part, from shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peft.tuners.lora import LoraLayer
from torch import nn

from training.objective import CHUNK

GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes on one device."""

    weights: float
    """The base model's, which are not trained."""
    trained: float
    """What is trained, in float32."""
    gradients: float
    optimizer: float
    """Adam's two moments."""
    activations: float
    """Kept for the backward pass of one forward pass."""
    logits: float

    @property
    def total(self) -> float:
        return self.weights + self.trained + self.gradients + self.optimizer + self.activations + self.logits


@dataclass(frozen=True)
class Adapted:
    """What of the adapter decides how much is kept: the input widths of the modules that have one, over all layers, and
    whether there is dropout."""

    widths: int = 0
    dropout: bool = False


def adapted(model: nn.Module) -> Adapted:
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    dropout = any(isinstance(d, nn.Dropout) for layer in layers for d in layer.lora_dropout.values())
    return Adapted(sum(int(layer.in_features or 0) for layer in layers), dropout)


def counts(model: nn.Module) -> tuple[int, int]:
    """Parameters trained, and all."""
    parameters = list(model.parameters())
    return sum(size(p) for p in parameters if p.requires_grad), sum(size(p) for p in parameters)


def size(parameter: nn.Parameter) -> int:
    """ZeRO-3 empties parameters of which it holds a share; it keeps their size apart."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def estimate_memory(
    config: Any,
    base_bytes: float,
    trained: int,
    bytes_per_number: int,
    tokens: int,
    checkpointed: bool,
    adapter: Adapted,
    base_shards: int = 1,
    trained_shards: int = 1,
    gradient_shards: int = 1,
) -> Memory:
    """`config` is a decoder's own; `tokens` are those of one forward pass; `*_shards` among how many devices a part is
    split.

    A decoder layer of a gated MLP keeps, for each token, about a x hidden + 2 x key/value + 3 x intermediate numbers,
    and b x the input of each module with an adapter; a and b were measured on tensors saved for the backward pass (in
    bfloat16 norms and adapters work on float32 copies; dropout keeps a copy and its mask). With checkpointing only a
    layer's input is kept, and one layer's worth at a time. Without trained weights in the decoder nothing is.
    """
    heads = config.num_attention_heads
    kv = config.hidden_size // heads * getattr(config, "num_key_value_heads", heads)
    layers = config.num_hidden_layers
    plain, with_dropout, norms = (0.5, 1.9, 4.5) if bytes_per_number == 4 else (1.0, 2.9, 7.5)
    plain_layer = norms * config.hidden_size + 2 * kv + 3 * config.intermediate_size
    layer = plain_layer + (with_dropout if adapter.dropout else plain) * adapter.widths / layers
    kept = layers * config.hidden_size + layer if checkpointed else layers * layer
    return Memory(
        weights=base_bytes / base_shards,
        trained=4 * trained / base_shards,
        gradients=4 * trained / gradient_shards,
        optimizer=8 * trained / trained_shards,
        activations=tokens * kept * bytes_per_number if adapter.widths else 0.0,
        logits=4 * CHUNK * config.vocab_size * 4,  # tuned, reference, and their gradients, in float32
    )
