"""The benchmarks' own measuring, and that the ways that are compared compute the same thing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import loaded_answers, token_metrics
from benchmarks.__main__ import BENCHMARKS, SPEED
from benchmarks.paired import STATUS, Measured, median_and_range, paired, ratios, table
from calibration_tuning.calibrated_model import CalibratedModel
from calibration_tuning.config.run import load_run_config
from calibration_tuning.curated_set import CuratedSet
from tests.forked import completed


def test_every_benchmark_is_there() -> None:
    assert all(importlib.util.find_spec(f"benchmarks.{name}") for name in BENCHMARKS)
    assert set(SPEED) <= set(BENCHMARKS)


def test_without_a_name_they_are_listed() -> None:
    for arguments, code in (([], 0), (["no_such"], 2)):
        command = [sys.executable, "-m", "benchmarks", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == code
        assert all(name in result.stdout for name in BENCHMARKS)


def test_ways_run_in_turn_after_a_warm_up() -> None:
    seen: list[str] = []
    ways = {name: lambda name=name: seen.append(name) for name in "ab"}  # type: ignore[misc]
    found = paired(ways, pairs=3, with_memory=False)
    assert "".join(seen) == "ab" + "ab" * 3
    assert [len(one.seconds) for one in found.values()] == [3, 3]


def test_ratios_are_pair_by_pair() -> None:
    found = {"slow": Measured([2.0, 30.0, 4.0]), "fast": Measured([1.0, 10.0, 1.0])}
    assert ratios(found, "slow", "fast") == [2, 3, 4]
    assert median_and_range([2, 4, 3]) == "3.00 (2.00 to 4.00)"
    assert "| slow | 4,000.0 | 3.00 (2.00 to 4.00) |" in table(found, "fast")


def test_a_slow_way_is_slower() -> None:
    found = paired({"slow": lambda: time.sleep(0.05), "fast": lambda: time.sleep(0.005)}, 3, with_memory=False)
    assert min(ratios(found, "slow", "fast")) > 2


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="the peak is read from /proc")
def test_peak_is_that_of_what_was_in_use_at_once() -> None:
    """In a process of its own, as benchmarks run: in one that ran a thousand tests, the heap keeps a freed tensor."""
    code = """
import torch
from benchmarks.paired import peak_bytes

for mebibytes in (16, 64):
    def run():
        for _ in range(8):  # one after the other
            torch.ones(mebibytes * 2**18)
    print(peak_bytes(run) / 2**20)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for peak, mebibytes in zip(map(float, result.stdout.split()), (16, 64), strict=True):
        assert 0.75 * mebibytes < peak < 2.5 * mebibytes  # the allocator may return a tensor's memory late


@pytest.mark.parametrize(
    ("way", "package"),
    [
        (token_metrics.ours, None),
        (token_metrics.plain, None),
        (token_metrics.naive, None),
        (token_metrics.by_torchmetrics, "torchmetrics"),
        (token_metrics.by_netcal, "netcal"),
        (token_metrics.by_pycalib, "pycalib"),
    ],
)
def test_all_ways_agree_where_float32_still_can(way: Callable[..., float], package: str | None) -> None:
    """On a small vocabulary; on a large one most of them are off, which the benchmark shows."""
    if package is not None:
        pytest.importorskip(package, reason=f"{package} is not installed")
    logits, targets = token_metrics.made(200, 50, torch.float32)
    assert way(logits, targets) == pytest.approx(token_metrics.plain(logits.double(), targets), abs=1e-5)


@pytest.mark.slow
def test_precision_compares_a_run_with_itself(tiny_run: Path) -> None:
    result = completed("benchmarks", "precision", tiny_run)
    assert result.returncode == 0, result.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines() if line[:1] == "|"]
    exact = {name: float(value) for name, value, *_ in rows[2:]}
    metrics = json.loads((tiny_run / "evaluation/metrics.json").read_text())
    assert exact["brier, after"] == pytest.approx(metrics["headline"]["test"]["after"]["brier"]["value"], abs=1e-4)


@pytest.mark.slow
def test_a_loaded_checkpoint_answers_as_curation_did_after_the_same_demonstrations(tiny_run: Path) -> None:
    config = load_run_config(tiny_run / "config.yaml", [])
    curated = CuratedSet.read(config.curation_dir)
    rows = curated.split("test")
    model = CalibratedModel.from_pretrained(tiny_run / "checkpoint")
    answers = loaded_answers.answered_by_kind(model, curated, rows)
    assert [answer.text for answer in answers] == [row.answer for row in rows]
    n, accuracy, *_ = loaded_answers.scores(config, rows, answers)
    assert n == str(len(rows))
    assert accuracy.startswith(f"{sum(row.correct for row in rows) / len(rows):.3f}")
