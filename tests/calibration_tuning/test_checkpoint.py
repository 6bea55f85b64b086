"""A checkpoint is loaded on the model that it was trained on, whole and asked as in training, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from calibration_tuning import CalibratedModel
from calibration_tuning.checkpoint import checkpoint_folder, load_checkpoint, read_prompt_format, read_record
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm.identity import base_files
from calibration_tuning.lm.probe import Probe, save_probe
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.records import Demonstration
from tests.forked import completed

pytestmark = pytest.mark.slow
Tensors = dict[str, torch.Tensor]


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def folder(tiny_run: Path, tmp_path: Path) -> Path:
    """A checkpoint to change."""
    copied = Path(shutil.copytree(tiny_run / "checkpoint", tmp_path / "checkpoint"))
    (copied / "SHA256SUMS").unlink()
    return copied


@pytest.fixture
def base(folder: Path, tiny_model_path: Path, tmp_path: Path) -> Path:
    """The checkpoint's base model, in a folder to change."""
    copied = Path(shutil.copytree(tiny_model_path, tmp_path / "base"))
    record = json.loads((folder / "calibration.json").read_text())
    change(folder / "calibration.json", model=record["model"] | {"path": str(copied)})
    return copied


def renamed(tensors: Tensors) -> Tensors:
    return {name.replace("model.layers", "model.language_model.layers"): value for name, value in tensors.items()}


def without_the_first(tensors: Tensors) -> Tensors:
    return dict(list(tensors.items())[1:])


def with_a_layer_more(tensors: Tensors) -> Tensors:
    name, value = next(iter(tensors.items()))
    return tensors | {name.replace("layers.0", "layers.7"): value.clone()}


def with_a_norm_of_the_base_model(tensors: Tensors) -> Tensors:
    """A tensor that peft would put in place of the base model's, with the adapter off as well."""
    return tensors | {"base_model.model.model.norm.weight": torch.zeros(32)}


def of_another_shape(tensors: Tensors) -> Tensors:
    return {name: torch.zeros(value.shape[0] + 1, value.shape[1]) for name, value in tensors.items()}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (renamed, r"does not fit .*model \(\d+ tensors are missing or have no place, such as base_model"),
        (without_the_first, r"does not fit .*model \(1 tensors are missing"),
        (with_a_layer_more, r"does not fit .*model \(1 tensors are missing or have no place, such as .*layers\.7"),
        (with_a_norm_of_the_base_model, r"does not fit .*such as base_model\.model\.model\.norm\.weight"),
        (of_another_shape, r"cannot be put on .*size mismatch"),
    ],
)
def test_an_adapter_that_does_not_fit(folder: Path, changed: Callable[[Tensors], Tensors], message: str) -> None:
    path = folder / "adapter_model.safetensors"
    save_file(changed(load_file(path)), path)
    with pytest.raises(UserError, match=rf"adapter_model\.safetensors: {message}"):
        load_checkpoint(folder)


def test_a_damaged_adapter(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: cannot be put on .*the checkpoint is damaged"):
        load_checkpoint(folder)


def test_an_adapter_on_another_architecture(folder: Path) -> None:
    gpt = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=400))
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: cannot be put on .*Target modules"):
        load_checkpoint(folder, base=gpt)


@pytest.mark.parametrize(
    ("width", "damage", "message"),
    [
        (None, None, r"its probe cannot be read \(No such file"),
        (32, b"", r"its probe cannot be read \("),
        (48, None, r"its probe reads 48 numbers, but the model has states of 32"),
    ],
)
def test_a_probe_that_does_not_fit(folder: Path, width: int | None, damage: bytes | None, message: str) -> None:
    change(folder / "calibration.json", method="probe")
    if width is not None:
        save_probe(Probe(width, 4), folder)
    if damage is not None:
        (folder / "probe.safetensors").write_bytes(damage)
    with pytest.raises(UserError, match=rf"checkpoint: {message}"):
        load_checkpoint(folder)


def test_the_base_models_template_and_tokenizer_may_change(folder: Path, base: Path) -> None:
    """The checkpoint has its own."""
    record = read_record(folder).model_copy(update={"prompt_style": "chat"})
    shown = [Demonstration(question="Why?", answer="So.", correct=True)]
    before = load_prompt_format(record.model, "chat").few_shot_ids(shown)
    confidence = CalibratedModel.from_pretrained(folder, device="cpu").confidence("Why?", "So")
    template = base / "chat_template.jinja"
    template.write_text(template.read_text().replace("Be brief.", "Be rude."))
    tokens = json.loads((base / "tokenizer.json").read_text())
    del tokens["model"]["merges"][-1]
    (base / "tokenizer.json").write_text(json.dumps(tokens))
    assert read_prompt_format(folder, record).few_shot_ids(shown) == before
    assert CalibratedModel.from_pretrained(folder, device="cpu").confidence("Why?", "So") == confidence
    for name in ("tokenizer_config.json", "tokenizer.json", "chat_template.jinja"):
        (folder / name).unlink()
    assert read_prompt_format(folder, record).few_shot_ids(shown) != before, "put together by hand, without them"


def other_weights(base: Path) -> None:
    path = base / "model.safetensors"
    save_file({name: value + 1e-3 for name, value in load_file(path).items()}, path)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("model.safetensors", other_weights),
        ("config.json", lambda base: change(base / "config.json", rope_theta=500.0)),
        ("generation_config.json", lambda base: (base / "generation_config.json").unlink()),
        ("config.json", shutil.rmtree),
    ],
)
def test_another_base_model_in_the_same_place(
    folder: Path, base: Path, name: str, changed: Callable[[Path], object]
) -> None:
    load_checkpoint(folder)
    changed(base)
    with pytest.raises(UserError, match=rf"base: is not the base model that .*checkpoint was trained on \({name} is"):
        load_checkpoint(folder)


def test_what_a_local_model_is_known_by(tiny_model_path: Path) -> None:
    assert base_files(ModelSettings(path="org/name")) == {}
    found = base_files(ModelSettings(path=str(tiny_model_path)))
    assert found.keys() == {"config.json", "generation_config.json", "model.safetensors"}


def test_the_commit_of_training_is_loaded_although_the_branch_has_moved(
    folder: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    """From the cache of the hub's client, offline."""
    repository = tmp_path / "hf" / "hub" / "models--org--base"
    old, new = "0" * 39 + "1", "0" * 39 + "2"
    for commit in (old, new):
        shutil.copytree(tiny_model_path, repository / "snapshots" / commit)
    other_weights(repository / "snapshots" / new)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(old)
    record = json.loads((folder / "calibration.json").read_text())
    script, now = tmp_path / "load.py", {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    script.write_text(
        "from calibration_tuning.config.model import ModelSettings\n"
        "from calibration_tuning.lm.identity import model_identity, pinned\n"
        "settings = ModelSettings(path='org/base')\n"
        "print(pinned(settings).revision, model_identity(settings)['commit'])"
    )
    trained_on = completed(str(script), **now)
    assert trained_on.stdout.split() == [old, old], trained_on.stderr
    model = record["model"] | {"path": "org/base", "revision": old}
    change(folder / "calibration.json", model=model, base_files={})
    (repository / "refs" / "main").write_text(new)
    script.write_text(
        "from calibration_tuning import CalibratedModel\n"
        f"print(CalibratedModel.from_pretrained({str(folder)!r}, device='cpu').confidence('Why?', 'So'))"
    )
    loaded = completed(str(script), **now)
    assert loaded.returncode == 0, loaded.stderr
    change(folder / "calibration.json", model=record["model"], base_files=record["base_files"])
    expected = CalibratedModel.from_pretrained(folder, device="cpu").confidence("Why?", "So")
    assert float(loaded.stdout) == pytest.approx(expected, abs=1e-6)


def test_a_folder_has_no_revision(folder: Path) -> None:
    with pytest.raises(UserError, match=r"^revision: 'v1', but .*checkpoint is a folder, which has none"):
        checkpoint_folder(folder, "v1")
