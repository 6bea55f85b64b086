"""Checks of what a run needs besides its model: packages, question files, a driver, host memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from calibration_tuning.config.settings import to_yaml
from calibration_tuning.config.tracking import check_installed
from calibration_tuning.errors import UserError
from calibration_tuning.extras import pip_install
from calibration_tuning.runs.devices import driver_floor
from training.memory import GIB
from training.preflight.paper import Paper

ENGINE_PACKAGES = {
    "vllm": ("vllm", "curate in the environment of `make vllm` (docs/curation.md)"),
    "openai": ("openai", pip_install("openai")),
}


def packages(paper: Paper) -> str:
    """Raises `UserError` for an engine, a judge, a tracker or a kind of attention that is not installed."""
    config = paper.config
    checked: dict[str, str] = {"tracker": config.tracking.to}
    if not paper.is_curated:
        checked["engine"] = _engine("curation.engine", config.curation.engine)
        if config.curation.judge is not None:
            checked["judge's engine"] = _engine("curation.judge.engine", config.curation.judge.engine)
    check_installed(config.tracking)
    if config.tracking.to == "wandb" and find_spec("wandb") is None:
        raise UserError("tracking.to: wandb is not installed; run `pip install wandb`, or choose tracking.to=none")
    attention = config.model.attn_implementation
    if attention == "flash_attention_2" and not any(map(find_spec, ("flash_attn", "kernels"))):
        raise UserError(
            "model.attn_implementation: flash_attention_2 needs the package flash-attn, which is not installed; run "
            "`pip install flash-attn --no-build-isolation`, or choose sdpa"
        )
    if config.model.load_in_4bit and find_spec("bitsandbytes") is None:
        raise UserError(f"model.load_in_4bit: needs bitsandbytes; {pip_install('gpu')}")
    return "; ".join(f"{what}: {name}" for what, name in checked.items())


def _engine(setting: str, engine: Any) -> str:
    if engine.kind == "recorded" and not engine.path.is_file():
        raise UserError(f"{setting}.path: {engine.path}: no such file")
    package, advice = ENGINE_PACKAGES.get(engine.kind, (None, ""))
    if package is not None and find_spec(package) is None:
        raise UserError(f"{setting}: {engine.kind} is not installed in this environment; {advice}")
    return str(engine.kind)


def questions(paper: Paper) -> str:
    """Check the question files. Raises `UserError` for a missing file, a misspelt column, and too few questions.

    The stages do not import each other, so curation checks them in a separate process.
    """
    if paper.is_curated:
        return "curated already"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(to_yaml(paper.config), encoding="utf-8")
        command = [sys.executable, "-m", "data_curation.check", str(path)]
        looked = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"RANK": "0"})
    if looked.returncode:
        error_lines = [line for line in looked.stderr.splitlines() if line.startswith("error: ")]
        raise UserError(error_lines[-1].removeprefix("error: ") if error_lines else looked.stderr.strip()[-300:])
    return looked.stdout.strip().splitlines()[-1]


def driver(paper: Paper) -> str:
    return driver_floor()


def planned_host_memory(paper: Paper) -> str:
    gib = paper.file_bytes / GIB
    return (
        f"weights are read straight onto the GPUs; with FSDP2 {paper.gpus} processes hold them on the CPU first, up to "
        f"{paper.gpus * gib:.0f} GiB ({gib:.1f} GiB each) where they are stored in another precision"
    )
