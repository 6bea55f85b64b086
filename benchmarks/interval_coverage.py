"""How often do 95% intervals of calibration errors hold the truth? python -m benchmarks.interval_coverage

Draws confidences and labels from models whose true ECE is known, and counts how often the percentile bootstrap, the
basic bootstrap and `evaluation.bootstrap.error_interval` cover it. Ours is the one that reports use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from calibration_tuning.progress import progress
from evaluation.bootstrap import draws_of, error_interval, percentile_interval
from evaluation.calibration_error import bin_index, ece

Array = np.ndarray
BINS, RESAMPLES, LABEL_DRAWS = 10, 300, 200


def spread(generator: np.random.Generator, n: int) -> Array:
    return generator.beta(1.5, 2.5, n)


def constant(generator: np.random.Generator, n: int) -> Array:
    return np.full(n, 0.37)


MODELS: dict[str, tuple[Callable[[np.random.Generator, int], Array], Callable[[Array], Array]]] = {
    "calibrated": (spread, lambda p: p),
    "2 points too low": (spread, lambda p: np.clip(p + 0.02, 0, 1)),
    "wavy": (spread, lambda p: np.clip(p + 0.05 * np.sin(6 * p), 0, 1)),
    "overconfident": (spread, lambda p: 0.15 + 0.6 * p),
    "15 points too high": (spread, lambda p: np.clip(p - 0.15, 0, 1)),
    "base rate": (constant, lambda p: p),
    "base rate, 2 points off": (constant, lambda p: p + 0.02),
    "base rate, 5 points off": (constant, lambda p: p + 0.05),
}
"""How confidences are drawn, and how often they come true."""


def main(
    repeats: Annotated[int, typer.Option(help="Data sets drawn for each row.")] = 300,
    sizes: Annotated[list[int] | None, typer.Option("--n", help="Answers in a data set.")] = None,
) -> None:
    counts = sizes or [200, 500]
    print("| truth | n | ECE | percentile | basic | ours | width, ours |\n|---|---:|---:|---:|---:|---:|---:|")
    with progress(len(MODELS) * len(counts) * repeats, "covering", "data sets") as bar:
        for name, (draw, truth) in MODELS.items():
            many = draw(np.random.default_rng(1), 400_000)
            true_ece = np.abs(np.bincount(bin_index(many, BINS), weights=truth(many) - many)).sum() / len(many)
            for n in counts:
                held = np.zeros(3)
                width = 0.0
                for seed in range(repeats):
                    intervals = intervals_of(draw, truth, n, seed)
                    held += [low <= true_ece <= high for low, high in intervals]
                    width += intervals[-1][1] - intervals[-1][0]
                    bar.update(1)
                cells = " | ".join(f"{share:.2f}" for share in held / repeats)
                print(f"| {name} | {n} | {true_ece:.3f} | {cells} | {width / repeats:.3f} |", flush=True)


def intervals_of(
    draw: Callable[[np.random.Generator, int], Array], truth: Callable[[Array], Array], n: int, seed: int
) -> list[tuple[float, float]]:
    """(low, high) of the percentile bootstrap, the basic one, and ours, of one data set."""
    generator = np.random.default_rng(seed)
    p = draw(generator, n)
    y = (generator.random(n) < truth(p)).astype(np.float64)
    value = ece(p, y, BINS) or 0.0
    draws = draws_of(lambda i: {"ece": ece(p[i], y[i], BINS)}, n, RESAMPLES, seed)["ece"]
    null = [ece(p, (generator.random(n) < p).astype(np.float64), BINS) or 0.0 for _ in range(LABEL_DRAWS)]
    plain, ours = percentile_interval(value, draws), error_interval(value, draws, null, largest=1.0)
    basic = (max(0.0, 2 * value - plain["high"]), max(0.0, 2 * value - plain["low"]))
    return [(plain["low"], plain["high"]), basic, (ours["low"], ours["high"])]


if __name__ == "__main__":
    typer.run(main)
