"""The report's numbers, tables and plots in a tracker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from calibration_tuning.metrics.bootstrap import Interval
from calibration_tuning.tracking import Moment, Table, Tracker
from evaluation import sentences, tables
from evaluation.schema import Comparison, GroupRow, Metrics, Numbers, TokenComparison

TableRows = Iterator[tuple[str, list[str | int], list[list[Any]]]]
"""Name, columns and rows of each table."""


def log_evaluation(tracker: Tracker, metrics: Metrics, folder: Path, wrong: list[dict[str, Any]]) -> None:
    """Scalars of headline, tokens and running text, a table of each part, every plot, and the verdict."""
    images = {f"plots/{path.stem}": path for path in sorted((folder / "plots").glob("*.png"))}
    shown = {f"tables/{name}": Table(columns, rows) for name, columns, rows in _tables(metrics, wrong)}
    tracker.log(Moment(dict(_scalars(metrics)), images, shown))
    tracker.say("verdict", f"{sentences.verdict_sentence(metrics)} {sentences.scores_sentence(metrics)}")


def _scalars(metrics: Metrics) -> Iterator[tuple[str, float]]:
    compared: dict[str, Comparison | TokenComparison | None] = {
        "": metrics.headline.test,
        "shifted/": metrics.headline.evaluation,
        "tokens/": metrics.tokens.equal_width,
        "text/": None if metrics.text is None else metrics.text.tokens,
        "query_tokens/": metrics.query_tokens,
    }
    for prefix, table in compared.items():
        if table is None:
            continue
        sides: dict[str, Mapping[str, Interval]]
        sides = {"before": table.before, "after": table.after, "difference": table.difference}
        for side, entries in sides.items():
            for name, entry in entries.items():
                for suffix, value in (("", entry.value), ("_low", entry.low), ("_high", entry.high)):
                    if value is not None:
                        yield f"{prefix}{side}/{name}{suffix}", value


def _tables(metrics: Metrics, wrong: list[dict[str, Any]]) -> TableRows:
    rows = [*tables.main_rows(metrics), *tables.further_rows(metrics)]
    yield (
        "before_and_after",
        ["metric", "before", "after", "difference", "p", "verdict"],
        [[r.label, r.before, r.after, r.difference, r.p, r.verdict] for r in rows],
    )
    yield (
        "confidences",
        ["split", "confidence", "kind", "model", "n", "Brier", "ECE", "AUROC", "calibrated Brier", "calibrated ECE"],
        [
            [
                *(split, row.label, row.family, state, side.n),
                *_values(side.raw, "brier", "ece", "auroc"),
                *_values(side.calibrated, "brier", "ece"),
            ]
            for split, table in metrics.estimators.items()
            for row in table.values()
            for state, side in row.states.items()
        ],
    )
    yield (
        "calibrators",
        ["confidence", "calibrator", "Brier", "ECE", "NLL", "cross-fitted Brier"],
        [
            [name, kind, scores.brier.value, scores.ece.value, scores.nll.value, scores.cross_fitted]
            for name, by_kind in metrics.posthoc.table.items()
            for kind, scores in by_kind.items()
        ],
    )
    yield from _groups(metrics)
    yield from _decisions(metrics)
    yield (
        "most_confidently_wrong",
        ["question", "answer", "reference", "before", "after"],
        [[r["question"], r["answer"], r["reference"], float(r["before"]), float(r["after"])] for r in wrong],
    )


def _groups(metrics: Metrics) -> TableRows:
    groups: dict[str, Mapping[str, GroupRow]] = {"subjects": metrics.subjects.table, "question_sets": metrics.sources}
    for name, table in groups.items():
        yield (
            name,
            [name, "n", "accuracy", "Brier before", "Brier after", "AUROC after", "gap after"],
            [
                [
                    *(key, row.n, row.accuracy),
                    *_values(row.before, "brier"),
                    *_values(row.after, "brier", "auroc", "gap"),
                ]
                for key, row in table.items()
            ],
        )
    if metrics.other_models:
        yield (
            "other_models",
            ["answers of", "n", "accuracy", "Brier untuned", "Brier tuned", "AUROC tuned", "Brier left out"],
            [
                [
                    *(key, row.n),
                    *_values(row.after, "accuracy"),
                    *_values(row.before, "brier"),
                    *_values(row.after, "brier", "auroc"),
                    *_values(row.leave_one_out, "brier"),
                ]
                for key, row in metrics.other_models.items()
            ],
        )


def _decisions(metrics: Metrics) -> TableRows:
    yield (
        "decisions",
        ["error rate", "unavoidable abstention", "confidence", "threshold", "coverage", "error", "low", "high"],
        [
            [
                *(rate.error_rate, rate.unavoidable_abstention, name),
                *(side.threshold, side.coverage, side.error, side.error_low, side.error_high),
            ]
            for rate in metrics.decisions.rates
            for name in ("before", "after", "best_other")
            if (side := rate.side(name)) is not None
        ],
    )
    yield (
        "temperature",
        ["model", "temperature", "NLL at 1", "NLL scaled", "Full-ECE at 1", "Full-ECE scaled", "accuracy"],
        [
            [
                *(state, scan.temperature),
                *(numbers[name].value for name in ("nll", "full_ece") for numbers in (scan.at_1, scan.scaled)),
                scan.scaled["accuracy"].value,
            ]
            for state, scan in metrics.temperature.items()
        ],
    )


def _values(numbers: Numbers | None, *names: str) -> list[float | None]:
    return [numbers[name].value if numbers and name in numbers else None for name in names]
