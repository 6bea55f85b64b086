"""configs/sweep.yaml, through the code with which W&B's agent starts a trial."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from calibration_tuning.config.run import RunConfig, load_run_config

pytestmark = pytest.mark.slow

SWEEP = yaml.safe_load(Path("configs/sweep.yaml").read_text())
PARAMETERS: dict[str, dict[str, Any]] = SWEEP["parameters"]


def ends(parameter: Mapping[str, Any]) -> list[Any]:
    return parameter["values"] if "values" in parameter else [parameter["min"], parameter["max"]]


def value(config: RunConfig, setting: str) -> Any:
    found: Any = config
    for part in setting.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_value_is_one_of_a_real_setting(name: str) -> None:
    for wanted in ends(PARAMETERS[name]):
        assert isinstance(wanted, int | float), "YAML reads 1e-5 as text"
        assert value(load_run_config("configs/demo.yaml", [f"{name}={wanted}"]), name) == wanted


def test_rate_rank_and_kl_weight_are_searched_for_the_best_brier() -> None:
    assert {*PARAMETERS} == {"training.learning_rate", "training.lora.r", "training.objective.kl_weight"}
    assert SWEEP["metric"] == {"name": "validation/brier", "goal": "minimize"}
    assert SWEEP["project"] == load_run_config("configs/demo.yaml", []).tracking.project


def test_the_agents_command_starts_a_training_of_its_own_name(tmp_path: Path) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    chosen = {name: ends(parameter)[-1] for name, parameter in PARAMETERS.items()}
    macros = create_sweep_command_args({"args": {name: {"value": one} for name, one in chosen.items()}})
    command: list[str] = []
    for part in create_sweep_command([*SWEEP["command"]]):
        command += macros["args_no_hyphens"] if part == "${args_no_hyphens}" else [part]
    python = tmp_path / "python"  # in place of the real one: says what it was given
    python.write_text("#!/bin/bash\nprintf '%s\\n' \"$@\"\n")
    python.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "WANDB_RUN_ID": "ab12"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()
    assert said[:3] == ["-m", "training", "configs/demo.yaml"]
    config = load_run_config(said[2], said[3:])
    assert (config.name, config.curated, config.tracking.wandb) == ("sweep-ab12", Path("runs/sweep/curation"), "online")
    assert {name: value(config, name) for name in chosen} == chosen
