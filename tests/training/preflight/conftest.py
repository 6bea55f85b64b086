"""Runs to plan, and one to spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from transformers import LlamaConfig

from calibration_tuning.config.run import RunConfig, load_run_config
from tests.training.preflight.papers import rewrite


@pytest.fixture(scope="module")
def seven_billion(tmp_path_factory: pytest.TempPathFactory, tiny_model_path: Path) -> Path:
    """Folder with the configuration of Llama-7B and a tokenizer, and not one weight."""
    folder = tmp_path_factory.mktemp("seven")
    shutil.copytree(tiny_model_path, folder, dirs_exist_ok=True)
    (folder / "model.safetensors").unlink()
    LlamaConfig().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def llama(seven_billion: Path) -> RunConfig:
    return load_run_config("configs/llama2_7b.yaml", [f"model.path={seven_billion}"])


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> RunConfig:
    shutil.copytree(tiny_run, tmp_path / "tiny")
    config = load_run_config(tiny_run / "config.yaml", [f"output_dir={tmp_path}"])
    rewrite(config, "train", lambda rows: [r.model_copy(update={"correct": i % 2}) for i, r in enumerate(rows)])
    return config
