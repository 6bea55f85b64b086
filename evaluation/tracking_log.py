"""The report's numbers, tables and plots in a tracker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from calibration_tuning.tracking import Table, Tracker
from evaluation import sentences, tables


def log_evaluation(tracker: Tracker, metrics: Mapping[str, Any], folder: Path, wrong: list[dict[str, Any]]) -> None:
    """Scalars of headline and tokens, a table of each part, every plot, and the verdict."""
    images = {f"plots/{path.stem}": path for path in sorted((folder / "plots").glob("*.png"))}
    shown = {f"tables/{name}": Table(columns, rows) for name, columns, rows in _tables(metrics, wrong)}
    tracker.log(dict(_scalars(metrics)), images, shown)
    tracker.say("verdict", sentences.verdict_sentence(metrics))


def _scalars(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    groups = {
        "": metrics["headline"]["test"],
        "shifted/": metrics["headline"].get("evaluation"),
        "tokens/": metrics["tokens"]["equal_width"],
        "query_tokens/": metrics["query_tokens"],
    }
    for prefix, group in groups.items():
        for side in ("before", "after", "difference"):
            for name, entry in (group or {}).get(side, {}).items():
                for part in ("value", "low", "high"):
                    if entry[part] is not None:
                        yield f"{prefix}{side}/{name}" + ("" if part == "value" else f"_{part}"), entry[part]


def _tables(
    metrics: Mapping[str, Any], wrong: list[dict[str, Any]]
) -> Iterator[tuple[str, list[str | int], list[list[Any]]]]:
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
                *(split, entry["label"], entry["family"], state, side["n"]),
                *_values(side["raw"], "brier", "ece", "auroc"),
                *_values(side.get("calibrated", {}), "brier", "ece"),
            ]
            for split, table in metrics["estimators"].items()
            for entry in table.values()
            for state, side in entry["states"].items()
        ],
    )
    yield (
        "calibrators",
        ["confidence", "calibrator", "Brier", "ECE", "NLL", "cross-fitted Brier"],
        [
            [name, kind, *_values(entry, "brier", "ece", "nll"), entry.get("cross_fitted")]
            for name, own in metrics["posthoc"]["table"].items()
            for kind, entry in own.items()
        ],
    )
    yield from _groups(metrics)
    yield (
        "most_confidently_wrong",
        ["question", "answer", "reference", "before", "after"],
        [[r["question"], r["answer"], r["reference"], float(r["before"]), float(r["after"])] for r in wrong],
    )


def _groups(metrics: Mapping[str, Any]) -> Iterator[tuple[str, list[str | int], list[list[Any]]]]:
    for name, groups in (("subjects", metrics["subjects"]["table"]), ("question_sets", metrics["sources"])):
        yield (
            name,
            [name, "n", "accuracy", "Brier before", "Brier after", "AUROC after", "gap after"],
            [
                [
                    *(key, entry["n"], entry["accuracy"]),
                    *_values(entry.get("before", {}), "brier"),
                    *_values(entry.get("after", {}), "brier", "auroc", "gap"),
                ]
                for key, entry in groups.items()
            ],
        )
    yield (
        "decisions",
        ["error rate", "unavoidable abstention", "confidence", "threshold", "coverage", "error", "low", "high"],
        [
            [
                *(rate["error_rate"], rate["unavoidable_abstention"], side),
                *(rate[side][part] for part in ("threshold", "coverage", "error", "error_low", "error_high")),
            ]
            for rate in metrics["decisions"]["rates"]
            for side in ("before", "after", "best_other")
            if side in rate
        ],
    )
    yield (
        "temperature",
        ["model", "temperature", "NLL at 1", "NLL scaled", "Full-ECE at 1", "Full-ECE scaled", "accuracy"],
        [
            [
                *(state, found["temperature"]),
                *(found[at][name]["value"] for name in ("nll", "full_ece") for at in ("at_1", "scaled")),
                found["scaled"]["accuracy"]["value"],
            ]
            for state, found in metrics["temperature"].items()
        ],
    )
    if metrics["other_models"]:
        yield (
            "other_models",
            ["answers of", "n", "accuracy", "Brier untuned", "Brier tuned", "AUROC tuned", "Brier left out"],
            [
                [
                    *(key, entry["n"]),
                    *_values(entry["after"], "accuracy"),
                    *_values(entry["before"], "brier"),
                    *_values(entry["after"], "brier", "auroc"),
                    *_values(entry.get("leave_one_out", {}), "brier"),
                ]
                for key, entry in metrics["other_models"].items()
            ],
        )


def _values(entry: Mapping[str, Any], *names: str) -> list[float | None]:
    return [entry.get(name, {}).get("value") for name in names]
