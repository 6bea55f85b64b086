"""Is the memory of a training step what `training.memory` says? python -m benchmarks training_memory

Each row is a process of its own that takes one step of a small Llama and reads its peak from the system. It is forked
from one that has imported torch. Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer

SHAPES: dict[str, dict[str, Any]] = {
    "q and v": {"targets": ["q_proj", "v_proj"]},
    "q and v, dropout": {"targets": ["q_proj", "v_proj"], "dropout": 0.1},
    "all layers": {},
    "all layers, dropout": {"dropout": 0.1},
    "all layers, grouped queries, wider": {"hidden": 512, "intermediate": 1408, "layers": 4, "kv_heads": 2},
    "all layers, dropout, checkpointed": {"dropout": 0.1, "checkpointed": True},
    "long rows": {"rows": 6, "length": 512},
    "all layers, dropout, bfloat16": {"dropout": 0.1, "bf16": True, "rows": 16, "length": 64},
}
BLOCKS = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
"""For glibc: what is freed goes back to the system at once, so that the peak is that of what is in use."""


def main() -> None:
    print("| step | tokens | measured, MiB | estimated, MiB | ratio |\n|---|---:|---:|---:|---:|")
    for name, step in measure(SHAPES).items():
        ratio = step["estimated"] / step["measured"]
        print(
            f"| {name} | {step['tokens']:,} | {step['measured'] / 2**20:.0f} | {step['estimated'] / 2**20:.0f} | "
            f"{ratio:.2f} |"
        )


def measure(shapes: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Bytes that a step of each shape takes on top of the model, `measured` and `estimated`."""
    command = [sys.executable, "-m", "benchmarks.training_memory", "--steps", json.dumps(list(shapes.values()))]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | BLOCKS)
    steps = [json.loads(line) for line in result.stdout.splitlines()[-len(shapes) :]]
    return dict(zip(shapes, steps, strict=True))


def forked_steps(shapes: list[dict[str, Any]]) -> None:
    """A line of JSON for each shape, from a process that has done nothing else."""
    from transformers import LlamaForCausalLM  # noqa: F401

    import training.memory
    import training.query_model  # noqa: F401

    for shape in shapes:
        process = os.fork()
        if process == 0:
            print(json.dumps(one_step(**shape)), flush=True)
            os._exit(0)
        if status := os.waitpid(process, 0)[1]:
            sys.exit(f"{shape}: ended with {os.waitstatus_to_exitcode(status)}")


def one_step(
    hidden: int = 256,
    intermediate: int = 1024,
    layers: int = 6,
    kv_heads: int = 8,
    targets: str | list[str] = "all-linear",
    dropout: float = 0.0,
    checkpointed: bool = False,
    bf16: bool = False,
    rows: int = 24,
    length: int = 128,
) -> dict[str, float]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from calibration_tuning.config.training import ObjectiveSettings
    from training.memory import adapted, counts, estimate_memory
    from training.query_model import QueryModel

    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=2000,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=kv_heads,
    )
    dtype = torch.bfloat16 if bf16 else torch.float32
    lora = LoraConfig(task_type="CAUSAL_LM", r=8, lora_dropout=dropout, target_modules=targets)
    base: Any = LlamaForCausalLM(config)
    lm: Any = get_peft_model(base.to(dtype), lora)
    if checkpointed:
        lm.gradient_checkpointing_enable({"use_reentrant": False})
    model = QueryModel(lm, (5, 6), ObjectiveSettings()).train()

    def step(rows: int, length: int) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(_batch(rows, length))[0]
        loss.backward()

    step(2, 32)  # what is made once
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _memory("VmRSS")
    step(rows, length)
    trained, _ = counts(model)
    shapes = (config, 0, trained, 2 if bf16 else 4, rows * length, checkpointed, adapted(model))
    expected = estimate_memory(*shapes)
    return {
        "tokens": rows * length,
        "measured": _memory("VmHWM") - before,
        "estimated": expected.activations + expected.logits,
    }


def _batch(rows: int, length: int) -> Any:
    from training.examples import Example
    from training.layout import Layout

    examples = [Example(list(range(10, 10 + length)), 16, float(k % 2), float(k % 2)) for k in range(rows)]
    return Layout("padded", [], 10, False).batch(examples, 1 / rows, 1)


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--steps"]:
        forked_steps(json.loads(sys.argv[2]))
    else:
        typer.run(main)
