"""Metrics on all resamples at once, against the plain functions on one resample after the other."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from calibration_tuning.metrics import draws
from calibration_tuning.metrics.bootstrap import resampled_weights, resamples
from calibration_tuning.metrics.calibrated_labels import labels_if_calibrated
from calibration_tuning.metrics.confidence import METRICS, confidence_metrics, point_metrics
from calibration_tuning.metrics.draws import Resamples, in_blocks

COUNT, COUNT_OF_SLOW = 15, 4
"""Resamples; fewer where relplot takes a quarter of a second for one."""
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _data(n: int, confidence: Callable[[np.random.Generator], np.ndarray], fractions: bool = False) -> Data:
    """Confidences, correctness, groups and subjects."""
    generator = np.random.default_rng(n)
    p = np.clip(confidence(generator), 0, 1)
    c = generator.integers(0, 4, n) / 3 if fractions else (generator.random(n) < p).astype(float)
    return p, c, generator.integers(0, max(2, n // 2), n), generator.integers(0, 3, n)


KINDS: dict[str, Data] = {
    "all different": _data(200, lambda g: g.random(200)),
    "ties": _data(60, lambda g: g.integers(0, 11, 60) / 10),
    "one confidence": _data(25, lambda g: np.full(25, 0.5)),
    "0 and 1": _data(30, lambda g: g.integers(0, 2, 30).astype(float)),
    "fractions": _data(50, lambda g: g.random(50).round(2), fractions=True),
    "few": _data(12, lambda g: g.random(12)),
    "fewer than bins": _data(6, lambda g: g.random(6)),
    "all correct": (np.linspace(0.1, 0.9, 20), np.ones(20), np.arange(20), np.arange(20) % 2),
    "all wrong": (np.linspace(0.1, 0.9, 20), np.zeros(20), np.arange(20), np.zeros(20)),
    "one of another class": (np.linspace(0, 1, 20), np.r_[np.zeros(19), 1.0], np.arange(20), np.arange(20) % 2),
    "equal fractions": (np.linspace(0, 1, 20), np.full(20, 0.3), np.arange(20), np.arange(20) % 2),
}


def _at_once(name: str, blocks: list[Resamples]) -> np.ndarray:
    return np.concatenate([METRICS[name].on_draws(block) for block in blocks])


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cells", [1, draws.CELLS])
def test_resamples_at_once_are_those_one_by_one(
    name: str, kind: str, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "equal fractions" and name == "prr":
        pytest.skip("0 / 0 but for rounding; undefined on the data themselves")
    monkeypatch.setattr(draws, "CELLS", cells)
    p, c, groups, subjects = KINDS[kind]
    for units in (len(p), groups):
        one_by_one = [point_metrics(p[i], c[i], 10, [name], subjects[i])[name] for i in resamples(units, COUNT, seed=3)]
        weights = resampled_weights(units, COUNT, seed=3)
        blocks = [*in_blocks(weights, lambda rows: Resamples(p, c, rows, 10, subjects))]
        assert _at_once(name, blocks) == pytest.approx(np.array(one_by_one, dtype=float), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].calibration_error])
@pytest.mark.parametrize("kind", KINDS)
def test_simulated_labels_at_once_are_those_one_by_one(name: str, kind: str) -> None:
    p, c, groups, _ = KINDS[kind]
    count = COUNT_OF_SLOW if name == "smooth_ece" else COUNT
    labels = [*labels_if_calibrated(p, c, groups, count, seed=1)]
    one_by_one = [point_metrics(p, drawn, 10, [name])[name] for drawn in labels]
    blocks = [*in_blocks(labels, lambda rows: Resamples(p, rows, np.ones_like(rows), 10))]
    assert _at_once(name, blocks) == pytest.approx(np.array(one_by_one, dtype=float), abs=1e-12, nan_ok=True)


def test_smooth_ece_at_once_is_relplots_at_every_bandwidth() -> None:
    # Well calibrated confidences of many answers have an error, and so a bandwidth, below 0.01, where grids grow.
    p, c, *_ = _data(20_000, lambda g: g.random(20_000))
    for confidence in (p, p**4, np.round(p)):
        block = next(in_blocks(resampled_weights(len(p), 2, seed=3), lambda rows, p=confidence: Resamples(p, c, rows)))
        one_by_one = [METRICS["smooth_ece"].compute(confidence[i], c[i], 10) for i in resamples(len(p), 2, seed=3)]
        assert METRICS["smooth_ece"].on_draws(block) == pytest.approx(np.array(one_by_one), abs=1e-12)


@pytest.mark.slow
def test_smooth_ece_of_an_error_near_0_takes_little_memory() -> None:
    """The bandwidth is near 0.001 then, and a grid has ten thousand points."""
    p = np.repeat([0.0, 1.0], 30)
    tracemalloc.start()
    found = confidence_metrics(p, p, bootstrap_samples=1000, only=("smooth_ece",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["smooth_ece"].value == pytest.approx(0, abs=1e-3)
    assert peak < 100 * 2**20


@pytest.mark.parametrize("kind", ["all different", "ties", "fractions"])
def test_what_blocks_share_changes_no_number(kind: str) -> None:
    p, c, groups, subjects = KINDS[kind]
    weights = [*resampled_weights(groups, 3, seed=3)]
    shared: dict[str, Any] = {}
    for name, metric in METRICS.items():
        for row in weights:
            alone = metric.on_draws(Resamples(p, c, row[None], 10, subjects))
            after_others = metric.on_draws(Resamples(p, c, row[None], 10, subjects, shared))
            assert (alone == after_others).all() or np.isnan(alone).all(), name


def test_answers_are_put_into_bins_once_for_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many answers a block is one resample."""
    monkeypatch.setattr(draws, "CELLS", 1)
    count = Mock(wraps=draws.bin_index)
    monkeypatch.setattr(draws, "bin_index", count)
    p, c, *_ = KINDS["all different"]
    confidence_metrics(p, c, bootstrap_samples=100, only=("ece", "ace", "brier_reliability"))
    assert count.call_count == 2, "for resamples, and for simulated labels"


def test_blocks_hold_all_rows_in_order() -> None:
    rows = np.arange(5 * (draws.CELLS // 2)).reshape(5, -1).astype(float)
    blocks = [*in_blocks(rows, lambda part: Resamples(rows[0], rows[0], part))]
    assert [len(block.weight) for block in blocks] == [2, 2, 1]
    assert (np.concatenate([block.weight for block in blocks]) == rows).all()
