"""How often do 95% intervals of calibration errors hold the truth? python -m benchmarks interval_coverage

Draws confidences and labels from models whose true ECE is known, and counts how often the percentile bootstrap, the
basic bootstrap and `metrics.bootstrap.error_interval` cover it. Reports use ours. "Groups of 5": in every
second group all answers are decided by one draw, and all three resample groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from calibration_tuning.metrics.bootstrap import Interval, draws_of, error_interval, percentile_interval, units_of
from calibration_tuning.metrics.calibrated_labels import labels_if_calibrated
from calibration_tuning.metrics.calibration_error import bin_index, ece
from calibration_tuning.runs.progress import progress

Array = np.ndarray
RESAMPLES, LABEL_DRAWS = 300, 200
SEED = 1_000_000
"""Added for the resamples, which must not be drawn from the numbers that the data are."""
GROUP, TOGETHER = 5, 0.5


def spread(generator: np.random.Generator, n: int) -> Array:
    return generator.beta(1.5, 2.5, n)


def constant(generator: np.random.Generator, n: int) -> Array:
    return np.full(n, 0.37)


Truth = Callable[[Array], Array]
MODELS: dict[str, tuple[Callable[[np.random.Generator, int], Array], Truth, bool]] = {
    "calibrated": (spread, lambda p: p, False),
    "2 points too low": (spread, lambda p: np.clip(p + 0.02, 0, 1), False),
    "wavy": (spread, lambda p: np.clip(p + 0.05 * np.sin(6 * p), 0, 1), False),
    "overconfident": (spread, lambda p: 0.15 + 0.6 * p, False),
    "15 points too high": (spread, lambda p: np.clip(p - 0.15, 0, 1), False),
    "base rate": (constant, lambda p: p, False),
    "base rate, 2 points off": (constant, lambda p: p + 0.02, False),
    "base rate, 5 points off": (constant, lambda p: p + 0.05, False),
    "calibrated, groups of 5": (spread, lambda p: p, True),
    "overconfident, groups of 5": (spread, lambda p: 0.15 + 0.6 * p, True),
    "15 points too high, groups of 5": (spread, lambda p: np.clip(p - 0.15, 0, 1), True),
}
"""How confidences are drawn, how often they come true, and whether in groups."""


def main(
    repeats: Annotated[int, typer.Option(help="Data sets drawn for each row.")] = 300,
    sizes: Annotated[list[int] | None, typer.Option("--n", help="Answers in a data set.")] = None,
    bins: Annotated[int, typer.Option(help="Bins of the ECE.")] = 10,
) -> None:
    counts = sizes or [200, 500]
    print("| truth | n | ECE | percentile | basic | ours | width, ours |\n|---|---:|---:|---:|---:|---:|---:|")
    with progress(len(MODELS) * len(counts) * repeats, "covering", "data sets") as bar:
        for name, (draw, truth, grouped) in MODELS.items():
            population = draw(np.random.default_rng(1), 400_000)
            gaps = np.bincount(bin_index(population, bins), weights=truth(population) - population)
            true_ece = np.abs(gaps).sum() / len(population)
            for n in counts:
                covered = np.zeros(3)
                width = 0.0
                for seed in range(repeats):
                    intervals = intervals_of(draw, truth, grouped, n, seed, bins)
                    covered += [low <= true_ece <= high for low, high in intervals]
                    width += intervals[-1][1] - intervals[-1][0]
                    bar.update(1)
                cells = " | ".join(f"{share:.2f}" for share in covered / repeats)
                print(f"| {name} | {n} | {true_ece:.3f} | {cells} | {width / repeats:.3f} |", flush=True)


def intervals_of(
    draw: Callable[[np.random.Generator, int], Array], truth: Truth, grouped: bool, n: int, seed: int, bins: int
) -> list[tuple[float, float]]:
    """(low, high) of the percentile bootstrap, the basic one, and ours, of one data set."""
    generator = np.random.default_rng(seed)
    p = draw(generator, n)
    groups = np.arange(n) // GROUP if grouped else np.arange(n)
    size = groups.max() + 1
    together = (generator.random(size) < TOGETHER)[groups] & grouped
    chance = np.where(together, generator.random(size)[groups], generator.random(n))
    y = (chance < truth(p)).astype(np.float64)
    value = ece(p, y, bins) or 0.0
    units = groups if grouped else n
    draws = draws_of(lambda i: {"ece": ece(p[i], y[i], bins)}, units, RESAMPLES, SEED + seed)["ece"]
    null = [ece(p, labels, bins) or 0.0 for labels in labels_if_calibrated(p, y, units, LABEL_DRAWS, SEED + seed)]
    low, high = ends(percentile_interval(value, draws))
    basic = (max(0.0, 2 * value - high), max(0.0, 2 * value - low))
    return [(low, high), basic, ends(error_interval(value, draws, null, largest=1.0, units=units_of(units)))]


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


if __name__ == "__main__":
    typer.run(main)
