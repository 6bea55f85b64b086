"""The shipped 7B runs as far as they go without a GPU: built on the meta device, counted and sized."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from peft import get_peft_model
from transformers import AutoModelForCausalLM

from calibration_tuning.config.run import load_run_config
from training.layout import layout_of
from training.memory import GIB, adapted, counts, estimate_memory
from training.methods import lora_config
from training.preflight.shapes import SHAPES as STATED
from training.preflight.shapes import stated_shape
from training.query_model import QueryModel
from training.strategy import loads_onto, make_accelerator

A100 = 80 * 1e9 / GIB
SHAPES: dict[str, tuple[Any, float]] = {
    "llama2_7b": (stated_shape("meta-llama/Llama-2-7b-hf"), 6.74e9),
    "mistral_7b": (stated_shape("mistralai/Mistral-7B-v0.1"), 7.24e9),
    "qwen2_5_7b": (stated_shape("Qwen/Qwen2.5-7B-Instruct"), 7.62e9),
}


def on_meta(name: str) -> tuple[Any, QueryModel]:
    config = load_run_config(f"configs/{name}.yaml", [])
    with torch.device("meta"):
        lm = AutoModelForCausalLM.from_config(SHAPES[name][0], dtype=torch.bfloat16)
        tuned = get_peft_model(lm, lora_config(config.training.lora))
    return config, QueryModel(tuned, (0, 1), config.training.objective)


def test_every_shipped_model_has_its_shape() -> None:
    assert [load_run_config(f"configs/{name}.yaml", []).model.path for name in SHAPES] == [*STATED]


@pytest.mark.parametrize("name", SHAPES)
def test_packed_rows_are_read_by_the_shipped_models(name: str) -> None:
    config = load_run_config(f"configs/{name}.yaml", [])
    layout = layout_of(config, SHAPES[name][0], list(range(200)), 24, is_fsdp=False)
    assert (layout.kind, layout.shared_block) == ("packed", True)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_the_adapter_is_where_and_as_large_as_it_should_be(name: str) -> None:
    config, model = on_meta(name)
    shape, parameters = SHAPES[name]
    trained, total = counts(model)
    assert total - trained == pytest.approx(parameters, rel=0.01)
    # r 8 on q_proj and v_proj: r x (inputs + outputs) each, in every layer.
    h, kv = shape.hidden_size, shape.hidden_size // shape.num_attention_heads * shape.num_key_value_heads
    assert trained == shape.num_hidden_layers * config.training.lora.r * ((h + h) + (h + kv))


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_it_fits_on_an_a100(name: str) -> None:
    config, model = on_meta(name)
    trained, total = counts(model)
    sizes = {
        (checkpointed, shards): estimate_memory(
            SHAPES[name][0],
            2 * (total - trained),
            trained,
            2,
            config.training.tokens_per_batch,
            checkpointed,
            adapted(model),
            shards,
            shards,
            shards,
        ).total
        / GIB
        for checkpointed in (False, True)
        for shards in (1, 8)
    }
    assert total * 2 / GIB < sizes[True, 1] < sizes[False, 1] < A100
    assert sizes[True, 8] < sizes[True, 1] - 0.8 * total * 2 / GIB


def test_one_process_alone_is_a_single_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP"):
        monkeypatch.delenv(name, raising=False)
    accelerator = make_accelerator(bf16=True)
    assert accelerator.num_processes == 1
    assert accelerator.mixed_precision == ("bf16" if torch.cuda.is_available() else "no")


@pytest.mark.parametrize(
    ("kind", "stage", "expected"),
    [
        (DistributedType.NO, 0, "cuda:5"),
        (DistributedType.MULTI_GPU, 0, "cuda:5"),
        (DistributedType.DEEPSPEED, 2, "cuda:5"),
        (DistributedType.DEEPSPEED, 3, None),
        (DistributedType.FSDP, 0, None),
    ],
)
def test_a_model_that_is_split_is_loaded_on_the_cpu(kind: DistributedType, stage: int, expected: str | None) -> None:
    plugin = SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=stage))
    accelerator: Any = SimpleNamespace(distributed_type=kind, state=plugin, device="cuda:5")
    assert loads_onto(accelerator, trains=True) == expected
    assert loads_onto(accelerator, trains=False) == accelerator.device
