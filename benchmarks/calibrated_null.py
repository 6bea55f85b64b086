"""Is what chance alone makes of a calibration error known? python -m benchmarks calibrated_null

Draws data sets in which every probability is exactly right, and compares their ECE or Full-ECE with what
`if_calibrated` says of each: the mean of the one over the mean of the other (1 is right), and how often the error is
above the 97.5% point of the range (0.025 is right). ECE is of correctness 0 or 1 and of fractions; Full-ECE of rows
where two tokens have all of the probability, of peaked rows and of flat ones.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
import typer
from scipy.stats import beta

from calibration_tuning.metrics.bootstrap import Interval
from calibration_tuning.metrics.confidence import confidence_metrics
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.runs.progress import progress

N, GROUP, VOCABULARY, LEAST_RESAMPLES = 300, 5, 30, 100
SEED = 1_000_000
"""Added for the resamples, which must not be drawn from the numbers that the data are."""
FRACTIONS = {"0 or 1": 0.0, "F1-like": 12.0, "nearly constant": 100.0}
"""Concentration of the beta distribution that correctness has around the confidence."""
ROWS = ("two tokens", "peaked", "flat")


def main(repeats: Annotated[int, typer.Option(help="Data sets drawn for each row.")] = 300) -> None:
    print("| data | error | error / expected | above 97.5% |\n|---|---:|---:|---:|")
    cases = [(kind, grouped) for kind in FRACTIONS for grouped in (False, True)]
    with progress((len(cases) + len(ROWS)) * repeats, "drawing", "data sets") as bar:
        for kind, grouped in cases:
            drawn = [of_answers(FRACTIONS[kind], grouped, seed) for seed in range(repeats)]
            _print(f"correctness {kind}{', groups of 5' if grouped else ''}", drawn)
            bar.update(repeats)
        for kind in ROWS:
            _print(f"rows: {kind}", [of_tokens(kind, seed) for seed in range(repeats)])
            bar.update(repeats)


def of_answers(concentration: float, grouped: bool, seed: int) -> Interval:
    """ECE of 300 answers whose mean correctness is the confidence."""
    generator = np.random.default_rng(seed)
    p = generator.uniform(0.1, 0.9, N)
    groups = np.arange(N) // GROUP if grouped else np.arange(N)
    luck = generator.random(N)[groups]
    correct = beta.ppf(luck, concentration * p, concentration * (1 - p)) if concentration else (luck < p) * 1.0
    units = groups if grouped else None
    return confidence_metrics(p, correct, 10, SEED + seed, LEAST_RESAMPLES, units, ("ece",))["ece"]


def of_tokens(kind: str, seed: int) -> Interval:
    """Full-ECE of 300 tokens drawn from their rows."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(N, VOCABULARY, generator=generator) * 2
    if kind == "peaked":
        logits[:, 0] += 6
    if kind == "two tokens":
        p = 0.55 + 0.4 * torch.rand(N, generator=generator)
        logits = torch.stack([p, 1 - p], 1).log()
    targets = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)
    tokens = TokenCalibration()
    tokens.update(logits, targets, range(N))
    return tokens.compute_intervals(LEAST_RESAMPLES, SEED + seed)["full_ece"]


def _print(name: str, drawn: list[Interval]) -> None:
    values = np.array([entry.value for entry in drawn])
    expected = [entry.if_calibrated for entry in drawn if entry.if_calibrated is not None]
    ratio = values.mean() / np.mean([entry.value or 0.0 for entry in expected])
    above = np.mean([value > (entry.high or 0.0) for value, entry in zip(values, expected, strict=True)])
    print(f"| {name} | {values.mean():.3f} | {ratio:.2f} | {above:.3f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
