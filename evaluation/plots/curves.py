"""Curves: errors against questions answered, and accuracy and calibration against tokens spent."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from calibration_tuning.metrics.confidence import METRICS
from calibration_tuning.metrics.plots.theme import AFTER, BEFORE, GREEN, MUTED, error_bars, figure, themed
from evaluation.schema import Compute, Decisions, Numbers

LEAST_ANSWERS = 10


def plot_decisions(decisions: Decisions, n: int) -> Figure:
    """Error rate among the most confident of n answers against the share of questions answered; the share of fewer
    than ten answers is chance, and not drawn."""
    with themed():
        drawn = figure(7.2, 3.8)
        axes = drawn.subplots()
        sides = (("before", BEFORE, "-"), ("after", AFTER, "-"), ("best_other", MUTED, "-"), ("perfect", GREEN, "--"))
        for name, colour, style in sides:
            if curve := decisions.curves.get(name):
                label = decisions.best_other if name == "best_other" else name
                drawn_from = sum(share * n < LEAST_ANSWERS for share in curve.coverage)
                shown = slice(min(drawn_from, len(curve.coverage) - 1), None)
                axes.plot(curve.coverage[shown], curve.risk[shown], color=colour, linestyle=style, label=label)
        axes.axhline(1 - decisions.accuracy, color=MUTED, linewidth=0.8)
        axes.annotate("all answers", (0.02, 1 - decisions.accuracy), xytext=(0, 3), textcoords="offset points")
        axes.set(xlabel="share of questions answered, most confident first", ylabel="answers that are wrong")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="lower right")
    return drawn


def plot_compute(curves: Compute) -> Figure:
    """Accuracy and calibration against the tokens generated for an answer."""
    lines: list[tuple[str, list[tuple[float, Numbers]], str]] = []
    if curves.samples:
        lines.append(("majority of samples", [(p.tokens, p.vote_share) for p in curves.samples], AFTER))
    if curves.reasoning:
        lines.append(
            ("reasoning first, uncertainty query, after", [(p.tokens, p.query) for p in curves.reasoning], BEFORE)
        )
        points = [(p.tokens, p.token_probability) for p in curves.reasoning]
        lines.append(("reasoning first, average token probability", points, MUTED))
    spent = sorted({round(tokens) for _, points, _ in lines for tokens, _ in points})
    with themed():
        drawn = figure(7.2, 3.4)
        panels = zip(drawn.subplots(1, 3), ("accuracy", "brier", "ece"), strict=True)
        for axes, metric in panels:
            for label, points, colour in lines:
                defined = [(tokens, numbers[metric]) for tokens, numbers in points if numbers[metric].value is not None]
                x, entries = [tokens for tokens, _ in defined], [entry for _, entry in defined]
                y: list[Any] = [entry.value for entry in entries]
                axes.errorbar(x, y, yerr=error_bars(entries), fmt="o-", color=colour, capsize=2, label=label)
            axes.set(
                xlabel="tokens an answer",
                ylabel=metric if metric == "accuracy" else "",
                title=METRICS[metric].label.split(" of ")[0],
                xscale="log",
            )
            axes.minorticks_off()
            axes.set_xticks(spent, [str(tokens) for tokens in spent], fontsize=7)
        handles, labels = axes.get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)))
    return drawn
