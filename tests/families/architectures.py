"""Tiny random models of the real architecture classes."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = SIZES | {"num_key_value_heads": 2}
FALCON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 16}

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama, SmolLM2": ("llama", GROUPED),
    "Llama with a head_dim of its own": ("llama", GROUPED | {"head_dim": 12}),
    "Mistral with a short window": ("mistral", GROUPED | {"sliding_window": 16}),
    "Qwen2.5": ("qwen2", GROUPED),
    "Qwen3": ("qwen3", GROUPED | {"head_dim": 8}),
    "Gemma 2": ("gemma2", GROUPED | {"head_dim": 8, "sliding_window": 16}),
    "Gemma 3": ("gemma3_text", GROUPED | {"head_dim": 8, "sliding_window": 16}),
    "Phi-3": ("phi3", GROUPED | {"pad_token_id": None}),
    "GLM-4": ("glm4", GROUPED | {"head_dim": 8}),
    "Cohere (logits multiplied)": ("cohere", GROUPED | {"logit_scale": 0.5}),
    "Granite (logits divided)": ("granite", GROUPED | {"logits_scaling": 4.0}),
    "GPT-2": ("gpt2", GPT),
    "GPT-J": ("gptj", GPT | {"rotary_dim": 4}),
    "Pythia": ("gpt_neox", SIZES),
    "OPT": (
        "opt",
        {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "word_embed_proj_dim": 32}
        | {"dropout": 0.0},
    ),
    "Bloom": ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "Falcon": ("falcon", FALCON),
    "Falcon with ALiBi": ("falcon", FALCON | {"alibi": True}),
    "MPT": ("mpt", {"d_model": 32, "n_layers": 2, "n_heads": 4, "expansion_ratio": 2}),
    "Mixtral": ("mixtral", GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "Qwen2-MoE without its window": (
        "qwen2_moe",
        GROUPED | EXPERTS | {"shared_expert_intermediate_size": 32, "use_sliding_window": False},
    ),
    "Qwen3-MoE": ("qwen3_moe", GROUPED | EXPERTS | {"head_dim": 8}),
    "Qwen3-Next": ("qwen3_next", GROUPED | EXPERTS | LINEAR | {"head_dim": 8, "shared_expert_intermediate_size": 32}),
    "Qwen3.5": ("qwen3_5_text", GROUPED | LINEAR | {"head_dim": 8}),
    "LFM2": ("lfm2", GROUPED | {"layer_types": ["conv", "full_attention"], "block_multiple_of": 16}),
    "Granite-4": (
        "granitemoehybrid",
        GROUPED
        | MAMBA
        | {"layer_types": ["mamba", "attention"], "num_local_experts": 4, "num_experts_per_tok": 2}
        | {"shared_intermediate_size": 32, "mamba_expand": 2, "position_embedding_type": "rope"},
    ),
    "Jamba": (
        "jamba",
        GROUPED
        | {"num_experts": 2, "num_experts_per_tok": 1, "attn_layer_period": 2, "attn_layer_offset": 1}
        | {"mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False},
    ),
    "Nemotron-H": (
        "nemotron_h",
        GROUPED
        | {"head_dim": 8, "mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1}
        | {"chunk_size": 16, "layers_block_type": ["mamba", "attention"]},
    ),
    "Falcon-H1": (
        "falcon_h1",
        GROUPED | MAMBA | {"head_dim": 8, "mamba_d_ssm": 64, "lm_head_multiplier": 0.5},
    ),
    "Mamba": ("mamba", {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2, "time_step_rank": 4}),
}
HYBRID = {"Qwen3-Next", "Qwen3.5", "LFM2", "Granite-4", "Jamba", "Nemotron-H", "Falcon-H1", "Mamba"}
"""Layers whose state is not keys and values of every token."""


def random_model(name: str, vocabulary: int) -> Any:
    """In float32, with weights so large that different inputs give visibly different outputs."""
    model_type, settings = SETTINGS[name]
    named = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None} | settings
    config = AutoConfig.for_model(model_type, vocab_size=vocabulary, initializer_range=0.2, **named)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
