"""`SHAPES` holds the shapes of the models of the shipped 7B recipes, from the config.json of each on the hub.

Preflight plans with them where the hub is out of reach, or a gated model has not been granted yet.
"""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig

LLAMA_LIKE = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32}
SHAPES: dict[str, dict[str, Any]] = {
    "meta-llama/Llama-2-7b-hf": {
        "model_type": "llama",
        **LLAMA_LIKE,
        "num_key_value_heads": 32,
        "intermediate_size": 11008,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
    },
    "mistralai/Mistral-7B-v0.1": {
        "model_type": "mistral",
        **LLAMA_LIKE,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 32000,
        "max_position_embeddings": 32768,
        "sliding_window": 4096,
    },
    "Qwen/Qwen2.5-7B-Instruct": {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "max_position_embeddings": 32768,
    },
}


def stated_shape(path: str) -> Any:
    """Return the configuration of a model in `SHAPES`; None for any other."""
    return AutoConfig.for_model(**SHAPES[path]) if path in SHAPES else None
