"""Subjects, question sets and confidences side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from calibration_tuning.metrics.plots.theme import AFTER, BEFORE, LINE, MUTED, TEXT, error_bars, figure, themed
from evaluation.schema import EstimatorRow, SourceRow, Subjects

LONGEST = 30


def plot_subjects(subjects: Subjects) -> Figure:
    """Accuracy of each subject, and the mean confidence before and after; the largest gaps on top."""
    rated = {name: (row, row.before, row.after) for name, row in subjects.table.items() if row.before and row.after}
    names = sorted(rated, key=lambda name: abs(rated[name][2]["gap"].value or 0.0))[-LONGEST:]
    with themed():
        drawn = figure(7.2, 1.4 + 0.34 * len(names))
        axes = drawn.subplots()
        y = np.arange(len(names))
        axes.barh(y, [rated[name][0].accuracy for name in names], color=LINE, label="answers that are correct")
        for position, side, colour, marker in ((1, "before", BEFORE, "x"), (2, "after", AFTER, "o")):
            means: list[Any] = [rated[name][position]["mean_confidence"].value for name in names]  # type: ignore[index]
            axes.scatter(means, y, color=colour, marker=marker, label=f"confidence {side}", zorder=3)
        axes.set_yticks(y, [f"{name} ({rated[name][0].n})" for name in names])
        axes.set(
            xlim=(0, 1), xlabel="share of answers that are correct, and mean confidence", ylabel="subject (questions)"
        )
        drawn.legend(loc="outside upper center", ncols=3)
    return drawn


def plot_estimators(table: dict[str, EstimatorRow]) -> Figure:
    """Calibrated Brier score of every confidence with its interval, before and after."""
    rows = [
        (row.label, state, side.calibrated["brier"])
        for row in table.values()
        for state, side in row.states.items()
        if side.calibrated
    ]
    best = {label: min(brier.value or 0.0 for name, _, brier in rows if name == label) for label, _, _ in rows}
    labels = sorted(best, key=lambda label: -best[label])
    with themed():
        drawn = figure(7.2, 1.4 + 0.38 * len(labels))
        axes = drawn.subplots()
        for state, colour, shift in (("before", BEFORE, 0.14), ("after", AFTER, -0.14)):
            entries = [brier for _, at, brier in rows if at == state]
            y = [labels.index(name) + shift for name, at, _ in rows if at == state]
            values: list[Any] = [brier.value for brier in entries]
            axes.errorbar(values, y, xerr=error_bars(entries), fmt="o", color=colour, capsize=3, label=state)
        axes.set_yticks(np.arange(len(labels)), labels)
        axes.grid(axis="x", color=LINE, linewidth=0.6)
        axes.set(xlabel="Brier score, calibrated on the calibration split (lower is better)")
        drawn.legend(loc="outside upper center", ncols=2)
    return drawn


def plot_shift(sources: dict[str, SourceRow], name_of: Callable[[str], str]) -> Figure:
    """AUROC of every confidence (rows) on every question set (columns); sets never trained on stand on the right."""
    by_source = {name: row.estimators for name, row in sources.items() if row.estimators}
    names = sorted(by_source, key=lambda name: (not sources[name].in_domain, name))
    sides = sorted({side for table in by_source.values() for side in table})
    values = np.full((len(sides), len(names)), np.nan)
    for column, name in enumerate(names):
        for row, side in enumerate(sides):
            numbers = by_source[name].get(side)
            auroc = numbers["auroc"].value if numbers else None
            values[row, column] = np.nan if auroc is None else auroc
    with themed():
        drawn = figure(max(5.0, 2.6 + 1.0 * len(names)), 1.6 + 0.32 * len(sides))
        axes = drawn.subplots()
        shades = axes.imshow(values, cmap="RdYlGn", vmin=0.2, vmax=1.0, aspect="auto", alpha=0.75)
        for row, column in np.argwhere(~np.isnan(values)):
            text = f"{values[row, column]:.2f}"
            axes.text(column, row, text, ha="center", va="center", color="#000000", fontsize=9)
        marks = [name if sources[name].in_domain else f"{name}\n(never trained on)" for name in names]
        axes.set_xticks(np.arange(len(names)), marks, rotation=30, ha="right")
        axes.set_yticks(np.arange(len(sides)), [name_of(side) for side in sides])
        axes.set(xlabel="question set", ylabel="confidence, model")
        drawn.colorbar(shades, ax=axes, label="AUROC (0.5 is chance)")
        axes.tick_params(color=MUTED, labelcolor=TEXT)
    return drawn
