"""Preflight on the machine itself, the untuned model and the command."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from transformers import Gemma2Config, MistralConfig, Qwen2Config

from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import UserError
from calibration_tuning.lm.models import load_model
from tests.forked import completed
from tests.training.preflight.papers import GPU, paper_of, status
from training.preflight import checks, here, untuned
from training.preflight.paper import Paper
from training.query_model import QueryModel


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.slow
def test_the_machine_itself_is_checked(run: RunConfig, on_cpu: None) -> None:
    found = dict(checks.findings(Paper(run, 0, GPU), here.HERE))
    assert {*found} == {*here.HERE}
    assert found["training step"].status == "ok", found["training step"]
    assert "2 layers of the run's width took a step in " in found["training step"].detail
    assert found["collectives"].detail.startswith("2 processes added up a tensor (gloo) in "), found["collectives"]
    assert found["output folder"].status == "ok"
    assert found["GPU memory"].status == "skipped"


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_the_step_is_laid_out_as_in_training(run: RunConfig, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    """And its layers are checkpointed where they are in training."""
    seen: list[tuple[bool, bool]] = []
    forward = QueryModel.forward

    def noted(model: QueryModel, batch: Any) -> Any:
        seen.append(("owner" in batch, model.lm.is_gradient_checkpointing))
        return forward(model, batch)

    monkeypatch.setattr(QueryModel, "forward", noted)
    paper = paper_of(run, batching="packed" if packed else "padded", gradient_checkpointing=packed)
    assert np.isfinite(here._loss_of_a_step(paper, torch.device("cpu")))
    assert seen == [(packed, packed)]


def test_a_step_of_a_method_that_trains_nothing(run: RunConfig) -> None:
    assert np.isfinite(here._loss_of_a_step(paper_of(run, method="none"), torch.device("cpu")))


@pytest.mark.parametrize("kind", [Qwen2Config, MistralConfig, Gemma2Config])
def test_a_model_of_two_layers_is_as_wide(kind: Any) -> None:
    config = kind()
    short = here.two_layers(config)
    assert (short.num_hidden_layers, short.hidden_size) == (2, config.hidden_size)
    assert len(getattr(short, "layer_types", None) or [1, 2]) == 2


def test_a_step_that_fails_is_one_sentence(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(paper: Paper, device: torch.device) -> float:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(here, "_loss_of_a_step", fail)
    with pytest.raises(UserError, match=r"a step of 2 layers fails on .*no kernel image"):
        here.training_step(Paper(run, 1, GPU))
    monkeypatch.setattr(here, "_loss_of_a_step", lambda paper, device: float("nan"))
    with pytest.raises(UserError, match="has the loss nan"):
        here.training_step(Paper(run, 1, GPU))


def test_an_output_folder_without_locks_is_warned_of(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: Any, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    found = here.output_folder(Paper(run, 1, GPU))
    assert found.status == "warning"
    assert found.detail.endswith("has no file locks, so two runs in one folder are not noticed")


def test_too_little_host_memory_for_fsdp2_is_warned_of(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here.free_host_memory(Paper(run, 1, GPU)).status == "ok"
    free = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    found = here.free_host_memory(Paper(run, 1, GPU))
    assert (found.status, found.detail.startswith("0 GiB; FSDP2 needs up to ")) == ("warning", True)


def test_fewer_gpus_than_planned_fail(run: RunConfig, on_cpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 4)
    found = dict(checks.findings(Paper(run, 8, GPU), {"GPUs": here.HERE["GPUs"]}))["GPUs"]
    assert found == checks.CheckResult("fails", "preflight --here: this machine has 4 GPUs, not 8; give --gpus 4")


@pytest.mark.slow
def test_processes_that_cannot_meet_fail(run: RunConfig, on_cpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "nosuchdevice")
    with pytest.raises(UserError, match="2 processes cannot communicate"):
        here.collectives(Paper(run, 2, GPU))


def asking(run: RunConfig, minimal: float) -> RunConfig:
    return run.model_copy(update={"model": run.model.model_copy(update={"minimal_answer_mass": minimal})})


@pytest.mark.slow
def test_the_untuned_model_is_asked_where_its_weights_are(
    run: RunConfig, seven_billion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper(asking(run, 0.5), 1, GPU)
    refused = dict(checks.findings(paper))["answer mass"]
    assert refused.status == "fails"
    assert "mean of 16 answers" in refused.detail
    assert (
        "another model.prompt_format or model.thinking, or accept it with model.minimal_answer_mass=0" in refused.detail
    )
    assert status(asking(run, 1e-9), "answer mass").status == "warning"
    rows = paper.rows["train"][:16]
    lm = load_model(run.model)
    no, yes = paper.prompt_format.answer_tokens
    expected = []
    for row in rows:
        ids = [*paper.block, *paper.prompt_format.judged_ids(row.text), *row.token_ids, *paper.prompt_format.query_ids]
        with torch.no_grad():
            p = lm(input_ids=torch.tensor([ids])).logits[0, -1].double().softmax(-1)
        expected.append((p[no] + p[yes]).item())
    mean, n, _ = untuned.answer_mass(Paper(run, 1, GPU))
    assert (mean, n) == (pytest.approx(np.mean(expected), abs=1e-6), 16)
    free = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    assert "do not fit into this machine's memory" in status(asking(run, 0.5), "answer mass").detail
    weightless = run.model.model_copy(update={"path": str(seven_billion)})
    elsewhere = status(run.model_copy(update={"model": weightless}), "answer mass")
    assert elsewhere.detail.endswith("the weights are not on this machine; training looks at it before its first step")


@pytest.mark.slow
def test_an_example_is_shown_with_its_supervised_token(run: RunConfig) -> None:
    paper = Paper(run, 1, GPU)
    row = paper.rows["train"][0]
    ids = [token for part in untuned.shown_example(paper) for token in part.token_ids]
    assert ids[:-1] == [*paper.block, *paper.examples["train"][0].input_ids]
    assert ids[-1] == paper.prompt_format.answer_tokens[row.correct >= 0.5]
    shutil.rmtree(run.curation_dir)
    text = "".join(part.text for part in untuned.shown_example(Paper(run, 1, GPU)))
    assert text.startswith("Question: What is the capital of France?\nAnswer: Paris\n\nIs the proposed")


def preflight(*arguments: str) -> subprocess.CompletedProcess[str]:
    return completed("training.preflight", *arguments)


@pytest.mark.slow
def test_the_command(llama: RunConfig, tmp_path: Path, seven_billion: Path) -> None:
    overrides = [f"model.path={seven_billion}", f"output_dir={tmp_path}", "tracking.wandb=offline"]
    result = preflight("configs/llama2_7b.yaml", *overrides)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "supervised ' ii' (id " in result.stdout
    assert "a training example as the model reads it (made up, without a few-shot block)" in result.stdout
    for said in ("DDP", "FSDP2", "fits", "epochs", "$", "ok      memory: fits with DDP", "warning curated set"):
        assert said in result.stdout, said
    assert "\x1b[" not in result.stdout
    refused = preflight("configs/llama2_7b.yaml", *overrides, "--gpus", "1", "--gpu", "rtx-4090")
    assert refused.returncode == 2
    assert "fails   memory: does not fit with any strategy" in refused.stdout
    unknown = preflight("configs/llama2_7b.yaml", "--gpu", "abacus")
    assert unknown.returncode == 2
    assert "unknown; use one of l4, a10g" in unknown.stderr
