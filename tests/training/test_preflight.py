"""The run on paper: 7B without weights, and everything that would stop a run."""

from __future__ import annotations

import dataclasses
import errno
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from transformers import AutoConfig, Gemma2Config, LlamaConfig, LlamaForCausalLM, MistralConfig, Qwen2Config

from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.config.settings import to_yaml
from calibration_tuning.errors import UserError
from calibration_tuning.lm.models import load_model
from calibration_tuning.records import read_records, write_records
from tests.forked import completed
from training.memory import counts
from training.preflight import checks, here, untuned, work
from training.preflight.machines import GPUS, LAUNCHES, PRODUCTS, SECONDS_TO_LAUNCH, SHARDINGS
from training.preflight.paper import Paper, fitting

GPU = GPUS["a100-80gb"]
DDP, FSDP2 = SHARDINGS["DDP"], SHARDINGS["FSDP2"]


@pytest.fixture(scope="module")
def seven_billion(tmp_path_factory: pytest.TempPathFactory, tiny_model_path: Path) -> Path:
    """Folder with the configuration of Llama-7B and a tokenizer, and not one weight."""
    folder = tmp_path_factory.mktemp("seven")
    shutil.copytree(tiny_model_path, folder, dirs_exist_ok=True)
    (folder / "model.safetensors").unlink()
    LlamaConfig().save_pretrained(folder)
    return folder


def paper_of(config: RunConfig, gpus: int = 8, gpu: str = "a100-80gb", **training: Any) -> Paper:
    settings = config.training.model_copy(update=training)
    return Paper(config.model_copy(update={"training": settings}), gpus, GPUS[gpu])


@pytest.fixture(scope="module")
def llama(seven_billion: Path) -> RunConfig:
    return load_run_config("configs/llama2_7b.yaml", [f"model.path={seven_billion}"])


@pytest.mark.slow
def test_seven_billion_parameters_are_planned_without_weights(llama: RunConfig) -> None:
    paper = paper_of(llama)
    trained, total = counts(paper.model)
    assert total - trained == pytest.approx(6.74e9, rel=0.01)
    assert all(p.device.type == "meta" for p in paper.model.parameters())
    assert paper.base_bytes == 2 * (total - trained)
    assert fitting(paper) == list(SHARDINGS)
    ddp, zero2, zero3 = (paper.memory(SHARDINGS[name]) for name in ("DDP", "ZeRO-2", "ZeRO-3"))
    assert ddp.weights == zero2.weights == pytest.approx(8 * zero3.weights)
    assert ddp.optimizer == pytest.approx(8 * zero2.optimizer)
    assert fitting(paper_of(llama, gpus=1, gpu="rtx-4090")) == []
    small = paper_of(llama, gpus=8, gpu="rtx-4090", tokens_per_batch=512, gradient_checkpointing=True)
    assert {"ZeRO-3", "FSDP2"} <= {*fitting(small)}


@pytest.mark.slow
def test_four_bits_take_a_quarter(llama: RunConfig) -> None:
    plain = paper_of(llama).base_bytes
    quantized = llama.model_copy(update={"model": llama.model.model_copy(update={"load_in_4bit": True})})
    assert 0.25 * plain < paper_of(quantized).base_bytes < 0.32 * plain


@pytest.mark.slow
def test_steps_and_work_by_hand(llama: RunConfig) -> None:
    paper = paper_of(llama, epochs=2, batch_size=100, evaluations=1)
    assert paper.steps.steps == 200  # 10,000 examples, twice
    # 4 x parameters x tokens (forward, backward of activations) in both epochs, 2 x for the reference in one of them.
    tokens = 10_000 * 200
    assert 1.0 < work.flops(paper, DDP) / ((2 * 4 + 2) * 6.5e9 * tokens) < 1.6
    without = paper_of(llama, epochs=2, batch_size=100, evaluations=1, method="probe")
    assert work.flops(without, DDP) < 0.5 * work.flops(paper, DDP)
    (fast, slow), (cheap, dear) = work.hours(paper, DDP), work.dollars(paper, DDP)
    assert slow / fast == pytest.approx(PRODUCTS[0] / PRODUCTS[1], rel=0.5)
    assert work.utilisation(paper, DDP)[1] <= PRODUCTS[0]
    assert (cheap, dear) == (pytest.approx(8 * fast * GPU.dollars[0]), pytest.approx(8 * slow * GPU.dollars[1]))


@pytest.mark.slow
def test_a_block_that_is_not_shared_is_read_in_every_row(llama: RunConfig) -> None:
    """By hand: 8 GPUs, 32 examples of 200 tokens a step, a block of 200. Four rows a pass, each with an eighth of the
    block's memory: 4 x 225 + 200; with the block in every row 4 x 400. A step reads 32 x 200 + 8 x 200, or 32 x 400."""
    padded = {"batch_size": 32, "batching": "padded", "tokens_per_batch": 8192}
    shared, checkpointed = paper_of(llama, **padded), paper_of(llama, **padded, gradient_checkpointing=True)
    assert (shared.pass_tokens(DDP), shared.step_tokens(DDP)) == (1100, 8000)
    for paper, sharding in ((shared, FSDP2), (checkpointed, DDP)):
        assert (paper.pass_tokens(sharding), paper.step_tokens(sharding)) == (1600, 12800)
    assert shared.memory(FSDP2).activations == pytest.approx(16 / 11 * shared.memory(DDP).activations)
    assert work.hours(shared, FSDP2)[0] > 1.4 * work.hours(shared, DDP)[0]


@pytest.mark.slow
def test_the_work_is_that_of_the_step(tiny_run: Path) -> None:
    """Floating-point operations counted by torch in a real forward and backward pass of a batch."""
    from torch.utils.flop_counter import FlopCounterMode

    from training.layout import Layout
    from training.methods import METHODS
    from training.query_model import QueryModel

    config = load_run_config(tiny_run / "config.yaml", ["training.evaluations=1", "training.epochs=1"])
    # Wider than the tiny model, so that matrix products are what counts.
    paper = Paper(config, 1, GPU)
    shape = LlamaConfig(**{**load_model(config.model).config.to_dict(), "hidden_size": 256, "intermediate_size": 512})
    lm, head = METHODS["lora_prompt"](config, LlamaForCausalLM(shape))
    paper.__dict__["_model"] = QueryModel(lm, (70, 80), config.training.objective, head).train()
    layout = Layout("padded", paper.block, len(paper.prompt_format.query_ids), False)
    own = paper.examples["train"][:8]
    with FlopCounterMode(display=False) as counter:
        paper.model(layout.batch(own, 1 / 8, 1))[0].backward()
    tokens = sum(len(example.input_ids) + len(paper.block) for example in own)
    learnt = (
        paper.steps.steps * config.training.batch_size * (sum(paper.lengths["train"]) / len(paper.lengths["train"]))
    )
    learnt += paper.steps.steps * paper.block_length
    judged = 2 * sum(paper.lengths["validation"]) + sum(paper.lengths["calibration"])
    estimated = work.flops(paper, DDP) / (3 * learnt + judged) * 3 * tokens
    assert 0.7 < estimated / counter.get_total_flops() < 1.4


@pytest.mark.slow
def test_the_reference_is_read_once_if_its_states_are_kept(llama: RunConfig) -> None:
    """By hand: a token takes 4 parts in forward and backward, and 2 for the reference."""
    padded = {"evaluations": 1, "batching": "padded"}  # packed rows of a reading are longer, with more attention
    once, twice = paper_of(llama, epochs=1, **padded), paper_of(llama, epochs=2, **padded)
    assert not work.keeps_reference(once)
    assert work.keeps_reference(twice)
    judged = 2 * 500 + 1000
    unit = work.flops(once, DDP) / (3 * once.steps.steps * once.step_tokens(DDP) + 200 * judged)
    expected = unit * (2 * twice.steps.steps * twice.step_tokens(DDP) + 200 * (judged + 10_000))
    assert work.flops(twice, DDP) == pytest.approx(expected, rel=0.01)


@pytest.mark.slow
def test_small_passes_wait_for_the_host_and_a_larger_batch_is_advised(llama: RunConfig) -> None:
    """A pass of a B200 with 4 examples computes for less time than its host needs to launch its kernels."""
    paper = paper_of(llama, gpu="b200")
    launched = paper.steps.steps * 32 * LAUNCHES["training"]
    assert work.hours(paper, DDP)[1] == pytest.approx(launched * SECONDS_TO_LAUNCH[1] / 3600)
    advice = checks.batch(paper).detail
    assert advice.startswith("32 examples a step, 4 on each GPU; passes of ")
    assert "training.batch_size=128 training.learning_rate=0.0002 would take 235 steps instead of 938" in advice
    larger = paper.with_batch_size(128)
    assert work.hours(larger, DDP)[1] < 0.7 * work.hours(paper, DDP)[1]
    full = paper_of(llama, gpu="b200", batch_size=128)
    assert checks.batch(full).detail == "128 examples a step, 16 on each GPU"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama2_7b", "mistral_7b", "qwen2_5_7b"])
def test_shipped_recipes_are_planned_where_the_hub_is_out_of_reach(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def offline(path: str, **more: Any) -> Any:
        tried.append(path)
        raise OSError("We couldn't connect to the hub")

    monkeypatch.setattr(AutoConfig, "from_pretrained", offline)
    monkeypatch.setitem(checks.CHECKS, "questions", lambda paper: checks.CheckResult("ok", "not looked at"))
    paper = Paper(load_run_config(f"configs/{name}.yaml", ["tracking.to=none", "name=nowhere"]), 8, GPU)
    found = dict(checks.findings(paper))
    assert found["model"].status == "fails"
    assert "couldn't connect to the hub" in found["model"].detail
    assert found["model"].detail.endswith("memory and time are planned from its known shape")
    skipped = {check for check, result in found.items() if result.status == "skipped"}
    assert skipped == {"answer tokens", "chat template", "context"}
    assert {result.detail for check, result in found.items() if check in skipped} == {"it needs what fails at 'model'"}
    assert found["memory"].status == found["whole model"].status == "ok"
    assert len(tried) == 1
    assert 0 < work.hours(paper, DDP)[0] < 24


def rewrite(config: RunConfig, split: str, change: Callable[[list[Any]], list[Any]]) -> None:
    path = config.curation_dir / f"{split}.parquet"
    write_records(path, change(read_records(path)))
    (config.curation_dir / "SHA256SUMS").unlink(missing_ok=True)


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> RunConfig:
    shutil.copytree(tiny_run, tmp_path / "tiny")
    config = load_run_config(tiny_run / "config.yaml", [f"output_dir={tmp_path}"])
    rewrite(config, "train", lambda rows: [r.model_copy(update={"correct": i % 2}) for i, r in enumerate(rows)])
    return config


def status(config: RunConfig, name: str, gpus: int = 1, gpu: str = "a100-80gb") -> checks.CheckResult:
    return dict(checks.findings(Paper(config, gpus, GPUS[gpu])))[name]


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
        ("leakage", lambda c: (c.curation_dir / "test.parquet").write_bytes(b"x"), "skipped", "fails at 'curated set'"),
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
    missing = run.model_copy(update={"model": run.model.model_copy(update={"path": "/nowhere/model"})})
    tried: list[str] = []
    read = AutoConfig.from_pretrained

    def counted(path: str, **more: Any) -> Any:
        tried.append(path)
        return read(path, **more)

    monkeypatch.setattr(AutoConfig, "from_pretrained", counted)
    found = dict(checks.findings(Paper(missing, 1, GPU)))
    assert found["model"].status == "fails"
    assert "/nowhere/model" in found["model"].detail
    after = [found[name] for name in ("answer tokens", "context", "memory", "host memory", "whole model", "disk")]
    assert {*after} == {checks.CheckResult("skipped", "it needs what fails at 'model'")}, "a cause is said once"
    assert tried == ["/nowhere/model"], "a hub out of reach keeps one waiting, so it is asked once"
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
            'curation.engine: openai is not installed in this environment; run `pip install -e ".[openai]"`',
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
    monkeypatch.setattr("calibration_tuning.config.tracking.find_spec", lambda name: None)
    found = surroundings_of(changed(run, *overrides))
    assert found.status == "fails"
    assert message in found.detail


def surroundings_of(config: RunConfig) -> checks.CheckResult:
    try:
        return checks.CHECKS["packages"](Paper(config, 1, GPU))
    except UserError as error:
        return checks.CheckResult("fails", str(error))


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
