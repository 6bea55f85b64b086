"""The checks of `python -m tests.gpu`. Each returns what it measured, and raises where that is not as it should be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from calibration_tuning.metrics.row_statistics import KERNELS, plain_statistics, row_statistics
from calibration_tuning.runs.devices import driver_floor
from tests.gpu.launched import trainings
from tests.gpu.sizes import PACKED, PADDED, REPEATED, Machine
from training.layout import Batch
from training.memory import GIB, adapted, counts, estimate_memory
from training.preflight.machines import GPUS, LAUNCHES, Gpu, fast_and_slow
from training.preflight.work import forward_flops
from training.query_model import QueryModel
from training.strategy import DATA_PARALLEL

STEPS = 5
MOST = 12
"""Kernels that are named: those that a layer launches most often."""


class Skipped(Exception):
    """A check that this machine cannot make."""


def driver(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = {"torch": torch.__version__, "needs": driver_floor()}
    if machine.is_gpu:
        properties = torch.cuda.get_device_properties(machine.device)
        found |= {"gpu": properties.name, "GiB": properties.total_memory / GIB, "count": torch.cuda.device_count()}
    return found


def gradients(model: QueryModel, batch: Batch, machine: Machine, dtype: torch.dtype) -> tuple[float, Tensor]:
    """Return the loss of a pass and its gradients in one vector."""
    model.train().zero_grad()  # in training mode anew: a model remembers the block of its layout
    with machine.autocast(dtype):
        total = model(batch)[0]
    total.backward()
    return total.item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def distance(found: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference, as a share of the expected norm."""
    return float((found - expected).norm() / expected.norm())


def layouts_agree(machine: Machine) -> dict[str, Any]:
    """Padded, packed and repeated rows have one loss and gradient: in float32 closely, in bfloat16 by its rounding."""
    measured: dict[str, Any] = {}
    for dtype, loss_limit, gradient_limit in ((torch.float32, 1e-3, 1e-2), (torch.bfloat16, 0.3, 0.3)):
        model, name = machine.model(machine.layers(2), dtype), str(dtype).removeprefix("torch.")
        expected = gradients(model, machine.batch(6, REPEATED), machine, dtype)
        for kind, layout in (("padded", PADDED), ("packed", PACKED)):
            found = gradients(model, machine.batch(6, layout), machine, dtype)
            off, turned = abs(found[0] - expected[0]), distance(found[1], expected[1])
            measured |= {f"{name} {kind} loss off": off, f"{name} {kind} gradient off": turned}
            if not (off < loss_limit and turned < gradient_limit):
                raise AssertionError(f"{name}, {kind}: loss off by {off:.2g}, gradient by {turned:.2g}")
    return measured


def reference_kept(machine: Machine) -> dict[str, Any]:
    """A batch that brings the reference's states has the loss of one that does not."""
    dtype = torch.bfloat16
    model, batch = machine.model(machine.layers(2), dtype), machine.batch(6, PACKED)
    anew, _ = gradients(model, batch, machine, dtype)
    with machine.autocast(dtype):
        states = model(batch, reference_only=True)
    kept, _ = gradients(model, batch | {"reference": states.cpu().to(machine.device)}, machine, dtype)
    if kept != anew:
        raise AssertionError(f"the loss is {kept} with kept states and {anew} without")
    return {"loss": kept, "MiB an answer": states.numel() * states.element_size() / 6 / 2**20}


def kernel_of_metrics(machine: Machine) -> dict[str, Any]:
    """The kernel (Triton's on a GPU) against float64."""
    kernel = KERNELS[machine.device.type]()
    if kernel is None:
        raise AssertionError("the kernel cannot start; is there a C compiler and python3-dev?")
    edges, worst = np.arange(1, 10) / 10, 0.0
    for dtype in (torch.float32, torch.bfloat16):
        logits = (4 * torch.randn(64, 32000 if machine.is_gpu else 1000, device=machine.device)).to(dtype)
        found, expected = row_statistics(logits, edges), plain_statistics(logits, edges)
        off = float(np.abs(found.mass - expected.mass).max())
        worst = max(worst, off, float(np.abs(found.squares - expected.squares).max()))
    if worst > 1e-5:
        raise AssertionError(f"masses or Brier sums are off by {worst:.2g}")
    return {"off by": worst}


def wrapped_alone(machine: Machine) -> dict[str, Any]:
    """DDP and FSDP2 in a group of one process have the gradient of the plain model."""
    dtype, batch = torch.bfloat16, machine.batch(4, PACKED)
    model = machine.model(machine.layers(2), dtype)
    loss, expected = gradients(model, batch, machine, dtype)
    dist.init_process_group("nccl" if machine.is_gpu else "gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        data_parallel: Any = DistributedDataParallel(model, **DATA_PARALLEL.to_kwargs())
        ddp = gradients(data_parallel, batch, machine, dtype)
        measured = {"ddp loss off": abs(ddp[0] - loss), "ddp gradient off": distance(ddp[1], expected)}
        if machine.is_gpu:
            sharded = machine.model(machine.layers(2), dtype)
            policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
            for layer in sharded.lm.get_base_model().model.layers:
                fully_shard(layer, mp_policy=policy)
            fully_shard(sharded, mp_policy=policy)
            with machine.autocast(dtype):
                total = sharded(batch)[0]
            total.backward()
            measured["fsdp2 loss off"] = abs(total.item() - loss)
    finally:
        dist.destroy_process_group()
    if max(measured.values()) > 0.1:
        raise AssertionError(f"{measured}")
    return measured


def launches(machine: Machine) -> dict[str, Any]:
    """Kernels that a layer launches in a training pass: what preflight assumes, against the profiler's count."""
    if not machine.is_gpu:
        raise Skipped("there are no launches on a CPU")
    launched: dict[int, Counter[str]] = {}
    for layers in (2, 3):
        model, batch = machine.model(machine.layers(layers), torch.bfloat16, dropout=0.1), machine.batch(4, PACKED)
        with machine.autocast(torch.bfloat16):
            batch["reference"] = model(batch, reference_only=True)
        gradients(model, batch, machine, torch.bfloat16)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            gradients(model, batch, machine, torch.bfloat16)
            machine.wait()
        # The profiler lists the host's calls beside the kernels.
        ran = [event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
        launched[layers] = Counter(event.name for event in ran)
    layer = launched[3] - launched[2]
    most = [f"{count} x {name[:60]}" for name, count in layer.most_common(MOST)]
    return {"a layer": layer.total(), "assumed": LAUNCHES["training"], "most": most}


def launch_files(machine: Machine) -> dict[str, Any]:
    """A whole training by each launch file, with the stacked readout."""
    return trainings() if machine.is_gpu else trainings(("single_gpu",), "no")


def step(machine: Machine) -> dict[str, Any]:
    """Tokens/s, MFU and memory of training passes of the whole model, beside preflight's plan of the memory."""
    dtype = torch.bfloat16
    measured: dict[str, Any] = {}
    model = machine.model(machine.shape, dtype, dropout=0.1)
    trained, total = counts(model)
    gpu = listed_gpu(torch.cuda.get_device_name() if machine.is_gpu else "CPU")
    cases = {"padded, 4": (4, PADDED, False), "packed, 4": (4, PACKED, False), "packed, 4, kept": (4, PACKED, True)}
    cases["packed, 32, kept"] = (32, PACKED, True)
    for case, (count, layout, is_kept) in cases.items():
        machine.free()
        batch = machine.batch(count, layout)
        if is_kept:
            with machine.autocast(dtype):
                batch["reference"] = model(batch, reference_only=True)
        seconds = median_seconds(lambda batch=batch: gradients(model, batch, machine, dtype), machine)
        tokens = batch["input_ids"].numel() + len(batch["prefix_ids"])
        measured |= {f"{case}: ms": 1000 * seconds, f"{case}: tokens/s": tokens / seconds}
        if gpu is not None:
            weights, width = total - 2 * machine.shape.vocab_size * machine.shape.hidden_size, machine.shape.hidden_size
            row = batch["input_ids"].shape[1] + len(batch["prefix_ids"])
            flops = (2 if is_kept else 3) * tokens * forward_flops(machine.shape, weights, row)
            launches = machine.shape.num_hidden_layers * (LAUNCHES["training"] + (not is_kept) * LAUNCHES["reference"])
            launches *= 2 if layout == PADDED else 1  # the block has a pass of its own
            fast, slow = fast_and_slow(gpu, flops, width, launches)
            measured |= {f"{case}: ms planned": f"{1000 * fast:.0f} to {1000 * slow:.0f}"}
            measured[f"{case}: MFU"] = flops / seconds / gpu.tflops / 1e12
        if machine.is_gpu:
            planned = estimate_memory(machine.shape, 2 * (total - trained), trained, 2, tokens, False, adapted(model))
            held = planned.total - planned.optimizer
            measured[f"{case}: GiB"] = torch.cuda.max_memory_allocated() / GIB
            measured[f"{case}: GiB planned"] = held / GIB
    return measured


def listed_gpu(name: str) -> Gpu | None:
    """Return the GPU of preflight's list that the driver calls `name`, such as `NVIDIA H200`."""
    return next((gpu for kind, gpu in GPUS.items() if kind.split("-")[0].upper() in name.upper().split()), None)


def median_seconds(run: Callable[[], Any], machine: Machine) -> float:
    run()
    seconds = []
    for _ in range(STEPS):
        machine.wait()
        begun = time.monotonic()
        run()
        machine.wait()
        seconds.append(time.monotonic() - begun)
    return float(np.median(seconds))


def vllm(machine: Machine) -> dict[str, Any]:
    if find_spec("vllm") is None:
        raise Skipped("vLLM is not installed here; `make vllm-test` compares it in an environment of its own")
    return {"vllm": version("vllm")}


CHECKS: dict[str, Callable[[Machine], dict[str, Any]]] = {
    "driver": driver,
    "kernel of the metrics": kernel_of_metrics,
    "layouts": layouts_agree,
    "reference": reference_kept,
    "DDP and FSDP2": wrapped_alone,
    "launches": launches,
    "launch files": launch_files,
    "step": step,
    "vLLM": vllm,
}
