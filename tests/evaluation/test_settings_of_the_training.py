"""A checkpoint is evaluated as what it was trained as, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from calibration_tuning.checkpoint import CalibrationRecord
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.errors import UserError
from calibration_tuning.lm.identity import training_identity
from calibration_tuning.metrics.calibrators import Calibrator
from evaluation.__main__ import check_settings


@pytest.fixture
def path(tmp_path: Path, tiny_model_path: Path, write_tiny_config: Callable[[Path], Path]) -> Path:
    """Settings of a run on a model of its own."""
    path = write_tiny_config(tmp_path)
    shutil.copytree(tiny_model_path, tmp_path / "model")
    path.write_text(path.read_text().replace(str(tiny_model_path), str(tmp_path / "model")))
    return path


def trained_with(config: RunConfig) -> CalibrationRecord:
    return CalibrationRecord(
        model=config.model,
        base_files={},
        prompt_style="text",
        answer_tokens=(1, 2),
        query_few_shot=[],
        answer_few_shot=[],
        max_new_tokens=4,
        calibrator=Calibrator(),
        calibrated_on={},
        inputs_fingerprint=training_identity(config, "c"),
        curation_fingerprint="c",
        training=config.training.model_dump(mode="json") | {"seed": config.training_seed},
        versions={},
    )


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["training.lora.r=64", "training.readout=stacked"], r"\(training.lora, training.readout\)"),
        (["model.path=/nonexistent"], r"\(model.path\)"),
        (["model.system_prompt=Be brief."], r"\(model.system_prompt\)"),
        (["seed=3"], r"\(training.seed\)"),
    ],
)
def test_other_settings_are_named(path: Path, overrides: list[str], named: str) -> None:
    trained = trained_with(load_run_config(path, []))
    with pytest.raises(UserError, match=f"was trained with other settings {named}"):
        check_settings(load_run_config(path, overrides), trained)


def test_settings_of_how_it_runs_and_of_other_stages_may_differ(path: Path) -> None:
    overrides = ["training.tokens_per_batch=64", "model.minimal_answer_mass=0.5", "evaluation.num_bins=5"]
    check_settings(load_run_config(path, overrides), trained_with(load_run_config(path, [])))


def test_other_weights_in_the_same_place_are_refused(path: Path, tmp_path: Path) -> None:
    config = load_run_config(path, [])
    trained = trained_with(config)
    weights = tmp_path / "model" / "model.safetensors"
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights)
    with pytest.raises(UserError, match=r"was trained on other files of .*model than are there now"):
        check_settings(config, trained)
