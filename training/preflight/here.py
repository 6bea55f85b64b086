"""Checks of the machine that pre-flight runs on (`--here`): a minute on the GPU node before hours on it."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoModelForCausalLM

from calibration_tuning.errors import UserError, reason
from calibration_tuning.lm.models import default_device
from calibration_tuning.metrics.row_statistics import KERNELS
from calibration_tuning.runs.devices import require_accelerator
from calibration_tuning.runs.files import nearest_existing, whole_folder, write_text
from calibration_tuning.runs.locks import NO_LOCKS
from training.examples import Example
from training.layout import layout_of, to_device
from training.memory import GIB
from training.methods import METHODS
from training.preflight.checks import CheckResult, passing
from training.preflight.machines import CONTEXT
from training.preflight.paper import Paper
from training.query_model import QueryModel

PATIENCE = 120
"""Seconds that the processes may take to meet."""
LAYERS = 2
"""Layers of the model that takes a step: its width, not its depth, decides which kernels run."""


def gpus(paper: Paper) -> str:
    accelerators = require_accelerator("preflight --here")
    if (count := torch.accelerator.device_count()) < paper.gpus:
        raise UserError(f"preflight --here: this machine has {count} GPUs, not {paper.gpus}; give --gpus {count}")
    return accelerators


def gpu_memory(paper: Paper) -> CheckResult:
    if default_device().type != "cuda":
        return CheckResult("skipped", "there is no GPU of NVIDIA's or AMD's")
    free = min(torch.cuda.mem_get_info(device)[0] for device in range(torch.cuda.device_count())) / GIB
    needed = paper.base_bytes / GIB + CONTEXT
    detail = f"at least {free:.1f} GiB are free on each GPU; the whole model takes {needed:.1f}"
    if free < needed:
        return CheckResult("fails", f"{detail}; `nvidia-smi` shows which processes are on them")
    return CheckResult("ok", detail)


def free_host_memory(paper: Paper) -> CheckResult:
    free, needed = psutil.virtual_memory().available / GIB, paper.gpus * paper.file_bytes / GIB
    detail = f"{free:.0f} GiB; FSDP2 needs up to {needed:.0f} GiB, and others need little"
    if free < needed:
        return CheckResult("warning", f"{detail}; train with another strategy than FSDP2")
    return CheckResult("ok", detail)


def collectives(paper: Paper) -> str:
    """Raises `UserError` where the processes cannot add up a tensor over all GPUs."""
    count = torch.accelerator.device_count() if torch.accelerator.is_available() else 2
    command = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    command += ["-m", "training.preflight.all_reduce"]
    begun = time.monotonic()
    try:
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{count} processes could not meet in {PATIENCE} s; set NCCL_DEBUG=INFO to see where NCCL waits"
        ) from None
    if ended.returncode:
        error_lines = [line for line in ended.stderr.splitlines() if "Error" in line]
        raise UserError(f"{count} processes cannot communicate ({(error_lines or ['no message'])[0].strip()[:200]})")
    return f"{count} processes added up a tensor ({ended.stdout.split()[0]}) in {time.monotonic() - begun:.0f} s"


def kernels(paper: Paper) -> CheckResult:
    """Whether the kernel of the token metrics starts: Triton's on a GPU, which needs a compiler, or that of C++."""
    kind = default_device().type
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    kernel = KERNELS[kind]() if kind in KERNELS else None
    detail = f"C compiler: {compiler or 'none'}; kernel of the token metrics on {kind}: {'yes' if kernel else 'no'}"
    if compiler and kernel:
        return CheckResult("ok", detail)
    return CheckResult("warning", f"{detail}; token metrics and torch.compile need gcc and python3-dev")


def output_folder(paper: Paper) -> CheckResult:
    """Whether folders can be replaced and files locked where the run writes."""
    parent = nearest_existing(paper.config.output_dir)
    try:
        with tempfile.TemporaryDirectory(dir=parent) as scratch:
            for text in ("first", "second"):
                with whole_folder(Path(scratch) / "folder") as folder:
                    write_text(folder / "file", text)
            if (Path(scratch) / "folder" / "file").read_text() != "second":
                return CheckResult("fails", f"{parent}: a folder that was replaced still has its old files")
            with (Path(scratch) / "lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return CheckResult("warning", f"{parent}: has no file locks, so two runs in one folder are not noticed")
        return CheckResult("fails", f"{parent}: cannot be used ({error.strerror}); choose another output_dir")
    return CheckResult("ok", f"{parent}: folders can be replaced and files locked")


def training_step(paper: Paper) -> str:
    """Run a training step on one GPU: two layers of the run's width, in its precision and layout.

    Raises `UserError` if the step fails or its loss is not finite.
    """
    device, begun = default_device(), time.monotonic()
    try:
        loss = _loss_of_a_step(paper, device)
    except (RuntimeError, ImportError) as error:  # CUDA's errors and those of missing attention kernels are among these
        raise UserError(f"a step of {LAYERS} layers fails on {device} ({reason(error)})") from None
    if not math.isfinite(loss):
        raise UserError(f"a step of {LAYERS} layers has the loss {loss}; this GPU or its kernels compute wrongly")
    name = str(paper.dtype).removeprefix("torch.")
    return f"{LAYERS} layers of the run's width took a step in {name} on {device} ({time.monotonic() - begun:.1f} s)"


def _loss_of_a_step(paper: Paper, device: torch.device) -> float:
    config, shape = paper.config, two_layers(paper.model.config.get_text_config())
    with torch.device(device):
        lm = AutoModelForCausalLM.from_config(shape, dtype=paper.dtype, attn_implementation=_attention(paper))
    lm, head = METHODS[config.training.method](config, lm)
    if config.training.gradient_checkpointing:
        lm.gradient_checkpointing_enable({"use_reentrant": False})
    model = QueryModel(lm, (0, 1), config.training.objective, head).to(device).train()
    layout = layout_of(config, shape, list(range(16)), 4, is_fsdp=False)
    examples = [Example(list(range(16, 48 + n)), 4, 1.0, 1.0) for n in range(4)]
    batch = to_device(layout.batch(examples, 1 / len(examples), 1), device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=paper.dtype == torch.bfloat16):
        total, _, _ = model(batch)
    if config.training.trains:
        total.backward()
    return float(total.item())


def two_layers(config: Any) -> Any:
    """The configuration of a model that is as wide but has `LAYERS` layers."""
    values = config.to_dict() | {"num_hidden_layers": LAYERS}
    if values.get("layer_types"):
        values["layer_types"] = values["layer_types"][:LAYERS]
    return type(config)(**values)


def _attention(paper: Paper) -> str | None:
    chosen = paper.config.model.attn_implementation
    return None if chosen == "auto" else chosen


HERE: dict[str, Callable[[Paper], CheckResult]] = {
    "GPUs": passing(gpus),
    "GPU memory": gpu_memory,
    "free host memory": free_host_memory,
    "collectives": passing(collectives),
    "kernels": kernels,
    "output folder": output_folder,
    "training step": passing(training_step),
}
