"""Numbers as rows of text: on the console, in the report and in the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibration_tuning.metrics.bootstrap import Difference, Interval
from calibration_tuning.metrics.confidence import METRICS
from calibration_tuning.metrics.token_calibration import TOKEN_METRICS
from evaluation.schema import Comparison, Metrics, TokenComparison

MAIN_ROWS = ("brier", "nll", "ece", "ace", "auroc", "aurc", "mean_confidence", "accuracy")
"""Of the first table; the others are in the second one."""
COLOURS = {"better": "green", "worse": "red", "unclear": "yellow"}


@dataclass(frozen=True)
class Row:
    label: str
    before: str
    after: str
    difference: str
    p: str
    verdict: str
    """better | worse | unclear | "" (not a matter of better)."""


def main_rows(metrics: Metrics) -> list[Row]:
    """The first table: the confidence on the test split, then the tokens."""
    test, tokens, query = metrics.headline.test, metrics.tokens.equal_width, metrics.query_tokens
    return [
        *(_row(METRICS[name].label, test, name) for name in MAIN_ROWS),
        _row("Full-ECE, reference-answer tokens", tokens, "full_ece"),
        _row("Vocabulary Brier, same tokens", tokens, "vocabulary_brier"),
        _row("NLL, same tokens (nats)", tokens, "nll"),
        *([_row("Full-ECE, query position", query, "full_ece")] if query else []),
    ]


def further_rows(metrics: Metrics) -> list[Row]:
    """All that the first table leaves out."""
    test, tokens = metrics.headline.test, metrics.tokens.equal_width
    shown = {"full_ece", "full_ece_nk", "vocabulary_brier", "nll"}
    return [
        *(_row(metric.label, test, name) for name, metric in METRICS.items() if name not in MAIN_ROWS),
        *(_row(f"{q.label}, tokens", tokens, name) for name, q in TOKEN_METRICS.items() if name not in shown),
        _row("Full-ECE, log bins", metrics.tokens.log, "full_ece"),
        _row("Full-ECE, equal mass bins", metrics.tokens.equal_mass, "full_ece"),
    ]


def shifted_rows(metrics: Metrics) -> list[Row]:
    """The first table's confidence rows on sets that were never trained on; empty where there are none."""
    shifted = metrics.headline.evaluation
    return [_row(METRICS[name].label, shifted, name) for name in MAIN_ROWS] if shifted else []


def number(entry: Interval, sign: bool = False) -> str:
    """`0.190 [0.175, 0.206]`, or why there is no number."""
    if entry.value is None:
        return entry.undefined or "undefined"
    form = "{:+.3f}" if sign else "{:.3f}"
    if abs(entry.value) < 0.0005 and entry.value:
        form = "{:+.1e}" if sign else "{:.1e}"
    text = form.format(entry.value)
    if entry.low is None or entry.high is None:
        return text
    return f"{text} [{form.format(entry.low)}, {form.format(entry.high)}]"


def p_text(difference: Difference) -> str:
    """`0.012`, corrected where it is; empty where nothing was judged."""
    p = difference.p if difference.p_holm is None else difference.p_holm
    if p is None or not difference.verdict:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def console_table(metrics: Metrics) -> None:
    n = metrics.headline.test.n
    print_rows(
        f"Before and after tuning, {n} held-out questions, 95% intervals, p-values Holm-corrected",
        "metric",
        ("before", "after"),
        main_rows(metrics),
    )


def print_rows(title: str, first: str, sides: Sequence[str], rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    table.add_column(first)
    for column in (*sides, "difference", "p"):
        table.add_column(column, justify="right")
    table.add_column("")
    for row in rows:
        colour = COLOURS.get(row.verdict, "none")
        table.add_row(row.label, row.before, row.after, row.difference, row.p, f"[{colour}]{row.verdict}[/]")
    # In a pipe rich assumes 80 columns and would fold every interval.
    console = Console()
    Console(width=max(console.width, 134)).print(table)


def row(label: str, before: Interval, after: Interval, change: Difference) -> Row:
    return Row(label, number(before), number(after), number(change, sign=True), p_text(change), change.verdict)


def _row(label: str, table: Comparison | TokenComparison, name: str) -> Row:
    return row(label, table.before[name], table.after[name], table.difference[name])
