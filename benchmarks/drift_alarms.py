"""How often is `monitor`'s alarm false, and how soon does it see a shift? python -m benchmarks drift_alarms

Draws an evaluation of 500 answers and a stream of 2,000, and looks after every answer. In groups of five, all answers
of a group are the same, and there are five times as many of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from calibration_tuning.metrics.drift import Drift, calibration_drift
from calibration_tuning.runs.progress import progress

Array = np.ndarray
THEN, NOW = 500, 2000


@dataclass(frozen=True)
class Case:
    spread: tuple[float, float] = (2, 2)
    """Confidences are drawn from this beta distribution."""
    base: float = 0.0
    """How much more often than it says the model is right, at the evaluation."""
    shift: float = 0.0
    """How much is added to that since."""
    slope: float = 1.0
    """What the log-odds of the confidence are to be multiplied by since, to be right."""
    group: int = 1


CASES = {
    "no drift": Case(),
    "no drift, nearly all answers right": Case(spread=(20, 1)),
    "no drift, nearly all answers sure": Case(spread=(0.3, 0.3)),
    "no drift, 10 points off at the evaluation": Case(base=-0.1),
    "no drift, groups of 5": Case(group=5),
    "5 points lower": Case(shift=-0.05),
    "10 points lower": Case(shift=-0.1),
    "20 points lower": Case(shift=-0.2),
    "10 points lower, groups of 5": Case(shift=-0.1, group=5),
    "too sure at both ends (slope 0.5)": Case(slope=0.5),
}


def main(
    repeats: Annotated[int, typer.Option(min=1, help="Streams drawn for each row.")] = 200,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    print("| what happens | streams with an alarm | answers at the alarm, median |\n|---|---:|---:|")
    with progress(len(CASES) * repeats, "monitoring", "streams") as bar:
        for name, case in CASES.items():
            generator = np.random.default_rng(seed)
            alarms = []
            for _ in range(repeats):
                drift = stream(generator, case)
                alarms += [] if drift.alarm_at is None else [drift.alarm_at]
                bar.update(1)
            half = f"{np.median(alarms):,.0f}" if len(alarms) > repeats / 2 else ""
            print(f"| {name} | {len(alarms) / repeats:.1%} | {half} |", flush=True)


def stream(generator: np.random.Generator, case: Case) -> Drift:
    """An evaluation and what came after it, tested."""
    then = answers(generator, THEN, case, case.base)
    now = answers(generator, NOW, case, case.base + case.shift, case.slope)
    if case.group == 1:
        return calibration_drift(*now, then)
    now_groups, then_groups = (np.repeat(np.arange(n), case.group).tolist() for n in (NOW, THEN))
    now, then = ((np.repeat(p, case.group), np.repeat(c, case.group)) for p, c in (now, then))
    return calibration_drift(*now, then, now_groups, then_groups)


def answers(generator: np.random.Generator, n: int, case: Case, off: float, slope: float = 1.0) -> tuple[Array, Array]:
    p = np.clip(generator.beta(*case.spread, n), 1e-9, 1 - 1e-9)
    truth = np.clip(1 / (1 + ((1 - p) / p) ** slope) + off, 0, 1)
    return p, (generator.random(n) < truth).astype(np.float64)


if __name__ == "__main__":
    typer.run(main)
