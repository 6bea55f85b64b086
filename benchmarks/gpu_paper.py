"""python -m benchmarks gpu_paper: what a training step of a 7B model asks of one of 8 GPUs, counted without a GPU.

Fake tensors have a shape and a device, but no values. A step runs on them, forward and backward, and every operation
that reaches the device is counted: kernels, FLOPs (torch.utils.flop_counter), bytes, and waits of the host (values that
it reads from the device, and copies between the two inside a pass). Two and three layers are counted and scaled to the
model's depth. Time is modelled, not measured: a kernel takes what its FLOPs or its bytes take at a share of the data
sheet's rates, and the host needs some microseconds to launch it; a step takes the longer of both. Where there is a GPU
the fake tensors are on "cuda", otherwise on the CPU, whose attention kernel then stands for CUDA's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import typer
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers import AutoModelForCausalLM

from calibration_tuning.config.training import ObjectiveSettings
from training.examples import Example
from training.layout import Batch, Layout
from training.preflight.machines import GPUS, MEMORY, PRODUCTS, SECONDS_TO_LAUNCH, Gpu
from training.preflight.shapes import stated_shape
from training.query_model import QueryModel

GPU_COUNT, EPOCHS, TOKENS = 8, 3, 8192
QUERY, ANSWER = 24, 6
SHORTEST = 3e-6
"""Seconds of the shortest kernel."""
FREE = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "_unsafe_view",
    "lift_fresh",
    "detach",
}
"""Operations that launch no kernel, besides views."""
READS = {"_local_scalar_dense", "nonzero", "item", "is_nonzero", "masked_select", "_unique2"}
"""Operations whose result the host waits for."""


@dataclass(frozen=True)
class Way:
    """A `Way` is a way of training: how rows are laid out, and how often the reference is read."""

    layout: dict[str, Any]
    keeps_reference: bool
    batch_size: int = 32
    checkpointed: bool = False


PADDED = {"kind": "padded", "shared_block": True}
REPEATED = {"kind": "padded", "shared_block": False}
PACKED = {"kind": "packed", "shared_block": True}
WAYS = {
    "padded": Way(PADDED, keeps_reference=False),
    "padded, reference kept": Way(PADDED, keeps_reference=True),
    "packed": Way(PACKED, keeps_reference=False),
    "packed, reference kept": Way(PACKED, keeps_reference=True),
    "the same, 128 examples a step": Way(PACKED, keeps_reference=True, batch_size=128),
    "FSDP2: padded, block in every row": Way(REPEATED, keeps_reference=False),
}


@dataclass(eq=False)
class Counts(TorchDispatchMode):
    """`Counts` counts what reaches the device while it is entered."""

    kernels: float = 0.0
    flops: float = 0.0
    sizes: list[tuple[float, float]] = field(default_factory=list)
    """The FLOPs and the bytes of every kernel."""
    waits: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        name, packet = function.overloadpacket.__name__, function.overloadpacket
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        written = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if name in READS or len({tensor.device.type for tensor in read + written if tensor.dim()}) > 1:
            self.waits[name] += 1
        if function.namespace == "aten" and name not in FREE and not _is_view(function):
            flops = flop_registry[packet](*args, **kwargs, out_val=result) if packet in flop_registry else 0
            self.kernels += 1
            self.flops += flops
            self.sizes.append((flops, sum(tensor.numel() * tensor.element_size() for tensor in read + written)))
        return result


def _is_view(function: Any) -> bool:
    aliases = [returned.alias_info for returned in function._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


@dataclass(frozen=True)
class Step:
    """What one GPU does in a step of a way."""

    kernels: float
    flops: float
    waits: float
    tokens: int
    seconds: dict[str, float]
    """Modelled seconds by type of GPU."""


def main(model: str = "meta-llama/Llama-2-7b-hf", gpu: list[str] = ["a100-80gb", "h100-80gb"]) -> None:  # noqa: B006
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{model}, {GPU_COUNT} GPUs, questions of 170 tokens behind a block of 200; fake tensors on {device}\n")
    print("| way | kernels | TFLOP | waits |" + "".join(f" ms, {name} | MFU |" for name in gpu) + " examples/s |")
    print("|---|---:|---:|---:|" + "---:|---:|" * len(gpu) + "---:|")
    for name, way in WAYS.items():
        step = count_step(stated_shape(model), way, device, gpu)
        modelled = "".join(
            f" {1000 * step.seconds[kind]:,.0f} | {step.flops / step.seconds[kind] / GPUS[kind].tflops / 1e12:.0%} |"
            for kind in gpu
        )
        rates = ", ".join(f"{way.batch_size / step.seconds[kind]:.0f}" for kind in gpu)
        print(f"| {name} | {step.kernels:,.0f} | {step.flops / 1e12:.1f} | {step.waits:g} |{modelled} {rates} |")


def count_step(shape: Any, way: Way, device: str, gpus: list[str]) -> Step:
    """Count the work of a step of `way` on one GPU, scaled from two and three layers to the depth of `shape`."""
    layout = Layout(block=list(range(100, 300)), query_length=QUERY, **way.layout)
    examples = made_examples(way.batch_size)
    shares = [share[0] for share in layout.rounds(examples, TOKENS, GPU_COUNT)]
    passes = [layout.batch([examples[i] for i in share], 1 / way.batch_size, 1) for share in shares]
    tokens = sum(batch["input_ids"].numel() + len(batch["prefix_ids"]) for batch in passes)
    two, three = (count_layers(shape, layers, passes, way, device) for layers in (2, 3))
    deeper = shape.num_hidden_layers - 2
    if way.keeps_reference:  # one reading of each answer, over all epochs, in passes that are filled up
        drawn = made_examples(256)
        filled = layout.rounds(drawn, TOKENS, 1)[0][0]
        batch = layout.batch([drawn[i] for i in filled], 1.0, 0)
        share = way.batch_size / GPU_COUNT / len(filled) / EPOCHS
        once = [count_layers(shape, layers, [batch], way, device, reference_only=True) for layers in (2, 3)]
    else:
        once, share = [Counts(), Counts()], 0.0

    def scaled(value: Any) -> Any:
        return sum(
            part * (value(first) + deeper * (value(second) - value(first)))
            for part, (first, second) in ((1.0, (two, three)), (share, once))
        )

    seconds = {kind: scaled(lambda counts, kind=kind: step_seconds(GPUS[kind], counts.sizes)[0]) for kind in gpus}
    host = scaled(lambda counts: step_seconds(GPUS[gpus[0]], counts.sizes)[1])
    return Step(
        scaled(lambda counts: counts.kernels),
        scaled(lambda counts: counts.flops),
        scaled(lambda counts: counts.waits.total()),
        tokens,
        {kind: max(value, host) for kind, value in seconds.items()},
    )


def step_seconds(gpu: Gpu, kernels: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Return the modelled seconds that the GPU computes and that the host launches, for kernels of so many FLOPs and
    bytes each. They overlap, so that a step takes the longer of both."""
    computing, launching = 0.0, 0.0
    for flops, moved in kernels:
        of_products, of_memory = flops / (PRODUCTS[0] * gpu.tflops * 1e12), moved / (MEMORY * gpu.bandwidth * 1e12)
        computing += max(SHORTEST, of_products, of_memory)
        launching += SECONDS_TO_LAUNCH[0]
    return computing, launching


def made_examples(count: int) -> list[Example]:
    generator = np.random.default_rng(0)
    lengths = np.round(140 * np.exp(0.4 * generator.normal(size=count) - 0.08)).astype(int)
    return [Example(list(range(100, 100 + n + ANSWER + QUERY)), ANSWER, 1.0, 1.0) for n in lengths]


def count_layers(
    shape: Any, layers: int, passes: list[Batch], way: Way, device: str, reference_only: bool = False
) -> Counts:
    """Count the passes of one GPU with a model of `layers` layers, on fake tensors."""
    values = shape.to_dict() | {"num_hidden_layers": layers, "layer_types": None}
    lora = LoraConfig(r=8, lora_alpha=32, lora_dropout=0.1, target_modules=["q_proj", "v_proj"])
    with torch.device("meta"):
        lm: Any = AutoModelForCausalLM.from_config(type(shape)(**values), dtype=torch.bfloat16)
        model = QueryModel(get_peft_model(lm, lora), (10, 11), ObjectiveSettings()).train()
    fake = FakeTensorMode()
    put_on_fake_device(model, fake, device)
    on_device = [
        {key: faked(value, fake, device) if isinstance(value, Tensor) else value for key, value in batch.items()}
        for batch in passes
    ]
    with fake:
        if way.keeps_reference and not reference_only:
            for batch in on_device:
                states_size = (len(batch["answer_ids"]), shape.hidden_size)
                batch["reference"] = torch.empty(states_size, dtype=torch.bfloat16, device=device)
        elif not reference_only:
            with torch.autocast(device, torch.bfloat16):
                model(on_device[0], reference_only=True)  # its block is read once in the training
        counts = Counts()
        with counts, torch.autocast(device, torch.bfloat16):
            for batch in on_device:
                if reference_only:
                    model(batch, reference_only=True)
                else:
                    model(batch)[0].backward()
    return counts


def put_on_fake_device(model: QueryModel, fake: FakeTensorMode, device: str) -> None:
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            replacement = torch.nn.Parameter(faked(parameter.detach(), fake, device), parameter.requires_grad)
            module._parameters[name] = replacement
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = faked(buffer, fake, device)


def faked(tensor: Tensor, fake: FakeTensorMode, device: str) -> Tensor:
    return FakeTensor(fake, tensor.to("meta"), torch.device(device))


if __name__ == "__main__":
    typer.run(main)
