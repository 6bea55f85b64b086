"""Memory, time and steps, planned without weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.lm.models import load_model
from tests.training.preflight.papers import GPU, paper_of
from training.memory import counts
from training.preflight import checks, work
from training.preflight.machines import LAUNCHES, PRODUCTS, SECONDS_TO_LAUNCH, SHARDINGS
from training.preflight.paper import Paper, fitting

DEPENDS = "depends on the check 'model', which failed"

DDP, FSDP2 = SHARDINGS["DDP"], SHARDINGS["FSDP2"]


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
    paper = paper_of(quantized)
    assert 0.25 * plain < paper.base_bytes < 0.32 * plain
    # In training the embeddings, the projection onto the vocabulary and the norms are in float32.
    casts = 2 * (2 * 32_000 * 4096 + 65 * 4096)
    assert paper.frozen_bytes(in_training=True) - paper.base_bytes == pytest.approx(casts)


@pytest.mark.slow
def test_a_second_model_after_the_last_step_is_counted(llama: RunConfig) -> None:
    paper = paper_of(llama)
    ddp, zero3 = SHARDINGS["DDP"], SHARDINGS["ZeRO-3"]
    assert paper.reading_bytes(ddp) < paper.memory(ddp).total, "the model under training reads"
    left = paper.memory(zero3)
    assert paper.reading_bytes(zero3) == left.weights + left.trained + left.optimizer + paper.base_bytes
    assert paper_of(llama, readout="query").reading_bytes(zero3) == 0
    quantized = llama.model_copy(update={"model": llama.model.model_copy(update={"load_in_4bit": True})})
    assert paper_of(quantized).reading_bytes(ddp) > paper_of(quantized).memory(ddp).weights + paper.base_bytes / 4


@pytest.mark.slow
def test_steps_and_work_by_hand(llama: RunConfig) -> None:
    paper = paper_of(llama, epochs=2, batch_size=100, evaluations=1)
    assert paper.steps.steps == 200  # 10,000 examples, twice
    # 4 x parameters x tokens (forward, backward of activations) in both epochs, 2 x for the reference in one of them.
    tokens = 10_000 * 200
    assert 1.0 < work.flops(paper, DDP) / ((2 * 4 + 2) * 6.5e9 * tokens) < 1.6
    without = paper_of(llama, epochs=2, batch_size=100, evaluations=1, method="probe")
    assert work.flops(without, DDP) < 0.5 * work.flops(paper, DDP)
    untrained = paper_of(llama, epochs=2, batch_size=100, evaluations=1, method="none")
    assert untrained.steps.steps == 0
    assert 0 < work.flops(untrained, DDP) < 0.1 * work.flops(paper, DDP)
    assert 0 < untrained.memory(DDP).total < paper.memory(DDP).total
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
    assert (shared.planned(DDP).largest, shared.step_tokens(DDP)) == (1100, 8000)
    for paper, sharding in ((shared, FSDP2), (checkpointed, DDP)):
        assert (paper.planned(sharding).largest, paper.step_tokens(sharding)) == (1600, 12800)
    assert shared.memory(FSDP2).activations == pytest.approx(16 / 11 * shared.memory(DDP).activations)
    assert work.hours(shared, FSDP2)[0] > 1.4 * work.hours(shared, DDP)[0]


@pytest.mark.slow
def test_passes_are_planned_as_they_are_cut(llama: RunConfig) -> None:
    """By hand: 33 examples of 200 tokens on 8 GPUs are five on one and four on the others, each behind the block."""
    even, uneven = paper_of(llama, batch_size=160), paper_of(llama, batch_size=33)
    assert even.planned(DDP) == (20 * 200 + 200, 1, 1)
    assert uneven.planned(DDP) == (5 * 200 + 200, 1, (33 + 8) / (8 * 6))
    assert "passes of unequal size leave the GPUs busy 85% of the time" in checks.batch(uneven).detail
    perfect = work.flops(uneven, DDP) / (8 * 3600 * PRODUCTS[0] * GPU.tflops * 1e12)
    assert work.hours(uneven, DDP)[0] > 1.15 * perfect


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
    assert {result.detail for check, result in found.items() if check in skipped} == {DEPENDS}
    assert found["memory"].status == found["whole model"].status == "ok"
    assert len(tried) == 1
    assert 0 < work.hours(paper, DDP)[0] < 24
