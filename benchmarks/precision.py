"""python -m benchmarks precision: confidences and metrics of a tuned checkpoint in bfloat16 against float32.

The model is loaded once a precision and asked the same test questions in the same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.paired import machine, markdown
from calibration_tuning.checkpoint import read_record
from calibration_tuning.command_line import quiet_libraries
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.metrics.confidence import point_metrics
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.records import GradedAnswer
from evaluation.passes import PASSES
from evaluation.passes.base import BOTH, unpack
from evaluation.run_passes import build_context, units

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SHOWN = ("brier", "ece", "auroc")
OF_TOKENS = ("full_ece", "vocabulary_brier", "nll")


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a run with its config.yaml.")] = Path("runs/demo"),
) -> None:
    quiet_libraries()
    config = load_run_config(run / "config.yaml", [])
    curated = CuratedSet.read(config.curation_dir)
    rows = curated.split("test")
    by_precision = {name: measured_in(config, curated, rows, dtype) for name, dtype in PRECISIONS.items()}
    print(f"{machine('transformers', 'peft')}; n = {len(rows)}\n")
    table = []
    for state in BOTH:
        first, second = (by_precision[name][state] for name in PRECISIONS)
        table += [
            [f"{name}, {state}", *map(shown, (first[name], second[name], second[name] - first[name]))]
            for name in first
            if name != "confidence" and None not in (first[name], second[name])
        ]
        gap = np.abs(first["confidence"] - second["confidence"])
        print(
            f"confidence, {state}: off by {gap.mean():.4f} on average, {np.quantile(gap, 0.99):.4f} at the 99th "
            f"percentile, {gap.max():.4f} at most"
        )
    print(f"\n{markdown(['', *PRECISIONS, 'difference'], table)}")


def shown(value: float) -> str:
    return f"{value:.4f}"


def measured_in(
    config: RunConfig, curated: CuratedSet, rows: Sequence[GradedAnswer], dtype: torch.dtype
) -> dict[str, dict[str, Any]]:
    """By state: `confidence` [n], calibrated where tuned, and metrics."""
    context = build_context(config, curated, read_record(config.checkpoint_dir))
    context.checkpoint.model.to(dtype)
    logits = {state: np.zeros(len(rows)) for state in BOTH}
    tokens = {state: TokenCalibration(config.evaluation.num_bins) for state in BOTH}
    place = {row.id: number for number, row in enumerate(rows)}
    for unit in units(context, {"query": rows, "tokens": rows}):
        block = PASSES[unit.name].block(context.few_shot, unit.rows[0])
        with torch.no_grad(), context.in_state(unit.state):
            values = PASSES[unit.name].measure(context, unit.rows, unit.state, block)
        for row, value in zip(unit.rows, values, strict=True):
            if unit.name == "query":
                logits[unit.state][place[row.id]] = value["logit"]
            else:
                sums = {place[row.id]: unpack(value["tokens"]["equal_width"])}
                tokens[unit.state].merge(tokens[unit.state].restored(value["vocabulary"], sums))
    correct = np.array([row.correct for row in rows])
    by_state: dict[str, dict[str, Any]] = {}
    for state in BOTH:
        calibrator = context.checkpoint.record.calibrator
        confidence = calibrator(logits[state]) if state == "after" else 1 / (1 + np.exp(-logits[state]))
        metrics, of_tokens = point_metrics(confidence, correct), tokens[state].compute()
        by_state[state] = {"confidence": confidence, **{name: metrics[name] for name in SHOWN}}
        by_state[state] |= {name: of_tokens[name] for name in OF_TOKENS}
    return by_state


if __name__ == "__main__":
    typer.run(main)
