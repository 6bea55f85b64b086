"""The probe of many wide states, on principal components and on all of the states: python -m benchmarks readout_fit

The states are made up: a thousand directions of falling size, of which forty tell right from wrong a little, and noise.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import numpy as np
import typer
from sklearn.metrics import roc_auc_score

from benchmarks.paired import machine, paired, table
from calibration_tuning.readout import states
from calibration_tuning.readout.states import StateProbe, fit_probe

Array = np.ndarray
DIRECTIONS, TELLING, HELD_OUT = 1000, 40, 1000
WAYS = {"on principal components": 0, "on all of the states": 10**9}
"""Widths from which on principal components are taken."""


def main(
    answers: Annotated[int, typer.Option(help="Training answers.")] = 10_000,
    width: Annotated[int, typer.Option(help="Of three layers' states: 12,288 of a 7B model.")] = 12_288,
    pairs: Annotated[int, typer.Option(help="Times that each way runs.")] = 3,
    plain: Annotated[bool, typer.Option(help="Time the fit on all of the states too; minutes for wide ones.")] = True,
) -> None:
    print(f"{machine('numpy', 'scikit-learn')}; {answers:,} answers, states of {width:,} numbers\n")
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(DIRECTIONS, width)).astype(np.float32)
    train, right = _made(draw, directions, answers)
    held_out, truth = _made(draw, directions, HELD_OUT)
    probes: dict[str, StateProbe | None] = {}

    def fit(name: str) -> None:
        states.WIDE = WAYS[name]
        probes[name] = fit_probe(train, right.astype(float), np.arange(answers) // 2, held_out)

    ways = [name for name in WAYS if plain or not WAYS[name]]
    timings = paired({name: partial(fit, name) for name in ways}, pairs, with_memory=False)
    auroc = {name: f"{roc_auc_score(truth, probe.logit(held_out)):.3f}" for name, probe in probes.items() if probe}
    print(table(timings, ways[0], **{"AUROC on 1,000 others": auroc}))


def _made(draw: np.random.Generator, directions: Array, n: int) -> tuple[Array, Array]:
    """States [n, width] and whether each answer is right."""
    right = draw.random(n) < 0.5
    inner = draw.normal(size=(n, DIRECTIONS)).astype(np.float32)
    inner[:, :TELLING] += 0.12 * (2 * right[:, None] - 1)
    sizes = np.arange(1, DIRECTIONS + 1, dtype=np.float32) ** -0.7
    return (inner * sizes) @ directions + 0.3 * draw.normal(size=(n, directions.shape[1])).astype(np.float32), right


if __name__ == "__main__":
    typer.run(main)
