"""Numbers as rows of text: on the console, in the report and in the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibration_tuning.metrics.bootstrap import Difference, Interval
from calibration_tuning.metrics.confidence import METRICS
from evaluation.schema import Comparison, Metrics, Numbers, TokenComparison

MAIN_ROWS = (
    *("brier", "nll", "ece", "ace", "auroc", "auroc_within_subjects", "aurc", "prr"),
    *("mean_confidence", "accuracy"),
)
"""Of the first table; the others are in the second one."""
COLOURS = {"better": "green", "worse": "red", "unclear": "yellow"}


@dataclass(frozen=True)
class NameOf:
    """What a confidence (`sequence_likelihood/before`) is called wherever it is shown: its label, before or after
    tuning. That of the checkpoint is the tuned confidence."""

    metrics: Metrics

    def __call__(self, side: str) -> str:
        name, _, state = side.partition("/")
        row = self.metrics.estimators["test"].get(name)  # absent where there are fewer answers than a row is worth
        label = row.label if row else name.replace("_", " ")
        return f"tuned confidence ({label})" if side == self.tuned else f"{label}, {state}"

    @property
    def tuned(self) -> str:
        return "query/after" if self.metrics.readout is None else "stacked/after"


@dataclass(frozen=True)
class Row:
    label: str
    before: str
    after: str
    difference: str
    p: str
    verdict: str
    """better | worse | unclear | "" (not a matter of better)."""


@dataclass(frozen=True)
class ReferenceRow:
    """What the tuned confidence has to beat, calibrated where it can be."""

    label: str
    brier: str
    auroc: str
    within: str
    difference: str
    """Brier score of the tuned confidence minus that of the row."""
    p: str
    verdict: str
    """Of the tuned confidence."""


def reference_rows(metrics: Metrics) -> list[ReferenceRow]:
    """The tuned confidence, and what stands against it on the test split: what is known without a confidence, the
    same readout untuned, and the best untuned confidence (the primary comparison)."""
    test, primary, name_of = metrics.headline.test, metrics.primary, NameOf(metrics)
    against: list[tuple[str, Numbers, Difference]] = [
        ("base rate", test.base_rate, test.over_base_rate["brier"]),
        ("accuracy of the subject", test.subject_accuracy, test.over_subject_accuracy["brier"]),
    ]
    untuned = name_of.tuned.replace("/after", "/before")
    if primary is None or primary.other != untuned:  # otherwise it is the row of the primary comparison
        against.append((name_of(untuned), test.before_calibrated, test.tuning["brier"]))
    if primary is not None:
        name, _, state = primary.other.partition("/")
        row = metrics.estimators["test"].get(name)  # absent where there are fewer test answers than a row is worth
        side = row and row.states.get(state)  # type: ignore[call-overload]
        calibrated = (side and side.calibrated) or {"brier": primary.untuned}
        against.append((f"{name_of(primary.other)} (best untuned; primary)", calibrated, primary.difference))
    rows = [
        ReferenceRow(label, *_ranked(numbers), number(change, sign=True), p_text(change), change.verdict)
        for label, numbers, change in against
    ]
    return [*rows, ReferenceRow(name_of(name_of.tuned), *_ranked(test.after), "", "", "")]


def _ranked(numbers: Numbers) -> tuple[str, str, str]:
    brier, auroc, within = (_short(numbers.get(name)) for name in ("brier", "auroc", "auroc_within_subjects"))
    return brier, auroc, within


def _short(entry: Interval | None) -> str:
    """Without the reason, which stands in the other tables."""
    if entry is None:
        return ""
    return "undefined" if entry.value is None else number(entry)


def main_rows(metrics: Metrics) -> list[Row]:
    """The first table: the confidence on the test split, then the tokens."""
    test, tokens, query = metrics.headline.test, metrics.tokens.equal_width, metrics.query_tokens
    return [
        *(_row(METRICS[name].label, test, name) for name in MAIN_ROWS),
        _row("Full-ECE, answer tokens", tokens, "full_ece"),
        _row("Vocabulary Brier, answer tokens", tokens, "vocabulary_brier"),
        _row("NLL, answer tokens (nats)", tokens, "nll"),
        *text_rows(metrics),
        *([_row("Full-ECE, query position", query, "full_ece")] if query else []),
    ]


def text_rows(metrics: Metrics) -> list[Row]:
    """Token metrics on running text; empty where none was given."""
    from calibration_tuning.metrics.token_calibration import TOKEN_METRICS  # brings torch, which `score` can do without

    if metrics.text is None:
        return []
    shown = ("full_ece", "vocabulary_brier", "nll")
    return [_row(f"{TOKEN_METRICS[name].label}, running text", metrics.text.tokens, name) for name in shown]


def further_rows(metrics: Metrics) -> list[Row]:
    """All that the first table leaves out."""
    from calibration_tuning.metrics.token_calibration import TOKEN_METRICS

    test, tokens = metrics.headline.test, metrics.tokens.equal_width
    shown = {"full_ece", "full_ece_nk", "vocabulary_brier", "nll"}
    return [
        *(_row(metric.label, test, name) for name, metric in METRICS.items() if name not in MAIN_ROWS),
        *(_row(f"{q.label}, answer tokens", tokens, name) for name, q in TOKEN_METRICS.items() if name not in shown),
        _row("Full-ECE, answer tokens, log bins", metrics.tokens.log, "full_ece"),
        _row("Full-ECE, answer tokens, equal mass bins", metrics.tokens.equal_mass, "full_ece"),
    ]


def shifted_rows(metrics: Metrics) -> list[Row]:
    """The first table's confidence rows on sets that were never trained on; empty where there are none."""
    shifted = metrics.headline.evaluation
    return [_row(METRICS[name].label, shifted, name) for name in MAIN_ROWS] if shifted else []


@dataclass(frozen=True)
class LeftOutRow:
    source: str
    accuracy: str
    confidence: str
    n: int
    brier: str
    auroc: str
    ece: str


def left_out_rows(metrics: Metrics) -> list[LeftOutRow]:
    """By left-out source: the checkpoint's readout without its query, then every confidence of the untuned model."""
    rows = []
    learnt = metrics.readout.left_out if metrics.readout else {}
    for source, entry in (metrics.left_out_sources or {}).items():
        accuracy = f"{entry.accuracy:.0%}"
        if source in learnt:
            for name, scores in learnt[source].confidences.items():
                values = (scores.brier, scores.auroc, scores.ece)
                shown = ("undefined" if value is None else f"{value:.3f}" for value in values)
                rows.append(LeftOutRow(source, accuracy, name, learnt[source].n, *shown))
        for name, rated in entry.confidences.items():
            label = metrics.estimators["test"][name].label if name in metrics.estimators["test"] else name
            shown = (_short(rated.get(metric)) for metric in ("brier", "auroc", "ece"))
            rows.append(LeftOutRow(source, accuracy, label, entry.n, *shown))
    return rows


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
    # A name that is cut could be that of two rows.
    table.add_column(first, no_wrap=True, min_width=max((len(row.label) for row in rows), default=0))
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
