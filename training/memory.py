"""`estimate_memory` says how much memory training takes on each device. It needs only the shapes of tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peft.tuners.lora import LoraLayer
from torch import nn

from training.objective import CHUNK

GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """A `Memory` says how many bytes each part of a training takes on one device."""

    weights: float
    """The weights of the base model, which are not trained."""
    trained: float
    """The trained parameters, in float32."""
    gradients: float
    optimizer: float
    """Adam's two moments."""
    activations: float
    """The tensors of a forward pass that are kept for the backward pass."""
    logits: float

    @property
    def total(self) -> float:
        return self.weights + self.trained + self.gradients + self.optimizer + self.activations + self.logits


@dataclass(frozen=True)
class Adapted:
    """`Adapted` describes what decides how much memory the activations of an adapter take."""

    widths: int = 0
    """The sum of the input widths of all modules with an adapter, over all layers."""
    dropout: bool = False
    """Whether the adapter has dropout."""


def adapted(model: nn.Module) -> Adapted:
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    dropout = any(isinstance(d, nn.Dropout) for layer in layers for d in layer.lora_dropout.values())
    return Adapted(sum(int(layer.in_features or 0) for layer in layers), dropout)


def counts(model: nn.Module) -> tuple[int, int]:
    """Return the number of trained parameters, and of all parameters."""
    parameters = list(model.parameters())
    return sum(size(p) for p in parameters if p.requires_grad), sum(size(p) for p in parameters)


def size(parameter: nn.Parameter) -> int:
    """Return the number of elements in a parameter. ZeRO-3 empties parameters and keeps their sizes in `ds_numel`."""
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
    """Estimate the memory of a training on one device.

    `config` is the configuration of the decoder, `tokens` the number of tokens in a forward pass, and each `*_shards`
    the number of devices over which a part is split.

    For each token, a decoder layer with a gated MLP keeps about a x hidden + 2 x key/value + 3 x intermediate numbers,
    and b x the input width of each module with an adapter. a and b were measured on the tensors saved for the backward
    pass: in bfloat16, norms and adapters work on float32 copies, and dropout keeps a copy and its mask. With
    checkpointing, the inputs of all layers are kept, and the activations of one layer at a time. If the decoder has no
    trained weights, nothing is kept.
    """
    heads = getattr(config, "num_attention_heads", None)  # None for Mamba
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // (heads or 1)
    kv = head_dim * (getattr(config, "num_key_value_heads", None) or heads) if heads else 0
    layers = config.num_hidden_layers
    plain, with_dropout, norms = (0.5, 1.9, 4.5) if bytes_per_number == 4 else (1.0, 2.9, 7.5)
    plain_layer = norms * config.hidden_size + 2 * kv + 3 * mlp_width(config)
    layer = plain_layer + (with_dropout if adapter.dropout else plain) * adapter.widths / layers
    activations = layers * config.hidden_size + layer if checkpointed else layers * layer
    return Memory(
        weights=base_bytes / base_shards,
        trained=4 * trained / base_shards,
        gradients=4 * trained / gradient_shards,
        optimizer=8 * trained / trained_shards,
        activations=tokens * activations * bytes_per_number if adapter.widths else 0.0,
        logits=4 * CHUNK * config.vocab_size * 4,  # tuned, reference, and their gradients, in float32
    )


def mlp_width(config: Any) -> int:
    """Return how many numbers the MLP of a layer holds for one token, over all experts that read the token."""
    names = ("intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner")
    width = next((value for name in names if (value := getattr(config, name, None))), 4 * config.hidden_size)
    widest = max(width) if isinstance(width, list) else int(width)
    experts = getattr(config, "num_experts_per_tok", None) or 1
    each = getattr(config, "moe_intermediate_size", None) or widest
    return max(widest, experts * each + (getattr(config, "shared_expert_intermediate_size", None) or 0))
