"""The model and the passes that the GPU checks run: a 7B shape on a GPU, a tiny one on the CPU."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

from calibration_tuning.config.training import ObjectiveSettings
from training.examples import Example
from training.layout import Batch, Layout, to_device
from training.query_model import QueryModel

TINY = {
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
QUERY, ANSWER = 24, 6
SETTINGS = ObjectiveSettings(mass_weight=0.1, kl_weight=1.0, answer_nll_weight=0.1)
PACKED = {"kind": "packed", "shared_block": True}
PADDED = {"kind": "padded", "shared_block": True}
REPEATED = {"kind": "padded", "shared_block": False}


@dataclass
class Machine:
    """A `Machine` is the device under test and the sizes that suit it."""

    device: torch.device

    @property
    def is_gpu(self) -> bool:
        return self.device.type == "cuda"

    @cached_property
    def shape(self) -> LlamaConfig:
        return LlamaConfig() if self.is_gpu else LlamaConfig(**TINY)  # LlamaConfig's defaults are Llama-2-7B's

    def layers(self, count: int) -> LlamaConfig:
        """Return the same width with fewer layers."""
        return LlamaConfig(**self.shape.to_dict() | {"num_hidden_layers": count})

    def model(self, shape: LlamaConfig, dtype: torch.dtype, dropout: float = 0.0) -> QueryModel:
        """Return a random model whose adapter is not zero, the same for every dtype."""
        torch.manual_seed(0)
        with torch.device(self.device):
            lm: Any = AutoModelForCausalLM.from_config(shape, dtype=dtype)
        lora = LoraConfig(r=8, lora_alpha=32, lora_dropout=dropout, target_modules=["q_proj", "v_proj"])
        tuned = get_peft_model(lm, lora).to(self.device)
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        return QueryModel(tuned, (10, 11), SETTINGS).train()

    def autocast(self, dtype: torch.dtype) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)

    def examples(self, count: int) -> list[Example]:
        mean = 140 if self.is_gpu else 20
        generator = np.random.default_rng(0)
        lengths = np.maximum(4, np.round(mean * np.exp(0.4 * generator.normal(size=count) - 0.08)).astype(int))
        rows = [generator.integers(100, 900, int(n) + ANSWER + QUERY).tolist() for n in lengths]
        return [Example(row, ANSWER, float(i % 2), float(i % 2)) for i, row in enumerate(rows)]

    def batch(self, count: int, layout: dict[str, Any]) -> Batch:
        block = list(range(100, 300 if self.is_gpu else 120))
        made = Layout(block=block, query_length=QUERY, **layout).batch(self.examples(count), 1 / count, 1)
        return to_device(made, self.device)

    def wait(self) -> None:
        if self.is_gpu:
            torch.cuda.synchronize()

    def free(self) -> None:
        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
