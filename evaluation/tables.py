"""Before and after as rows: on the console, in the report, and one row per test question in parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.results import Evidence


@dataclass(frozen=True)
class Row:
    label: str
    before: str
    after: str
    difference: str
    verdict: str
    """better | worse | unclear (the paired interval holds zero) | "" (not a matter of better)."""


@dataclass(frozen=True)
class Metric:
    section: str
    name: str
    label: str
    better: int
    """-1 where lower is better, +1 where higher is, 0 where neither."""


SHOWN = [
    Metric("", "brier", "Brier score", -1),
    Metric("", "ece", "ECE", -1),
    Metric("", "ace", "ACE (equal mass)", -1),
    Metric("", "nll", "NLL (nats)", -1),
    Metric("", "auroc", "AUROC", 1),
    Metric("", "mean_confidence", "Mean confidence", 0),
    Metric("", "accuracy", "Accuracy of the answers", 0),
    Metric("tokens", "full_ece", "Full-ECE, reference-answer tokens", -1),
    Metric("tokens", "vocabulary_brier", "Vocabulary Brier, same tokens", -1),
    Metric("tokens", "nll", "NLL, same tokens (nats)", -1),
    Metric("query_tokens", "full_ece", "Full-ECE, query position", -1),
]


def rows(metrics: dict[str, Any]) -> list[Row]:
    return [_row(metric, metrics[metric.section] if metric.section else metrics) for metric in SHOWN]


def number(entry: dict[str, Any], sign: bool = False) -> str:
    """`0.190 [0.175, 0.206]`, or why there is no number."""
    if entry["value"] is None:
        return "undefined (one class only)"
    form = "{:+.3f}" if sign else "{:.3f}"
    text = form.format(entry["value"])
    if entry["low"] is None:
        return text
    return f"{text} [{form.format(entry['low'])}, {form.format(entry['high'])}]"


def verdict(entry: dict[str, Any], better: int) -> str:
    if not better or entry["low"] is None:
        return ""
    if entry["low"] <= 0 <= entry["high"]:
        return "unclear"
    return "better" if entry["value"] * better > 0 else "worse"


def console_table(metrics: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Before and after tuning, {metrics['n']} held-out questions, 95% bootstrap intervals")
    table.add_column("metric")
    for column in ("before", "after", "difference"):
        table.add_column(column, justify="right")
    table.add_column("")
    colours = {"better": "green", "worse": "red", "unclear": "yellow", "": "none"}
    for row in rows(metrics):
        table.add_row(row.label, row.before, row.after, row.difference, f"[{colours[row.verdict]}]{row.verdict}[/]")
    # In a pipe rich assumes 80 columns and would fold every interval.
    console = Console()
    Console(width=max(console.width, 118)).print(table)


def write_per_example(path: Path, evidence: Evidence) -> None:
    """One row per test question: the answer, its grade, and every estimator's confidence."""
    from datasets import Dataset

    test, m = evidence.test, evidence.reanswered
    columns: dict[str, Any] = {
        field: [getattr(row, field) for row in test]
        for field in ("id", "source", "subject", "question", "references", "answer", "correct")
    }
    columns |= {f"confidence_{name}": values for name, values in evidence.confidences().items() if name != "base_rate"}
    columns |= {"mass_before": evidence.before.query.mass, "mass_after": evidence.after.query.mass}
    if m is not None:
        padding = [None] * (len(test) - len(m.correct))
        columns["adapter_on_changed"] = [*map(bool, m.changed), *padding]
        columns["adapter_on_correct"] = [*map(float, m.correct), *padding]
    Dataset.from_dict({k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in columns.items()}).to_parquet(path)


def _row(metric: Metric, group: dict[str, Any]) -> Row:
    before, after, change = (group[side][metric.name] for side in ("before", "after", "difference"))
    return Row(
        metric.label,
        number(before),
        number(after),
        number(change, sign=True),
        verdict(change, metric.better),
    )
