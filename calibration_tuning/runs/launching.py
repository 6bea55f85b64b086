"""The commands that run all stages on one of the set-ups in launch/."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from calibration_tuning.errors import UserError
from calibration_tuning.shipped_files import ROOT, is_clone, shipped

FOLDER = Path("launch")
STAGES = {"curate": "data_curation", "train": "training", "evaluate": "evaluation"}
SECRETS = ("HF_TOKEN", "WANDB_API_KEY")
"""Variables that the task in the cloud is given where they are set: not every run needs them."""


def stage_command(
    stage: str,
    config: Path,
    overrides: list[str],
    launch: Path | None,
    flags: Sequence[str] = (),
    gpus: int | None = None,
) -> list[str]:
    """The command of a stage. With `launch`, an accelerate file, it goes through accelerate's launcher, on `gpus`
    processes if that is given."""
    start = ["python", "-m"]
    if launch is not None:
        processes = [] if gpus is None else ["--num_processes", str(gpus)]
        start += ["calibration_tuning.runs.accelerated", "--config_file", str(launch), *processes, "-m"]
    return [*start, STAGES[stage], str(config), *overrides, *flags]


def is_here(on: str) -> bool:
    """True if `--on` names a file whose stages run on this machine."""
    return on in _files()


def _files() -> list[str]:
    return sorted(path.stem for path in (ROOT / FOLDER / "accelerate").glob("*.yaml") if path.stem != "multi_node")


def launch_commands(
    on: str,
    config: Path,
    overrides: list[str],
    flags: Sequence[str] = (),
    gpus: int | None = None,
    dry_run: bool = False,
) -> list[list[str]]:
    """What `calibration-tuning launch CONFIG --on NAME` starts, one after the other. Raises `UserError` for a name that
    is none and, unless it is a dry run, for a variable that is missing."""
    if is_here(on):
        if on == "single_gpu" and gpus not in (None, 1):
            raise UserError("--gpus: single_gpu is one process; use --on ddp_8gpu")
        launch = shipped(FOLDER / "accelerate" / f"{on}.yaml")
        return [stage_command(stage, config, overrides, launch, flags, gpus) for stage in STAGES]
    if on in ("slurm", "skypilot") and gpus is not None:
        raise UserError(f"--gpus: --on {on} sets its number of GPUs in its file; change it there")
    if on in ("slurm", "skypilot") and "--force" in flags:
        raise UserError(f"--force: not allowed with --on {on}: a requeued job would start over; change `name`")
    if on in ("slurm", "skypilot") and not is_clone(Path.cwd()):
        raise UserError(f"--on {on}: its job files need the project's files; run this in a clone of the project")
    if on == "slurm":
        return [["bash", str(FOLDER / "slurm" / "pipeline.sbatch"), str(config), *overrides, *flags]]
    if on == "skypilot":
        if overrides:
            raise UserError(f"{overrides[0]}: skypilot takes settings from the config file alone; change them there")
        if not dry_run and not os.environ.get("BUCKET"):
            raise UserError(f"--on skypilot: set BUCKET in your shell; see {FOLDER / 'skypilot.yaml'}")
        task = ["sky", "jobs", "launch", str(FOLDER / "skypilot.yaml"), "--env", f"CONFIG={config}", "--env", "BUCKET"]
        return [[*task, *(word for name in SECRETS if os.environ.get(name) for word in ("--secret", name))]]
    if on == "multi_node":
        raise UserError(
            "--on multi_node: needs a launcher on every machine; use slurm, or the command in "
            f"{FOLDER / 'accelerate' / 'multi_node.yaml'}"
        )
    known = ", ".join([*_files(), "slurm", "skypilot"])
    raise UserError(f"--on {on}: unknown; use one of {known}")
