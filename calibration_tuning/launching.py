"""The commands that run all stages on one of the set-ups in launch/."""

from __future__ import annotations

from pathlib import Path

from calibration_tuning.errors import UserError

FOLDER = Path("launch")
STAGES = {"curate": "data_curation", "train": "training", "evaluate": "evaluation"}
SHARED = tuple(STAGES)
"""Stages whose work several processes share."""


def stage_command(stage: str, config: Path, overrides: list[str], launch: Path | None, flags: list[str]) -> list[str]:
    """With `launch`, an accelerate file, through accelerate's launcher."""
    start = ["python", "-m"]
    if launch is not None and stage in SHARED:
        start += ["accelerate.commands.launch", "--config_file", str(launch), "-m"]
    return [*start, STAGES[stage], str(config), *overrides, *flags]


def launch_commands(on: str, config: Path, overrides: list[str]) -> list[list[str]]:
    """What `calibration-tuning launch CONFIG --on NAME` starts, one after the other. Raises `UserError` for a name that
    is none."""
    here = sorted(path.stem for path in (FOLDER / "accelerate").glob("*.yaml") if path.stem != "multi_node")
    if on in here:
        launch = FOLDER / "accelerate" / f"{on}.yaml"
        return [stage_command(stage, config, overrides, launch, []) for stage in STAGES]
    if on == "slurm":
        return [["bash", str(FOLDER / "slurm" / "pipeline.sbatch"), str(config), *overrides]]
    if on == "skypilot":
        if overrides:
            raise UserError(f"{overrides[0]}: skypilot takes settings from the config file alone; change them there")
        return [["sky", "jobs", "launch", str(FOLDER / "skypilot.yaml"), "--env", f"CONFIG={config}"]]
    if on == "multi_node":
        raise UserError(
            "--on multi_node: needs a launcher on every machine; use slurm, or the command in "
            f"{FOLDER / 'accelerate' / 'multi_node.yaml'}"
        )
    raise UserError(f"--on {on or 'NAME'}: not a set-up; known: {', '.join([*here, 'slurm', 'skypilot'])}")
