"""Percentile bootstrap over questions: one set of resamples serves every metric, so differences are paired."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Point = Mapping[str, float | None]
Interval = dict[str, float | None]
LEVEL = 0.95


def resamples(n: int, count: int, seed: int) -> Iterator[np.ndarray]:
    """`count` draws of n indices with replacement; the same n, count and seed give the same draws."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield generator.integers(0, n, n)


def intervals(metrics: Callable[[np.ndarray], Point], n: int, count: int, seed: int) -> dict[str, Interval]:
    """`{name: {"value", "low", "high"}}` of `metrics(indices)` over n questions, with 95% percentile intervals.

    A metric that is undefined (None) on the data has value, low and high None; resamples on which it is undefined
    are left out of its interval.
    """
    value = metrics(np.arange(n))
    draws = [metrics(indices) for indices in resamples(n, count, seed)]
    return {name: interval(value[name], [draw[name] for draw in draws]) for name in value}


def interval(value: float | None, draws: list[float | None]) -> Interval:
    kept = [draw for draw in draws if draw is not None]
    if value is None or not kept:
        return {"value": value, "low": None, "high": None}
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(kept, [tail, 100 - tail])
    return {"value": float(value), "low": float(low), "high": float(high)}


def difference(after: Point, before: Point) -> dict[str, Any]:
    return {
        name: None if before[name] is None or value is None else value - before[name]  # type: ignore[operator]
        for name, value in after.items()
        if name in before
    }
