"""`GPUS` lists the GPUs that preflight knows. `SHARDINGS` says how each strategy splits a training between GPUs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    memory: float
    """The memory that a process can use, in GiB."""
    tflops: float
    """Peak TFLOP/s of dense bfloat16 matrix products, from the manufacturers' data sheets."""
    bandwidth: float
    """TB/s of its memory, from the data sheets."""
    dollars: tuple[float, float]
    """The price of an hour on demand, in US dollars: a range over common offers in 2025. Prices change."""


GPUS: dict[str, Gpu] = {
    "l4": Gpu(22.0, 121, 0.3, (0.4, 1.0)),
    "a10g": Gpu(22.0, 70, 0.6, (0.7, 1.3)),
    "a6000": Gpu(47.4, 155, 0.768, (0.5, 1.3)),
    "a100-40gb": Gpu(39.4, 312, 1.555, (1.1, 3.7)),
    "a100-80gb": Gpu(79.1, 312, 2.039, (1.2, 5.1)),
    "h100-80gb": Gpu(79.1, 989, 3.35, (2.0, 7.0)),
    "h200": Gpu(139.8, 989, 4.8, (2.5, 8.0)),
    "b200": Gpu(178.0, 2250, 8.0, (3.0, 10.0)),
    "l40s": Gpu(44.4, 362, 0.864, (0.8, 2.3)),
    "rtx-3090": Gpu(23.6, 71, 0.936, (0.2, 0.5)),
    "rtx-4090": Gpu(23.5, 165, 1.008, (0.3, 0.8)),
}


@dataclass(frozen=True)
class Sharding:
    """A `Sharding` says which parts of a training a strategy splits between the devices."""

    launch: str
    """The name of the strategy's file in launch/accelerate/."""
    base: bool
    gradients: bool
    optimizer: bool
    is_fsdp: bool = False


SHARDINGS: dict[str, Sharding] = {
    "DDP": Sharding("ddp_8gpu", False, False, False),
    "ZeRO-2": Sharding("deepspeed_zero2", False, True, True),
    "ZeRO-3": Sharding("deepspeed_zero3", True, True, True),
    "FSDP2": Sharding("fsdp2", True, True, True, is_fsdp=True),
}
PRODUCTS = (0.7, 0.4)
"""The share of the peak that matrix products of this size reach, high and low: usual values, not measured here."""
SECONDS_TO_LAUNCH = (8e-6, 30e-6)
"""Seconds that the host takes to launch a kernel through Python, autograd and peft: a usual value, and what the host of
an H200 took for packed rows (docs/performance.md)."""
LAUNCHES = {"training": 150, "reference": 40}
"""About how many kernels a layer of Llama launches in a pass, forward and backward, and in a forward pass without
gradients, by its operations; `python -m benchmarks gpu_paper` counts them."""
MOVED = 14.0
"""About how many bytes the kernels that are no products move for each FLOP of the products, times the model's width:
products grow with the width squared, and norms, activations and LoRA with the width. `gpu_paper` counts these too."""
MEMORY = 0.8
"""The share of its bandwidth that a kernel reaches that only moves memory."""
CONTEXT = 1.5
"""About how many GiB CUDA's context, kernels and communication buffers take."""


def seconds(gpu: Gpu, flops: float, width: int, products: float) -> float:
    """Return the modelled seconds that a GPU computes for products of `flops` in a model of `width`, where products
    reach the share `products` of its peak."""
    return flops / (products * gpu.tflops * 1e12) + flops * MOVED / width / (MEMORY * gpu.bandwidth * 1e12)


def fast_and_slow(gpu: Gpu, flops: float, width: int, launches: float) -> tuple[float, float]:
    """Return the modelled seconds of training passes, shortest and longest.

    The GPU multiplies at a share of its peak, `PRODUCTS`, and moves what is no product through its memory. Meanwhile
    the host launches the kernels of the next layers, each in `SECONDS_TO_LAUNCH`. Passes take the longer of both:
    small ones wait for the host.
    """
    fast, slow = (
        max(seconds(gpu, flops, width, share), launches * launch)
        for share, launch in zip(PRODUCTS, SECONDS_TO_LAUNCH, strict=True)
    )
    return fast, slow
