"""Reliability diagrams: how often answers are correct against how sure the model was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binom, norm

from calibration_tuning.metrics.bootstrap import wilson
from calibration_tuning.metrics.calibrated_labels import labels_if_calibrated
from calibration_tuning.metrics.calibration_error import bin_index
from calibration_tuning.metrics.confidence import check
from calibration_tuning.metrics.plots.theme import AFTER, BEFORE, LINE, MUTED, figure, themed

COLOURS = {"before": BEFORE, "after": AFTER}
SIMULATED = 1000
"""Sets of labels that the band is of where answers come in groups."""
LEAST_JOINED = 10
"""Answers that a bin must have for the line to go through it."""
TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)
Values = np.ndarray | Sequence[float]


def reliability_diagram(confidence: Values, correct: Values, num_bins: int = 10, title: str = "") -> Figure:
    """A reliability diagram: how often answers are correct against how sure the model was, by equal-width bin.

    `confidence` [n] and `correct` [n] are in [0, 1]. Dots show accuracy against mean confidence with 95% Wilson
    intervals; on the diagonal, 70% sure means right 70% of the time. Grey bars show where a perfectly calibrated model
    lies 95 times in 100 (Bröcker and Smith 2007); the panel below counts answers. Returns a matplotlib figure, which
    `figure.savefig(path)` writes. Raises ValueError for lists of other shapes or values.
    """
    return plot_reliability({title: prepare_reliability(*check(confidence, correct, num_bins), num_bins)}, num_bins)


@dataclass(frozen=True)
class Reliability:
    """The non-empty bins of a diagram, [k] each: number of the bin, mean confidence, accuracy with its 95% Wilson
    interval (`low`, `high`), count of answers, and the band in which the accuracy of a perfectly calibrated model lies
    95 times in 100 (Bröcker and Smith 2007)."""

    bin: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    band_low: np.ndarray
    band_high: np.ndarray


def prepare_reliability(
    confidence: np.ndarray, correct: np.ndarray, num_bins: int, groups: np.ndarray | None = None
) -> Reliability:
    """What a diagram shows, from confidences [n] and correctness [n] in [0, 1].

    Answers of one group (labels [n]; each by itself where None) may be right or wrong together. The n answers of a bin
    then count as n^2 / sum of squared group sizes (Kish 1965) in Wilson's interval, and the band is of simulated
    labels, which are alike in groups as far as they are in the data (`labels_if_calibrated`).
    """
    index = bin_index(confidence, num_bins)
    units = np.arange(len(confidence)) if groups is None else np.unique(groups, return_inverse=True)[1]
    grouped = units.max() + 1 < len(units)
    drawn = labels_if_calibrated(confidence, correct, units, SIMULATED, seed=0) if grouped else ()
    hits_if_calibrated = np.array([np.bincount(index, labels, num_bins) for labels in drawn])
    fractions = bool(((correct > 0) & (correct < 1)).any())
    rows = []
    for m in np.unique(index):
        in_bin = index == m
        n, hits, mean = int(in_bin.sum()), float(correct[in_bin].sum()), float(confidence[in_bin].mean())
        share, variance = hits / n, float(correct[in_bin].var())
        independent = n**2 / float((np.bincount(units[in_bin]) ** 2).sum())
        low, high = wilson(share, independent)
        band = [float(binom.ppf(q, n, mean)) / n for q in (0.025, 0.975)]
        if fractions and variance > 0:  # which vary less than 0 and 1: as many trials as have their variance
            low, high = wilson(share, independent * share * (1 - share) / variance)
            band = [float(np.clip(norm.ppf(q, mean, np.sqrt(variance / n)), 0, 1)) for q in (0.025, 0.975)]
        if grouped:
            band = np.quantile(hits_if_calibrated[:, m] / n, (0.025, 0.975)).clip(0, 1).tolist()
        rows.append((m, mean, share, low, high, n, *band))
    return Reliability(*(np.array(column) for column in zip(*rows, strict=True)))


def plot_reliability(sides: dict[str, Reliability], num_bins: int) -> Figure:
    """One panel for each side, by title: accuracy against confidence with intervals, and the answers in each bin."""
    tallest = max(side.count.max() for side in sides.values())
    with themed():
        drawn = figure(3.7 * len(sides), 4.3)
        grid = drawn.subplots(2, len(sides), height_ratios=[4, 1], sharex=True, squeeze=False)
        for (title, side), top, bottom in zip(sides.items(), grid[0], grid[1], strict=True):
            colour, middle = COLOURS.get(title, AFTER), (side.bin + 0.5) / num_bins
            # A bar a bin: between bins nothing is known, and a band across them would say otherwise.
            band = side.band_high - side.band_low
            top.bar(middle, band, 0.96 / num_bins, side.band_low, color=LINE, label="if perfectly calibrated")
            top.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
            error = np.stack([side.accuracy - side.low, side.high - side.accuracy])
            look: Any = {"fmt": "o", "color": colour, "capsize": 3, "label": "this model"}
            top.errorbar(side.confidence, side.accuracy, yerr=error, **look)
            # A bin of a few answers lies anywhere: its dot is hollow, and no line leads there.
            full, line = side.count >= LEAST_JOINED, np.full((2, num_bins), np.nan)
            line[:, side.bin[full]] = side.confidence[full], side.accuracy[full]
            top.plot(*line, color=colour)
            if not full.all():
                hollow: Any = {"color": colour, "markerfacecolor": "white", "zorder": 3}
                label = f"this model, under {LEAST_JOINED} answers"
                top.plot(side.confidence[~full], side.accuracy[~full], "o", label=label, **hollow)
            top.set(title=title, xlim=(0, 1), ylim=(0, 1), ylabel="share of answers that are correct")
            top.set_yticks(TICKS)
            bottom.set_xticks(TICKS)
            top.legend(loc="upper left")
            bottom.bar(middle, side.count, 0.96 / num_bins, color=colour, alpha=0.6)
            bottom.set(xlabel="confidence", ylabel="answers", ylim=(0, tallest * 1.1))
    return drawn
