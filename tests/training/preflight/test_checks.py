"""Preflight finds what would stop a run."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.config.settings import to_yaml
from calibration_tuning.errors import UserError
from calibration_tuning.extras import pip_install
from calibration_tuning.records import read_records, write_records
from tests.training.preflight.papers import GPU, paper_of, rewrite, status
from training.preflight import checks
from training.preflight.machines import SHARDINGS
from training.preflight.paper import Paper, fitting

DEPENDS = "depends on the check 'model', which failed"


@pytest.mark.slow
def test_a_sound_run_passes(run: RunConfig) -> None:
    found = dict(checks.findings(Paper(run, 1, GPU)))
    assert {*found} == {*checks.CHECKS}
    assert {finding.status for finding in found.values()} == {"ok"}, found
    assert "24 verdicts" in found["supervision"].detail


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "spoil", "said", "message"),
    [
        (
            "leakage",
            lambda c: rewrite(c, "test", lambda rows: [*rows, read_records(c.curation_dir / "train.parquet")[0]]),
            "fails",
            "are in both train and test",
        ),
        (
            "leakage",
            lambda c: write_records(
                c.curation_dir / "evaluation.parquet", read_records(c.curation_dir / "train.parquet")[:1]
            ),
            "fails",
            "are in both train and evaluation",
        ),
        (
            "supervision",
            lambda c: rewrite(c, "train", lambda rows: [r.model_copy(update={"token_ids": []}) for r in rows]),
            "warning",
            "24 of 24 answers are empty",
        ),
        (
            "curated set",
            lambda c: rewrite(c, "train", lambda rows: [r.model_copy(update={"correct": 1.0}) for r in rows]),
            "warning",
            "100.0% of the training answers are correct",
        ),
        (
            "context",
            lambda c: rewrite(c, "test", lambda rows: [rows[0].model_copy(update={"token_ids": [70] * 600})]),
            "fails",
            "the model reads 512",
        ),
        ("curated set", lambda c: shutil.rmtree(c.curation_dir), "warning", "so lengths are assumed"),
        ("curated set", lambda c: (c.curation_dir / "test.parquet").write_bytes(b"x"), "fails", "not a readable parq"),
        ("leakage", lambda c: (c.curation_dir / "test.parquet").write_bytes(b"x"), "skipped", "depends on the check"),
    ],
)
def test_what_would_stop_a_run_is_found(
    run: RunConfig, name: str, spoil: Callable[[RunConfig], Any], said: str, message: str
) -> None:
    spoil(run)
    found = status(run, name)
    assert found.status == said
    assert message in found.detail


@pytest.mark.slow
def test_settings_and_surroundings(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status(run, "batch", gpus=8).status == "warning"
    missing = run.model_copy(update={"model": run.model.model_copy(update={"path": "nowhere/at/all"})})
    tried: list[str] = []
    read = AutoConfig.from_pretrained

    def counted(path: str, **more: Any) -> Any:
        tried.append(path)
        return read(path, **more)

    monkeypatch.setattr(AutoConfig, "from_pretrained", counted)
    found = dict(checks.findings(Paper(missing, 1, GPU)))
    assert found["model"].status == "fails"
    assert "nowhere/at/all" in found["model"].detail
    after = [
        found[name] for name in ("answer tokens", "context", "memory", "planned host memory", "whole model", "disk")
    ]
    assert {*after} == {checks.CheckResult("skipped", DEPENDS)}, "a cause is said once"
    assert tried == ["nowhere/at/all"], "a hub out of reach keeps one waiting, so it is asked once"
    monkeypatch.undo()
    online = run.model_copy(update={"tracking": run.tracking.model_copy(update={"wandb": "online"})})
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert status(online, "W&B").status == "ok"
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", "/nowhere")
    assert status(online, "W&B").status == "fails"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
    assert status(run, "disk").status == "fails"
    assert status(run, "disk").detail.endswith("to a larger disk")


@pytest.mark.slow
def test_only_training_is_split_over_gpus(llama: RunConfig) -> None:
    paper = paper_of(llama, gpus=8, gpu="rtx-4090", tokens_per_batch=512, gradient_checkpointing=True)
    assert checks.whole_model(paper) == checks.CheckResult(
        "ok", "curation and evaluation put the whole model on each GPU: 14.1 of 23.5 GiB"
    )
    paper.gpu = dataclasses.replace(paper.gpu, memory=12.0)
    assert "ZeRO-3" not in fitting(paper), "the stacked readout needs the whole model after the last step"
    training = paper.config.training.model_copy(update={"readout": "query"})
    paper.config = paper.config.model_copy(update={"training": training})
    assert "ZeRO-3" in fitting(paper)
    assert checks.whole_model(paper).status == "fails"


def test_packed_weights_are_not_split(llama: RunConfig) -> None:
    quantized = llama.model_copy(update={"model": llama.model.model_copy(update={"load_in_4bit": True})})
    paper = paper_of(quantized)
    assert paper.memory(SHARDINGS["FSDP2"]).weights == paper.memory(SHARDINGS["DDP"]).weights


@pytest.mark.slow
def test_weights_need_room_in_the_cache(llama: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = paper_of(llama.model_copy(update={"output_dir": tmp_path / "runs"}))
    assert "; " not in checks.disk(paper).detail, "a folder's weights are there already"
    monkeypatch.setattr(checks, "_is_here", lambda path: False)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda path, name, revision: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    room = {tmp_path: 40 << 30}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1 << 50, 0, room[path]))  # type: ignore[attr-defined]
    found = checks.disk(paper)
    assert found.status == "ok"
    assert found.detail.endswith(f"40 GiB free at {tmp_path / 'cache'}, about 12.6 GiB needed")
    room[tmp_path] = 25 << 30
    assert checks.disk(paper).status == "fails", "twice 12.6 GiB and the run's own files on one disk"
    quantized = paper.config.model.model_copy(update={"load_in_4bit": True})
    packed = paper_of(paper.config.model_copy(update={"model": quantized}))
    assert "about 12.6 GiB" in checks.disk(packed).detail, "they are fetched as they are"
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}')
    there = {index.name, "model-1-of-2.safetensors"}

    def in_cache(path: str, name: str, revision: Any) -> str | None:
        return str(tmp_path / name) if name in there else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", in_cache)
    assert checks.disk(paper).status == "fails", "a download that was interrupted"
    there.add("model-2-of-2.safetensors")
    assert checks.disk(paper).status == "ok"


@pytest.mark.slow
def test_kept_states_of_the_reference_need_room_on_the_disk(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 30 GiB free, those of the tiny run take no GiB, and made-up ones of 20 GiB more than half."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1 << 50, 0, 30 << 30))  # type: ignore[attr-defined]
    twice = paper_of(run, gpus=1, epochs=2)
    assert checks.disk(twice).status == "ok"
    monkeypatch.setattr(checks, "states_size", lambda examples, width, size: 20 << 30)
    assert checks.disk(twice).status == "fails"
    assert "about 20.0 GiB needed" in checks.disk(twice).detail
    assert checks.disk(paper_of(run, gpus=1, epochs=1)).status == "ok", "nothing is kept"


@pytest.mark.slow
def test_a_window_that_a_shared_block_leaves_no_room_in_fails(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration_tuning.lm.caches.shortest_window", lambda config: 64)
    packed = run.model_copy(update={"training": run.training.model_copy(update={"batching": "packed"})})
    found = status(packed, "context")
    assert (found.status, "some layers of this model see 64 tokens" in found.detail) == ("fails", True)
    assert status(run, "context").status == "ok", "padded rows repeat the block then"


def changed(config: RunConfig, *overrides: str) -> RunConfig:
    """The run with other settings, before anything of it is curated."""
    path = config.output_dir / "changed.yaml"
    path.write_text(to_yaml(config))
    return load_run_config(path, [f"output_dir={config.output_dir / 'new'}", *overrides])


@pytest.mark.slow
def test_question_sets_are_read_before_a_gpu_is_paid_for(run: RunConfig) -> None:
    sound = status(changed(run), "questions")
    assert sound.status == "ok", sound
    assert "sets can be read, and" in sound.detail
    assert status(run, "questions").detail == "curated already"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("questions.0.path=/nowhere/questions.jsonl", "/nowhere/questions.jsonl does not exist"),
        ("questions.0.answer='{{ anwser }}'", "rows is usable (row 0, answer"),
        ("curation.sizes.train=5000", "questions are wanted in all, but the sets give only"),
    ],
)
@pytest.mark.slow
def test_questions_that_are_missing_misspelt_or_too_few_fail(run: RunConfig, override: str, message: str) -> None:
    found = status(changed(run, override), "questions")
    assert found.status == "fails"
    assert message in found.detail


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["curation.engine={kind: vllm}"], "curation.engine: vllm is not installed in this environment; curate in"),
        (["curation.engine={kind: recorded, path: /nowhere.jsonl}"], "curation.engine.path: /nowhere.jsonl: no such"),
        (["curation.judge={model: {path: judge}, engine: {kind: vllm}}"], "curation.judge.engine: vllm is not"),
        (
            ["curation.engine={kind: openai, base_url: 'http://localhost:1/v1'}"],
            f"curation.engine: openai is not installed in this environment; {pip_install('openai')}",
        ),
        (["tracking.to=trackio"], "tracking.to: trackio is not installed"),
        (["model.attn_implementation=flash_attention_2"], "flash_attention_2 needs the package flash-attn"),
        (["model.load_in_4bit=true"], "needs bitsandbytes"),
    ],
)
def test_packages_that_are_missing_fail(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch, overrides: list[str], message: str
) -> None:
    monkeypatch.setattr("training.preflight.surroundings.find_spec", lambda name: None if name != "wandb" else name)
    monkeypatch.setattr("calibration_tuning.extras.find_spec", lambda name: None)
    found = surroundings_of(changed(run, *overrides))
    assert found.status == "fails"
    assert message in found.detail


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["tracking.to=none"], "tracker: none; engine: transformers"),
        (["curation.judge={model: {path: judge}}"], "; engine: transformers; judge's engine: transformers"),
    ],
)
def test_packages_are_said_with_what_they_are_for(run: RunConfig, overrides: list[str], said: str) -> None:
    found = surroundings_of(changed(run, "curated=null", "name=other", "tracking.to=none", *overrides))
    assert (found.status, found.detail.endswith(said)) == ("ok", True)


def test_a_set_that_is_not_there_is_no_set_to_come(run: RunConfig) -> None:
    found = status(changed(run, "curated=/nowhere"), "curated set")
    assert (found.status, found.detail) == ("fails", "curated: /nowhere holds no curated set (no manifest.json)")


def surroundings_of(config: RunConfig) -> checks.CheckResult:
    try:
        return checks.CHECKS["packages"](Paper(config, 1, GPU))
    except UserError as error:
        return checks.CheckResult("fails", str(error))
