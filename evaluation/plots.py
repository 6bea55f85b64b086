"""Plots of the report: `prepare_*` returns the data, `plot_*` draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from evaluation.confidence_metrics import bin_index

mpl.use("Agg")
BLUE, GREY, RED = "#2563eb", "#64748b", "#dc2626"


@dataclass(frozen=True)
class Reliability:
    """Per non-empty bin: mean confidence, accuracy with its 95% Wilson interval, and count."""

    confidence: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


def prepare_reliability(confidence: np.ndarray, correct: np.ndarray, num_bins: int) -> Reliability:
    index = bin_index(confidence, num_bins)
    rows = []
    for m in np.unique(index):
        own = index == m
        n, hits = int(own.sum()), float(correct[own].sum())
        ci = binomtest(round(hits), n).proportion_ci(method="wilson")
        rows.append((confidence[own].mean(), hits / n, ci.low, ci.high, n))
    return Reliability(*(np.array(column) for column in zip(*rows, strict=True)))


def plot_reliability(sides: dict[str, Reliability], num_bins: int) -> Figure:
    """One panel a side: accuracy against confidence with intervals, and how many answers each bin holds."""
    figure = Figure(figsize=(4.6 * len(sides), 5.2), layout="constrained")
    grid = figure.subplots(2, len(sides), height_ratios=[4, 1], sharex=True, squeeze=False)
    tallest = max(side.count.max() for side in sides.values())
    for (title, side), top, bottom in zip(sides.items(), grid[0], grid[1], strict=True):
        top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
        error = np.abs(np.stack([side.accuracy - side.low, side.high - side.accuracy]))
        top.errorbar(side.confidence, side.accuracy, yerr=error, fmt="o-", color=BLUE, capsize=3, label="model")
        top.set(title=title, xlim=(0, 1), ylim=(0, 1), ylabel="answers that are correct", aspect="equal")
        top.legend(loc="upper left", frameon=False)
        bottom.bar(side.confidence, side.count, width=0.8 / num_bins, color=BLUE, alpha=0.6)
        bottom.set(xlabel="confidence", ylabel="answers", ylim=(0, tallest * 1.1))
    return figure


def plot_full_ece(before: np.ndarray, after: np.ndarray, n: int, title: str) -> Figure:
    """Full-ECE by bin: |realised - probability| summed over all (position, token) pairs of the bin, over N."""
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    axes = figure.subplots()
    bins = np.arange(len(before))
    for values, offset, colour, label in ((before, -0.2, GREY, "before"), (after, 0.2, BLUE, "after")):
        axes.bar(bins + offset, values / n, width=0.4, color=colour, label=label)
    labels = [f"{m / len(bins):.1f}-{(m + 1) / len(bins):.1f}" for m in bins]
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xticks(bins, labels)
    axes.set(title=title, xlabel="token probability", ylabel="realised - predicted, per position")
    axes.legend(frameon=False)
    return figure


def plot_topics(topics: dict[str, Any]) -> Figure:
    """Accuracy of each topic against the mean confidence before and after."""
    names = sorted(topics, key=lambda name: topics[name]["accuracy"])
    figure = Figure(figsize=(9.2, 1.6 + 0.36 * len(names)), layout="constrained")
    axes = figure.subplots()
    y = np.arange(len(names))
    axes.barh(y, [topics[n]["accuracy"] for n in names], color="#cbd5e1", label="answers that are correct")
    axes.scatter([topics[n]["confidence_before"] for n in names], y, color=RED, marker="x", label="confidence before")
    axes.scatter([topics[n]["confidence_after"] for n in names], y, color=BLUE, label="confidence after")
    axes.set_yticks(y, [f"{n} ({topics[n]['n']})" for n in names])
    axes.set(xlim=(0, 1))
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    return figure
