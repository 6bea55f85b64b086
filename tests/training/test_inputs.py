"""What training refuses, in one sentence; and what its checkpoints refuse."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from calibration_tuning.config.run import load_run_config
from calibration_tuning.config.training import ObjectiveSettings
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.lm.curated_for import check_curated_for
from calibration_tuning.lm.identity import training_identity
from calibration_tuning.records import QueryExample, Sample, read_records, write_records
from calibration_tuning.runs.files import read_json, write_json
from training.__main__ import train
from training.checkpoints import (
    OPTIMIZER,
    STATE,
    TRAINED,
    State,
    best_checkpoint,
    best_folder,
    find_checkpoint,
    rotate,
    set_aside,
    step_folder,
    write_checkpoint,
)
from training.examples import share_correct, training_examples
from training.loop import evenly
from training.strategy import Strategy


@pytest.fixture
def rows(curated: Path) -> list[QueryExample]:
    return read_records(curated.parent / "runs/tiny/curation/train.parquet")


def sample(correct: float) -> Sample:
    return Sample(answer="x", token_ids=[1], token_logprobs=[0.0], correct=correct)


@pytest.mark.slow
def test_soft_targets_are_the_share_of_all_graded_answers(rows: list[QueryExample]) -> None:
    row = rows[0].model_copy(update={"correct": 1.0, "samples": [sample(0.0), sample(1.0), sample(0.0)]})
    assert share_correct(row) == 0.5
    assert share_correct(row.model_copy(update={"samples": []})) == 1.0


def test_soft_targets_without_samples_are_refused(rows: list[QueryExample], tiny: tuple, tmp_path: Path) -> None:
    from calibration_tuning.lm.prompts import PromptFormat

    prompt_format = PromptFormat(tiny[1], "text")
    bare = [row.model_copy(update={"samples": []}) for row in rows]
    with pytest.raises(UserError, match=r"targets: soft, but x\.parquet has no sampled answers"):
        training_examples(ObjectiveSettings(targets="soft"), bare, prompt_format, 500, Path("x.parquet"))
    soft = training_examples(ObjectiveSettings(targets="soft"), rows, prompt_format, 500, Path("x.parquet"))
    assert any(0 < example.correct < 1 for example in soft)


def test_nothing_is_cut_off(rows: list[QueryExample], tiny: tuple) -> None:
    from calibration_tuning.lm.prompts import PromptFormat

    prompt_format = PromptFormat(tiny[1], "text")
    with pytest.raises(UserError, match=r"x\.parquet, row 0 .* tokens, but the model reads 20"):
        training_examples(ObjectiveSettings(), rows, prompt_format, 20, Path("x.parquet"))
    empty = [row.model_copy(update={"token_ids": []}) for row in rows]
    with pytest.raises(UserError, match="every answer is empty"):
        training_examples(ObjectiveSettings(), empty, prompt_format, 500, Path("x.parquet"))


def test_answers_of_another_model_are_refused(curated: Path, tmp_path: Path) -> None:
    folder = tmp_path / "curation"
    shutil.copytree(curated.parent / "runs/tiny/curation", folder)
    manifest = read_json(folder / "manifest.json", "curate")
    manifest["settings"]["model"]["path"] = "someone/else"
    write_json(folder / "manifest.json", manifest)
    (folder / "SHA256SUMS").unlink()
    config = load_run_config(curated, [f"output_dir={tmp_path}", f"curated={folder}"])
    with pytest.raises(UserError, match="token ids of someone/else"):
        train(config, False)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"prompt_format": "chat"}, "model.prompt_format=chat, but the run has text; set it back, or curate again"),
        ({"prompt_format": "auto"}, "model.prompt_format=auto, but the run has text"),  # the tokenizer has a template
        ({"system_prompt": "Be brief."}, r"model.system_prompt=Be brief\., but the run has None"),
        ({"thinking": "on"}, "model.thinking=on, but the run has off"),
    ],
    ids=str,
)
def test_answers_to_other_prompts_are_refused(curated: Path, made: dict[str, str], message: str) -> None:
    config = load_run_config(curated, [])
    read = CuratedSet.read(config.curation_dir)
    check_curated_for(read, config.model)
    settings = read.manifest["settings"] | {"model": read.manifest["settings"]["model"] | made}
    with pytest.raises(UserError, match=message):
        check_curated_for(replace(read, manifest=read.manifest | {"settings": settings}), config.model)


def test_a_prompt_format_that_comes_to_the_same_is_accepted(curated: Path) -> None:
    config = load_run_config(curated, ["model.prompt_format=auto"])
    read = CuratedSet.read(config.curation_dir)
    settings = read.manifest["settings"] | {"model": read.manifest["settings"]["model"] | {"prompt_format": "chat"}}
    check_curated_for(replace(read, manifest=read.manifest | {"settings": settings}), config.model)


def test_answers_of_other_files_of_the_model_are_refused(curated: Path, tmp_path: Path) -> None:
    config = load_run_config(curated, [f"output_dir={tmp_path}", f"curated={curated.parent / 'runs/tiny/curation'}"])
    folder = tmp_path / "curation"
    shutil.copytree(config.curation_dir, folder)
    manifest = read_json(folder / "manifest.json", "curate")
    manifest["models"]["model"]["weights"] = {"model.safetensors": "1 0"}
    write_json(folder / "manifest.json", manifest)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=r"was curated with other files of .*model\.revision pins"):
        train(config.model_copy(update={"curated": folder}), False)


@pytest.mark.slow
@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_no_answer_that_training_reads_is_longer_than_a_sliding_window(
    curated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batching: str
) -> None:
    """Where the block is shared. The calibration split is read last, hours after the first step."""
    folder = tmp_path / "curation"
    shutil.copytree(curated.parent / "runs/tiny/curation", folder)
    rows: list[QueryExample] = read_records(folder / "calibration.parquet")
    rows[0] = rows[0].model_copy(update={"token_ids": [70] * 300})
    write_records(folder / "calibration.parquet", rows)
    (folder / "SHA256SUMS").unlink()
    monkeypatch.setattr("calibration_tuning.lm.caches.shortest_window", lambda config: 200)
    monkeypatch.setattr("training.layout.shares_block", lambda config, length: True)
    own = [f"output_dir={tmp_path}", f"curated={folder}", f"training.batching={batching}"]
    with pytest.raises(UserError, match="some layers of this model see 200 tokens, but block and question have 4"):
        train(load_run_config(curated, own), False)
    assert not (tmp_path / "tiny/training.jsonl").exists()


@pytest.mark.slow
def test_a_gradient_that_is_not_finite_leaves_no_checkpoint(
    curated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loss is finite, and its weights are NaN."""
    step = Strategy.step

    def overflowing(strategy: Strategy) -> float:
        for parameter in strategy.trained.values():
            parameter.grad.fill_(torch.inf)  # type: ignore[union-attr]
        return step(strategy)

    monkeypatch.setattr(Strategy, "step", overflowing)
    own = [f"output_dir={tmp_path}", f"curated={curated.parent / 'runs/tiny/curation'}", "training.checkpoints=6"]
    config = load_run_config(curated, own)
    with pytest.raises(RunError, match="the gradient's norm is inf at step 1; the last checkpoint is kept"):
        train(config, False)
    assert not [*config.training_dir.glob("*-*")]
    assert "Infinity" not in (config.run_dir / "training.jsonl").read_text()


def test_a_finished_training_is_of_the_models_files(
    curated: Path, tmp_path: Path, tiny_model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, folder = tmp_path / "model", curated.parent / "runs/tiny/curation"
    shutil.copytree(tiny_model_path, model)
    config = load_run_config(curated, [f"output_dir={tmp_path}", f"curated={folder}", f"model.path={model}"])
    identity = training_identity(config, CuratedSet.read(folder).fingerprint)
    config.checkpoint_dir.mkdir(parents=True)
    write_json(config.checkpoint_dir / "calibration.json", {"inputs_fingerprint": identity})
    train(config, False)
    assert "is up to date" in capsys.readouterr().out
    with (model / "model.safetensors").open("r+b") as weights:
        weights.seek(-8, os.SEEK_END)
        weights.write(b"\1" * 8)
    with pytest.raises(UserError, match="made with other settings or from other files"):
        train(config, False)


@pytest.mark.slow
def test_unfinished_work_of_other_settings_is_not_gone_on_from(curated: Path, tmp_path: Path) -> None:
    own = [f"output_dir={tmp_path}", "name=run", f"curated={curated.parent / 'runs/tiny/curation'}"]
    config = load_run_config(curated, own)
    work = config.run_dir / ".training"
    write_checkpoint(step_folder(work, 3), state(step=3), {})
    with pytest.raises(UserError, match="unfinished training with other settings"):
        train(config, False)
    train(config, True)
    assert (config.checkpoint_dir / "calibration.json").is_file()


def state(**values: object) -> State:
    return State.model_validate({"inputs_fingerprint": "a", "step": 0, "processes": 1, "wandb_id": "x"} | values)


TENSORS = {"lora": torch.arange(6.0).reshape(2, 3)}


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_checkpoint(tmp_path) is None
    for step in (1, 2, 10):
        write_checkpoint(step_folder(tmp_path, step), state(step=step), {TRAINED: TENSORS, OPTIMIZER: TENSORS})
    found = find_checkpoint(tmp_path, "a")
    assert found is not None
    assert found.state.step == 10
    assert torch.equal(found.tensors(TRAINED)["lora"], TENSORS["lora"])

    weights = step_folder(tmp_path, 10) / TRAINED  # as after a disk lost the end of a file
    weights.write_bytes(weights.read_bytes()[:-4])
    (step_folder(tmp_path, 2) / STATE).unlink()
    (tmp_path / ".step-00000011.tmp").mkdir()  # half-written
    found = find_checkpoint(tmp_path, "a")
    assert found is not None
    assert found.state.step == 1
    assert capsys.readouterr().err.count("damaged") == 2


def test_rotation_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 4)):
        write_checkpoint(step_folder(tmp_path, step), state(step=step, best_step=best), {})
    for step in (1, 2, 4):
        write_checkpoint(best_folder(tmp_path, step), state(step=step), {TRAINED: TENSORS})
    rotate(tmp_path, keep=2)
    names = {folder.name for folder in tmp_path.iterdir()}
    # The best one of the older step as well: that step is gone on from where the newest is damaged.
    assert names == {"step-00000003", "step-00000004", "best-00000002", "best-00000004"}
    assert best_checkpoint(tmp_path, state(best_step=2)).state.step == 2
    with pytest.raises(RunError, match="missing or damaged"):
        best_checkpoint(tmp_path, state(best_step=1))


def test_what_is_written_after_a_damaged_checkpoint_is_found_again(tmp_path: Path) -> None:
    write_checkpoint(step_folder(tmp_path, 200), state(step=200), {TRAINED: TENSORS})
    (step_folder(tmp_path, 200) / TRAINED).unlink()
    assert find_checkpoint(tmp_path) is None
    set_aside(tmp_path, 0)
    write_checkpoint(step_folder(tmp_path, 20), state(step=20), {TRAINED: TENSORS})
    rotate(tmp_path, keep=1)
    assert {folder.name for folder in tmp_path.iterdir()} == {"step-00000020", "damaged-step-00000200"}
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.state.step == 20


def test_evenly_spaced_steps_end_with_the_last() -> None:
    assert evenly(10, 5) == {2, 4, 6, 8, 10}
    assert evenly(7, 3) == {2, 5, 7}
    assert evenly(2, 5) == {1, 2}


def test_a_curated_folder_is_used_as_it_is(curated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from data_curation.__main__ import curate

    folder = curated.parent / "runs/tiny/curation"
    curate(load_run_config(curated, [f"curated={folder}", f"output_dir={tmp_path}"]), False)
    assert "is used as it is" in capsys.readouterr().out
    assert json.loads((folder / "manifest.json").read_text())["splits"]["train"]["examples"] == 24


@pytest.mark.slow
def test_a_model_that_does_not_answer_the_query_is_refused_before_the_first_step(curated: Path) -> None:
    same = [f"curated={curated.parent / 'runs/tiny/curation'}", "name=refused"]
    config = load_run_config(curated, [*same, "model.minimal_answer_mass=0.5"])
    with pytest.raises(UserError, match=r"\(mean of 8 answers\); probably the prompt"):
        train(config, False)
    assert not config.checkpoint_dir.exists()
    accepted = load_run_config(curated, same)
    assert accepted.training_inputs() == config.training_inputs()
    train(accepted, False)
