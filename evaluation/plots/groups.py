"""Subjects, question sets and confidences side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from calibration_tuning.metrics.plots.theme import AFTER, BEFORE, LINE, MUTED, TEXT, error_bars, figure, themed

LONGEST = 30


def plot_subjects(subjects: dict[str, Any]) -> Figure:
    """Accuracy of each subject, and the mean confidence before and after; the largest gaps on top."""
    rated = {name: entry for name, entry in subjects["table"].items() if "after" in entry}
    names = sorted(rated, key=lambda name: abs(rated[name]["after"]["gap"]["value"]))[-LONGEST:]
    with themed():
        drawn = figure(7.2, 1.4 + 0.34 * len(names))
        axes = drawn.subplots()
        y = np.arange(len(names))
        axes.barh(y, [rated[n]["accuracy"] for n in names], color=LINE, label="answers that are correct")
        for side, colour, marker in (("before", BEFORE, "x"), ("after", AFTER, "o")):
            means = [rated[n][side]["mean_confidence"]["value"] for n in names]
            axes.scatter(means, y, color=colour, marker=marker, label=f"confidence {side}", zorder=3)
        axes.set_yticks(y, [f"{name} ({rated[name]['n']})" for name in names])
        axes.set(xlim=(0, 1))
        drawn.legend(loc="outside upper center", ncols=3)
    return drawn


def plot_estimators(table: dict[str, Any]) -> Figure:
    """Calibrated Brier score of every confidence with its interval, before and after."""
    rows = [
        (entry["label"], state, side["calibrated"]["brier"])
        for entry in table.values()
        for state, side in entry["states"].items()
        if "calibrated" in side
    ]
    labels = sorted(
        {row[0] for row in rows}, key=lambda label: -min(b["value"] for name, _, b in rows if name == label)
    )
    with themed():
        drawn = figure(7.2, 1.4 + 0.38 * len(labels))
        axes = drawn.subplots()
        for state, colour, shift in (("before", BEFORE, 0.14), ("after", AFTER, -0.14)):
            own = [brier for _, at, brier in rows if at == state]
            y = [labels.index(name) + shift for name, at, _ in rows if at == state]
            values = [brier["value"] for brier in own]
            axes.errorbar(values, y, xerr=error_bars(own), fmt="o", color=colour, capsize=3, label=state)
        axes.set_yticks(np.arange(len(labels)), labels)
        axes.grid(axis="x", color=LINE, linewidth=0.6)
        axes.set(xlabel="Brier score, calibrated on the calibration split (lower is better)")
        drawn.legend(loc="outside upper center", ncols=2)
    return drawn


def plot_shift(sources: dict[str, Any]) -> Figure:
    """AUROC of every confidence (rows) on every question set (columns); sets never trained on stand on the right."""
    names = sorted((n for n in sources if "estimators" in sources[n]), key=lambda n: (not sources[n]["in_domain"], n))
    sides = sorted({side for name in names for side in sources[name]["estimators"]})
    values = np.full((len(sides), len(names)), np.nan)
    for column, name in enumerate(names):
        for row, side in enumerate(sides):
            entry = sources[name]["estimators"].get(side)
            if entry and entry["auroc"]["value"] is not None:
                values[row, column] = entry["auroc"]["value"]
    with themed():
        drawn = figure(max(5.0, 2.6 + 1.0 * len(names)), 1.6 + 0.32 * len(sides))
        axes = drawn.subplots()
        axes.imshow(values, cmap="RdYlGn", vmin=0.2, vmax=1.0, aspect="auto", alpha=0.75)
        for row, column in np.argwhere(~np.isnan(values)):
            text = f"{values[row, column]:.2f}"
            axes.text(column, row, text, ha="center", va="center", color="#000000", fontsize=9)
        marks = [name if sources[name]["in_domain"] else f"{name}\n(never trained on)" for name in names]
        axes.set_xticks(np.arange(len(names)), marks, rotation=30, ha="right")
        axes.set_yticks(np.arange(len(sides)), [side.replace("_", " ").replace("/", ", ") for side in sides])
        axes.tick_params(color=MUTED, labelcolor=TEXT)
    return drawn
