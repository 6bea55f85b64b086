"""Intervals of every metric, all resamples at once against one after the other: python -m benchmarks intervals"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
import typer

from benchmarks.paired import machine, paired, table
from calibration_tuning.metrics.bootstrap import draws_of, resampled_weights
from calibration_tuning.metrics.confidence import MAIN, METRICS, point_metrics
from calibration_tuning.metrics.draws import Resamples, in_blocks

GROUPED = 1.15
"""Answers of each group."""
SUBJECTS = 6
NUM_BINS, SEED = 10, 0


def main(
    answers: Annotated[list[int], typer.Option(help="Numbers of answers.")] = [500, 5000],  # noqa: B006
    resamples: Annotated[int, typer.Option()] = 1000,
    pairs: Annotated[int, typer.Option(help="Times that each way runs.")] = 5,
) -> None:
    print(machine("numpy", "scipy"))
    without_smooth = tuple(name for name in METRICS if name != "smooth_ece")
    for n in answers:
        for title, names in (("those shown", MAIN), ("all but smooth ECE", without_smooth), ("smooth ECE", None)):
            ways = _ways(n, names or ("smooth_ece",), resamples)
            print(f"\n{title}, {n:,} answers, {resamples:,} resamples\n")
            print(table(paired(ways, pairs, with_memory=False), "at once"))


def _ways(n: int, names: tuple[str, ...], resamples: int) -> dict[str, Callable[[], object]]:
    generator = np.random.default_rng(SEED)
    p = generator.random(n)
    c = (generator.random(n) < p).astype(float)
    groups, subjects = generator.integers(0, int(n / GROUPED), n), generator.integers(0, SUBJECTS, n)

    def at_once() -> list[dict[str, np.ndarray]]:
        weights = resampled_weights(groups, resamples, SEED)
        blocks = in_blocks(weights, lambda rows: Resamples(p, c, rows, NUM_BINS, subjects))
        return [{name: METRICS[name].on_draws(block) for name in names} for block in blocks]

    def of(indices: np.ndarray) -> dict[str, float | None]:
        return point_metrics(p[indices], c[indices], NUM_BINS, names, subjects[indices])

    return {"at once": at_once, "one after the other": partial(draws_of, of, groups, resamples, SEED)}


if __name__ == "__main__":
    typer.run(main)
