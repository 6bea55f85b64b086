"""The reference's states are read once and kept: the same losses as when every pass reads them, over several epochs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.config.training import ObjectiveSettings, TrainingSettings
from calibration_tuning.errors import RunError
from training import reference
from training.__main__ import train
from training.examples import Example
from training.query_model import QueryModel

EPOCHS = 2
LOSSES = ("loss", "query", "kl", "mass_nll", "grad_norm")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of examples in each pass in which the reference is read."""
    passes: list[int] = []
    read = QueryModel._reference

    def counted(model: QueryModel, batch: Any) -> torch.Tensor:
        passes.append(len(batch["correct"]))
        return read(model, batch)

    monkeypatch.setattr(QueryModel, "_reference", counted)
    return passes


def config_of(curated: Path, folder: Path, *overrides: str) -> RunConfig:
    here = [f"output_dir={folder}", f"curated={curated.parent / 'runs/tiny/curation'}", "training.readout=query"]
    lora = ["training.lora.lora_dropout=0.0", "training.learning_rate=0.01", "training.objective.kl_weight=2"]
    return load_run_config(curated, [*here, *lora, "training.batch_size=8", f"training.epochs={EPOCHS}", *overrides])


def losses(config: RunConfig) -> list[dict[str, float]]:
    rows = map(json.loads, (config.run_dir / "training.jsonl").read_text().splitlines())
    return [{name: row[f"train/{name}"] for name in LOSSES} for row in rows if "train/kl" in row]


@pytest.mark.slow
@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_kept_states_make_the_same_losses_and_adapter(
    curated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[int], batching: str
) -> None:
    kept, anew = (config_of(curated, tmp_path / name, f"training.batching={batching}") for name in ("kept", "anew"))
    train(kept, False)
    examples = 24
    assert sum(reads) == examples, "every answer is read once, whatever the number of epochs"
    reads.clear()
    monkeypatch.setattr(reference, "MOST", 0)
    train(anew, False)
    assert sum(reads) == EPOCHS * examples
    ours, theirs = losses(kept), losses(anew)
    assert len(ours) == len(theirs) == EPOCHS * examples // 8
    assert max(row["kl"] for row in theirs) > 1e-4, "the term is not idle"
    for row, other in zip(ours, theirs, strict=True):
        assert row == pytest.approx(other, abs=1e-5, rel=1e-4)
    adapters = [load_file(config.checkpoint_dir / "adapter_model.safetensors") for config in (kept, anew)]
    for name, value in adapters[1].items():
        torch.testing.assert_close(adapters[0][name], value, atol=1e-5, rtol=0)
    assert not kept.training_dir.exists(), "the states go with the checkpoints"


@pytest.mark.slow
def test_a_run_that_resumes_takes_the_states_that_are_there(
    curated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[int]
) -> None:
    config = config_of(curated, tmp_path)
    monkeypatch.setattr("training.loop.run_steps", lambda run: (_ for _ in ()).throw(RunError("stopped")))
    for _ in range(2):
        with pytest.raises(RunError, match="stopped"):
            train(config, False)
    assert sum(reads) == 24
    (path,) = (config.training_dir / "reference").iterdir()
    path.write_bytes(path.read_bytes()[:-40])  # a file that was cut off is made again
    with pytest.raises(RunError, match="stopped"):
        train(config, False)
    assert sum(reads) == 48


EXAMPLE = Example(list(range(40)), 6, 1.0, 1.0)
IDS = ("this run", "another")


@pytest.mark.parametrize(
    ("settings", "examples", "reason"),
    [
        (TrainingSettings(), 10_000, None),
        (TrainingSettings(epochs=1), 10, "every answer is read once"),
        (TrainingSettings(method="probe"), 10, "the objective needs none"),
        (TrainingSettings(method="none"), 10, "the objective needs none"),
        (TrainingSettings(objective=ObjectiveSettings(kl_weight=0)), 10, "the objective needs none"),
        (TrainingSettings(), 200_000, "its states would take 9 GiB of the disk, more than 8"),
    ],
)
def test_what_is_kept(settings: TrainingSettings, examples: int, reason: str | None, tmp_path: Path) -> None:
    with torch.device("meta"):
        from transformers import LlamaConfig, LlamaForCausalLM

        lm = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1)).bfloat16()
    assert reference.why_not_kept(settings, [EXAMPLE] * examples, lm, tmp_path) == reason


def test_states_of_ten_thousand_answers_take_half_a_gibibyte() -> None:
    assert reference.states_size([EXAMPLE] * 10_000, 4096, 2) == 10_000 * 6 * 4096 * 2


def test_a_disk_without_room_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        lm = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1)).bfloat16()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    said = reference.why_not_kept(TrainingSettings(), [EXAMPLE], lm, tmp_path / "new" / "folder", "this run")
    assert said == f"its states take 0.0 GiB, and the disk of {tmp_path} has too little room"
    (tmp_path / reference.FOLDER).mkdir()
    metadata = {"identity": "this run", "examples": "1"}
    save_file({"x": torch.zeros(1)}, tmp_path / reference.FOLDER / "1-of-1.safetensors", metadata)
    kept = {identity: reference.why_not_kept(TrainingSettings(), [EXAMPLE], lm, tmp_path, identity) for identity in IDS}
    assert kept == {"this run": None, "another": said}, "the run that resumes has its room already"


def test_states_take_the_bytes_of_the_models_precision_where_nothing_is_lost() -> None:
    exact = torch.tensor([[1.5, -2.0]])
    assert reference.compact(exact, torch.bfloat16).dtype == torch.bfloat16
    assert torch.equal(reference.compact(exact, torch.bfloat16).float(), exact)
    fine = torch.tensor([[1.5, 1 / 3]])
    assert reference.compact(fine, torch.bfloat16) is fine
