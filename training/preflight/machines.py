"""GPUs that can be planned for, and how a training is split between several."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    memory: float
    """GiB that a process can use."""
    tflops: float
    """Peak of dense bfloat16 matrix products (the makers' data sheets)."""
    dollars: tuple[float, float]
    """An hour, on demand: a range over common offers in 2025; prices change."""


GPUS: dict[str, Gpu] = {
    "l4": Gpu(22.0, 121, (0.4, 1.0)),
    "a10g": Gpu(22.0, 70, (0.7, 1.3)),
    "a6000": Gpu(47.4, 155, (0.5, 1.3)),
    "a100-40gb": Gpu(39.4, 312, (1.1, 3.7)),
    "a100-80gb": Gpu(79.1, 312, (1.2, 5.1)),
    "h100-80gb": Gpu(79.1, 989, (2.0, 7.0)),
    "h200": Gpu(139.8, 989, (2.5, 8.0)),
    "b200": Gpu(178.0, 2250, (3.0, 10.0)),
    "l40s": Gpu(44.4, 362, (0.8, 2.3)),
    "rtx-3090": Gpu(23.6, 71, (0.2, 0.5)),
    "rtx-4090": Gpu(23.5, 165, (0.3, 0.8)),
}


@dataclass(frozen=True)
class Sharding:
    """Which parts of a training are split between the devices."""

    launch: str
    """Name of its file in launch/accelerate/."""
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
CONTEXT = 1.5
"""GiB for CUDA's context, kernels and buffers of the exchange between devices, about."""
MFU = (0.2, 0.45)
"""Share of the peak that training reaches: a low and a high guess."""
