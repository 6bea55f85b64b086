"""Is there an accelerator to compute on? A GPU that torch cannot use is refused, not replaced by the CPU in silence."""

from __future__ import annotations

import os
import sys

from calibration_tuning.errors import UserError

DRIVERS = {"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}
"""The oldest NVIDIA driver for Linux that runs programs of a major version of CUDA, from NVIDIA's release notes."""
NO_DRIVER, NO_GPU = "Found no NVIDIA driver", "No CUDA GPUs are available"
"""How torch says that a machine has no driver, or a driver but no GPU that this process may see."""
ON_CPU = "set CUDA_VISIBLE_DEVICES= (empty) to compute on the CPU"


def has_accelerator() -> bool:
    """True if torch can compute on an accelerator here; false on a machine without one.

    Where a driver is too old, torch says that there is no GPU, and a 7B model would train on the CPU for weeks. So
    `UserError` is raised where torch is built for CUDA and cannot use this machine's GPUs, or finds none although
    accelerate's launcher was told to use them. An empty CUDA_VISIBLE_DEVICES asks for the CPU.
    """
    import torch

    if torch.accelerator.is_available():
        return True
    if torch.version.cuda is None or _asks_for_cpu():
        return False
    try:
        torch.cuda.init()
    except RuntimeError as error:
        cause = " ".join(str(error).split()).partition(". ")[0].rstrip(".")
    else:
        return torch.accelerator.is_available()
    if cause.startswith((NO_DRIVER, NO_GPU)) and not _is_launched():
        return False
    raise UserError(
        f"no GPU can be used here ({cause}); {driver_floor()}: update the driver, install a torch for an older CUDA "
        f"(pytorch.org says how), or {ON_CPU}"
    )


def require_accelerator(requester: str = "--on") -> str:
    """The accelerators' number and kind. Raises `UserError` where there is none and the CPU was not asked for.

    `requester` is the option or setting that needs it.
    """
    import torch

    if has_accelerator():
        return f"{torch.accelerator.device_count()} x {torch.accelerator.current_accelerator()}"
    if _asks_for_cpu():
        return "cpu"
    built = "is built for the CPU alone" if torch.version.cuda is None else "sees no GPU"
    raise UserError(
        f"{requester}: needs a GPU, but torch {torch.__version__} {built} on this machine; use "
        f"`calibration-tuning run` without a launch file, or {ON_CPU}"
    )


def driver_floor() -> str:
    """What this torch needs of the NVIDIA driver."""
    import torch

    cuda = torch.version.cuda
    if cuda is None:
        floors = ", ".join(f"CUDA {major}: {driver}" for major, driver in DRIVERS.items())
        return f"torch {torch.__version__} here is built without CUDA; oldest drivers by CUDA version: {floors}"
    oldest = DRIVERS.get(cuda.partition(".")[0])
    wanted = "a driver for it" if oldest is None else f"NVIDIA driver {oldest} or newer"
    return f"torch {torch.__version__} is built for CUDA {cuda}, which needs {wanted}"


def _asks_for_cpu() -> bool:
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1", "yes"):
        return True
    return os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")


def _is_launched() -> bool:
    """True if accelerate's launcher started this process: its files are for GPUs."""
    return "LOCAL_RANK" in os.environ or "ACCELERATE_USE_CPU" in os.environ


if __name__ == "__main__":  # for the command line, which imports no torch
    try:
        print(f"device: {require_accelerator()}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
