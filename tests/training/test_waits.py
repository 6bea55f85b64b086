"""What makes the host wait for the GPU inside a pass. The meta device stands for the GPU: it has no values to wait for,
so that reading one raises, and copies to it are counted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from calibration_tuning.config.training import ObjectiveSettings
from calibration_tuning.lm.caches import encode_prefix
from training.examples import Example
from training.layout import Layout
from training.query_model import QueryModel

SIZES: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
MODELS: dict[str, Any] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=4096)),
}
SETTINGS = ObjectiveSettings(mass_weight=0.1, kl_weight=0.5, answer_nll_weight=0.1)
BLOCK = list(range(10, 30))


class Copies(TorchDispatchMode):
    """Counts copies of host tensors to the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        tensors = [argument for argument in args if isinstance(argument, torch.Tensor)]
        to_gpu = isinstance(result, torch.Tensor) and result.is_meta
        if to_gpu and name in ("_to_copy", "copy_") and any(not tensor.is_meta for tensor in tensors):
            self.names.append(name)
        if name in ("index", "index_put_", "index_select"):  # an index on the host is copied
            indices = [i for i in args[1] if i is not None] if isinstance(args[1], (list, tuple)) else [args[2]]
            self.names += [name for i in indices if not i.is_meta]
        return result


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["padded", "packed"])
@pytest.mark.parametrize("name", MODELS)
def test_a_pass_copies_nothing_to_the_gpu_and_reads_nothing_there(name: str, kind: Any) -> None:
    with torch.device("meta"):
        lm = get_peft_model(MODELS[name]().bfloat16(), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    model = QueryModel(lm, (7, 8), SETTINGS).train()
    layout = Layout(kind, BLOCK, query_length=2, shared_block=True)
    examples = [Example(list(range(40, 50 + n)), 2, 1.0, 1.0) for n in range(3)]
    batch = layout.batch(examples, 1 / 3, chunks=2)
    on_gpu = {key: v.to("meta") if isinstance(v, torch.Tensor) else v for key, v in batch.items()}
    with Copies() as copies:
        total, _, _ = model(on_gpu)
        total.backward()
    assert copies.names == []


def test_kept_states_of_the_reference_spare_its_forward_pass() -> None:
    lm = get_peft_model(MODELS["llama"](), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    model = QueryModel(lm, (7, 8), SETTINGS).train()
    examples = [Example(list(range(40, 50 + n)), 2, 1.0, 1.0) for n in range(3)]
    batch = Layout("packed", BLOCK, query_length=2, shared_block=True).batch(examples, 1 / 3, chunks=2)
    passes: list[int] = []
    lm.get_base_model().model.register_forward_hook(lambda *_: passes.append(1))
    anew = model(batch)[0]
    assert len(passes) == 2
    kept = model(batch | {"reference": model(batch, reference_only=True)})[0]
    assert len(passes) == 4
    assert kept.item() == anew.item()


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_a_batch_look_at_one_block(name: str) -> None:
    lm = MODELS[name]()
    prefix = encode_prefix(lm, BLOCK)
    cache = prefix.expand(4, lm.config)
    assert cache is not None
    assert cache.get_seq_length() == len(BLOCK)
    for layer, (keys, values) in zip(cache.layers, prefix.layers, strict=True):
        assert layer.keys.shape[0] == layer.values.shape[0] == 4
        assert layer.keys.untyped_storage().data_ptr() == keys.untyped_storage().data_ptr()
        assert layer.values.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
