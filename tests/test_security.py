"""What comes from outside is data: it runs no code, names no file, and secrets go nowhere."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file

from calibration_tuning.checkpoint import load_checkpoint
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm.models import load_model, load_tokenizer
from calibration_tuning.records import read_records
from calibration_tuning.runs.checksums import SUMS
from tests.forked import completed

STAGES = ("data_curation", "training", "evaluation")


class Touches:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_weights_are_not_unpickled(tiny_model_path: Path, tmp_path: Path) -> None:
    marker, folder = tmp_path / "ran", tmp_path / "model"
    shutil.copytree(tiny_model_path, folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({**weights, "x": Touches(marker)}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        load_model(ModelSettings(path=str(folder)))
    shutil.copy(tiny_model_path / "model.safetensors", folder)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": None}))
    shutil.copy(folder / "pytorch_model.bin", folder / "adapter_model.bin")
    with pytest.raises(UserError, match="holds an adapter"):
        load_model(ModelSettings(path=str(folder)))
    assert not marker.exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert marker.exists(), "it would have run"


@pytest.mark.slow
def test_an_adapter_is_not_unpickled(tiny_run: Path, tmp_path: Path) -> None:
    marker, folder = tmp_path / "ran", tmp_path / "checkpoint"
    shutil.copytree(tiny_run / "checkpoint", folder)
    (folder / SUMS).unlink()
    weights = load_file(folder / "adapter_model.safetensors")
    (folder / "adapter_model.safetensors").unlink()
    torch.save({**weights, "x": Touches(marker)}, folder / "adapter_model.bin")
    with pytest.raises(UserError, match=r"has no adapter_model\.safetensors"):
        load_checkpoint(folder)
    # Another kind of adapter, whose settings name the file.
    shutil.copy(tiny_run / "checkpoint/adapter_model.safetensors", folder)
    own = {
        "peft_type": "MULTITASK_PROMPT_TUNING",
        "task_type": "CAUSAL_LM",
        "num_virtual_tokens": 2,
        "prompt_tuning_init": "EXACT_SOURCE_TASK",
        "prompt_tuning_init_state_dict_path": str(folder / "adapter_model.bin"),
    }
    (folder / "adapter_config.json").write_text(json.dumps(own))
    with pytest.raises(UserError, match="only LORA is loaded"):
        load_checkpoint(folder)
    assert not marker.exists()


@pytest.mark.parametrize("load", [load_model, load_tokenizer])
def test_a_models_own_code_does_not_run(tiny_model_path: Path, tmp_path: Path, load: Callable[..., Any]) -> None:
    marker, folder = tmp_path / "ran", tmp_path / "model"
    shutil.copytree(tiny_model_path, folder)
    config, tokenizer = folder / "config.json", folder / "tokenizer_config.json"
    own = {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own", "AutoTokenizer": ["own.Own", "own.Own"]}
    for path in (config, tokenizer):
        values = json.loads(path.read_text()) | {"auto_map": own, "model_type": "own", "tokenizer_class": "Own"}
        path.write_text(json.dumps(values))
    (folder / "own.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nclass Own: pass\n")
    with pytest.raises(UserError, match="custom code"):
        load(ModelSettings(path=str(folder)))
    assert not marker.exists()
    with contextlib.suppress(Exception):  # the class is empty
        load(ModelSettings(path=str(folder), trust_remote_code=True))
    assert marker.exists(), "it would have run"


PATHS = ("../../outside", "{home}/../outside", "..", "a/../../../b", "C:\\x", "nul\0", "~/x", "${HOME}", "a" * 300)
SECRETS = {
    "HF_TOKEN": "hf_secretsecretsecretsecretsecretsec",
    "WANDB_API_KEY": "5ec2e7" * 6 + "5ec2",
    "OPENAI_API_KEY": "sk-secretsecretsecret",
    "CALIBRATION_TUNING_TOKEN": "secret-of-the-service",
}


@pytest.mark.slow
def test_ids_are_no_paths_and_secrets_are_nowhere(write_tiny_config: Callable[[Path], Path], tmp_path: Path) -> None:
    """All three stages, tracked by W&B offline, with ids, sources and subjects that look like paths."""
    home = tmp_path / "home"
    home.mkdir()
    paths = [one.replace("{home}", str(home)) for one in PATHS]
    path = write_tiny_config(home)
    values = yaml.safe_load(path.read_text())
    questions = Path(values["questions"][0]["path"])
    rows = [json.loads(line) for line in questions.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["id"] = paths[number % len(paths)] + str(number // len(paths) or "")
        row["subject"] = paths[number % 3]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    values["questions"][0]["source"] = "../outside"
    values["tracking"] = {"to": "wandb", "wandb": "offline"}
    path.write_text(yaml.safe_dump(values))
    before = set(tmp_path.iterdir())
    said = ""
    for stage in STAGES:
        done = completed(stage, path, OMP_NUM_THREADS="1", HOME=str(tmp_path), **SECRETS)
        said += done.stdout + done.stderr
        assert done.returncode == 0, said
    assert {one for one in tmp_path.iterdir() if not one.name.startswith(".")} == before, "but for libraries' caches"
    assert {one.name for one in home.iterdir()} == {path.name, questions.name, "runs"}
    ids = {row.id for row in read_records(home / "runs/tiny/curation/train.parquet")}
    assert {part for part in paths if any(part in one for one in ids)} == set(paths)
    written = [one for one in (home / "runs").rglob("*") if one.is_file()]
    assert any(one.suffix == ".wandb" for one in written)
    for name, secret in SECRETS.items():
        assert secret not in said, name
        for file in written:
            assert secret.encode() not in file.read_bytes(), f"{name} is in {file}"
            if file.suffix == ".parquet":  # compressed
                assert secret not in str(pq.read_table(file).to_pydict()), f"{name} is in {file}"
