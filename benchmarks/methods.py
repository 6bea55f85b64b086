"""Methods and objectives side by side on one curated set: python -m benchmarks methods [key.path=value ...]

Curates the set of configs/methods.yaml, tunes every variant on it, scores each on held-out questions of the same sets
and of a set never trained on, and prints a table. What is finished is kept: the same command resumes. `--only NAME`
makes single variants, `--table` prints what is there.
"""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from typing import Annotated, Any

import numpy as np
import typer

from calibration_tuning.checkpoint import load_checkpoint
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.lm.models import adapter_off, default_device
from calibration_tuning.lm.query import score_answers
from calibration_tuning.metrics.calibrators import fit, log_odds
from calibration_tuning.metrics.confidence import confidence_metrics
from calibration_tuning.records import QueryExample, Split
from calibration_tuning.runs.files import read_json, write_json

CONFIG = "configs/methods.yaml"
NO_KL = "training.objective.kl_weight=0"
VARIANTS: dict[str, list[str]] = {
    "lora_prompt, cross-entropy": [],
    "lora_prompt, cross-entropy, no KL": [NO_KL],
    "lora_prompt, Brier": ["training.objective.query_loss=brier"],
    "lora_prompt, Brier, no KL": ["training.objective.query_loss=brier", NO_KL],
    "lora_prompt, soft targets": ["training.objective.targets=soft"],
    "lora_prompt, soft targets, no KL": ["training.objective.targets=soft", NO_KL],
    "lora_probe, cross-entropy": ["training.method=lora_probe"],
    "probe, cross-entropy, 4 epochs": ["training.method=probe", "training.epochs=4"],
}
SEEDS = {"lora_prompt, cross-entropy": (0, 1, 2)}
SPLIT_DESCRIPTIONS: dict[Split, str] = {
    "test": "held-out questions of the sets trained on",
    "evaluation": "a set never trained on",
}
SHOWN = ("brier", "ece", "auroc")
BATCH = 32


def main(
    overrides: Annotated[list[str] | None, typer.Argument(show_default=False)] = None,
    only: Annotated[list[str] | None, typer.Option(help="Beginning of a variant's name.")] = None,
    table: bool = False,
) -> None:
    base = load_run_config(CONFIG, overrides or [])
    if not table:
        start("data_curation", *(overrides or []))
    for variant, settings in VARIANTS.items():
        for seed in SEEDS.get(variant, (0,)):
            name = f"{slug(variant)}-seed{seed}"
            if table or (only and not any(name.startswith(slug(wanted)) for wanted in only)):
                continue
            changes = [*settings, f"name={base.name}-{name}", f"training.seed={seed}", f"curated={base.curation_dir}"]
            start("training", *(overrides or []), *changes)
            score(load_run_config(CONFIG, [*(overrides or []), *changes]))
    print(markdown(base))


def start(stage: str, *overrides: str) -> None:
    print("$", stage, *overrides, flush=True)
    subprocess.run([sys.executable, "-m", stage, CONFIG, *overrides], check=True)


def slug(variant: str) -> str:
    return variant.lower().replace(", ", "-").replace(" ", "_")


def score(config: RunConfig) -> None:
    """Write metrics with intervals on both splits, of the tuned model and, in the first variant, of the untuned
    model."""
    target = config.run_dir / "scores.json"
    if target.is_file():
        return
    checkpoint = load_checkpoint(config.checkpoint_dir).to(default_device())
    curated = CuratedSet.read(config.curation_dir)
    splits = {name: curated.split(name) for name in (*SPLIT_DESCRIPTIONS, "calibration")}
    block = checkpoint.prompt_format.few_shot_ids(curated.few_shot.query)

    def logits(rows: list[QueryExample], probe: Any) -> np.ndarray:
        sequences = [[*checkpoint.prompt_format.judged_ids(row), *row.token_ids] for row in rows]
        return score_answers(checkpoint.model, checkpoint.prompt_format, block, sequences, BATCH, probe=probe).logit

    def rated(logits_of: Any, calibrator: Any) -> dict[str, Any]:
        return {
            name: confidence_metrics(calibrator(logits_of(rows)), np.array([row.correct for row in rows]))
            for name, rows in splits.items()
            if name in SPLIT_DESCRIPTIONS
        }

    metrics = {"tuned": rated(lambda rows: logits(rows, checkpoint.probe), checkpoint.record.calibrator)}
    if config.run_dir.name.endswith(f"{slug(next(iter(VARIANTS)))}-seed0"):
        kind = config.training.calibrator
        correct = np.array([row.correct for row in splits["calibration"]])
        with adapter_off(checkpoint.model):
            as_it_came = fit(kind, logits(splits["calibration"], None), correct)
            metrics["query, untuned"] = rated(lambda rows: logits(rows, None), as_it_came)
        p_avg = fit(kind, odds(splits["calibration"]), correct)
        metrics["average token probability"] = rated(odds, p_avg)
    write_json(target, metrics)


def odds(rows: list[QueryExample]) -> np.ndarray:
    """Log-odds of the mean probability of the answer's own tokens; 0 for an empty answer."""
    return log_odds(np.array([np.exp(row.token_logprobs).mean() if row.token_logprobs else 0.0 for row in rows]))


def markdown(base: RunConfig) -> str:
    """One row a variant: value and 95% interval of its first seed, and the range over seeds where there are several."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for variant in VARIANTS:
        for seed in SEEDS.get(variant, (0,)):
            path = base.output_dir / f"{base.name}-{slug(variant)}-seed{seed}" / "scores.json"
            if path.is_file():
                for side, metrics in read_json(path, "this benchmark").items():
                    label = variant if side == "tuned" else f"{side}, {base.training.calibrator} scaling"
                    rows[label].append(metrics)
    lines = []
    for split, title in SPLIT_DESCRIPTIONS.items():
        lines += [f"\n{title}\n", "| | Brier | ECE | AUROC |", "|---|---:|---:|---:|"]
        for label, metrics in rows.items():
            cells = [cell([scores[split][metric] for scores in metrics]) for metric in SHOWN]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(seeds: list[dict[str, float]]) -> str:
    first = seeds[0]
    shown = f"{first['value']:.3f} [{first['low']:.3f}, {first['high']:.3f}]"
    other_seeds = ", ".join(f"{metric['value']:.3f}" for metric in seeds[1:])
    return shown + (f"; other seeds {other_seeds}" if other_seeds else "")


if __name__ == "__main__":
    typer.run(main)
