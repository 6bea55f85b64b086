"""Token-level calibration: Full-ECE by bin, and the temperature scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from calibration_tuning.metrics.plots.theme import AFTER, BEFORE, MUTED, figure, themed
from evaluation.schema import State, TemperatureScan, TokenComparison

SIDES: tuple[tuple[State, str], ...] = (("before", BEFORE), ("after", AFTER))


def plot_full_ece(tokens: TokenComparison) -> Figure:
    """(realised - predicted) / N of every bin; the heights add up, sign aside, to Full-ECE."""
    with themed():
        drawn = figure(7.2, 3.6)
        axes = drawn.subplots()
        before = tokens.bins["before"]
        places = np.arange(len(before.low))
        for (name, colour), shift in zip(SIDES, (-0.2, 0.2), strict=True):
            gap = np.array(tokens.bins[name].realised) - np.array(tokens.bins[name].predicted)
            axes.bar(places + shift, gap / tokens.n, width=0.4, color=colour, label=name)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        ends = zip(before.low, before.high, strict=True)
        digits = 1 if len(places) == 10 else 2
        axes.set_xticks(places, [f"{low:.{digits}f}\n-{high:.{digits}f}" for low, high in ends])
        axes.set(xlabel="probability of a token", ylabel="realised - predicted,\nper position")
        axes.legend()
    return drawn


def plot_temperature(temperature: dict[State, TemperatureScan]) -> Figure:
    """NLL and Full-ECE of the test split's reference tokens by temperature, the one found on calibration marked."""
    with themed():
        drawn = figure(7.2, 3.4)
        left, right = drawn.subplots(1, 2)
        for axes, metric, label in ((left, "nll", "token NLL (nats)"), (right, "full_ece", "Full-ECE")):
            for name, colour in SIDES:
                scan: dict[str, Any] = temperature[name].scan
                axes.plot(scan["temperature"], scan[metric], color=colour, label=name)
                axes.axvline(temperature[name].temperature, color=colour, linestyle=":", linewidth=1)
            axes.axvline(1.0, color=MUTED, linewidth=0.8)
            axes.set(xlabel="temperature", ylabel=label)
        left.legend()
    return drawn
