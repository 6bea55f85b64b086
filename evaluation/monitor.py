"""python -m evaluation.monitor FILE: has calibration drifted since the evaluation? From confidences and late labels."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calibration_tuning.command_line import DebugOption, run_command, with_errors
from calibration_tuning.metrics.bootstrap import Interval
from evaluation.monitor_files import Monitored, read_evaluation, read_stream
from evaluation.score_files import DEFAULT_COLUMNS

if TYPE_CHECKING:
    from calibration_tuning.metrics.drift import Drift

DRIFT = 3
"""Exit code where calibration has drifted."""
SHOWN = ("mean_confidence", "accuracy", "ece", "brier")
WORTH_SAYING = 0.05
"""If the mean confidences of labelled and unlabelled answers differ by more, the labels may not represent all
answers."""


def main(
    file: Annotated[
        Path,
        typer.Argument(
            help="csv, tsv, json, jsonl or parquet with confidence and correct (empty without a label yet).",
            show_default=False,
        ),
    ],
    evaluation: Annotated[
        Path | None,
        typer.Option(
            help="What to compare with: the folder of an evaluated run, or a file with the same columns. Without it, "
            "the test is against perfect calibration.",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[str, typer.Option(help="Column with the confidences, in [0, 1].")] = DEFAULT_COLUMNS[0],
    correct: Annotated[
        str, typer.Option(help="Column with the labels: 0 or 1, false or true, or between.")
    ] = DEFAULT_COLUMNS[1],
    time: Annotated[
        str | None,
        typer.Option(
            help="When each label arrived (ISO 8601 or a number; default: the file's order). Do not give the time of "
            "the question.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column that says which rows belong together.", show_default=False)
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=100, help="Number of bootstrap resamples behind each interval.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON instead of tables.")] = False,
    debug: DebugOption = False,
) -> None:
    """Test whether the calibration of answers has drifted since the evaluation. Exit code 3 if it has.

    You can repeat the test after every new label. Without drift, the chance that it ever raises the alarm is 5%.

    Example: calibration-tuning monitor answers.jsonl --evaluation runs/demo --time labelled_at
    """
    settings = {"num_bins": 10, "bootstrap_samples": bootstrap, "seed": seed}
    with_errors(
        lambda: _monitor(file, evaluation, {"p": confidence, "c": correct}, time, group, settings, as_json), debug
    )


def _monitor(
    file: Path,
    evaluation: Path | None,
    columns: dict[str, str],
    time: str | None,
    group: str | None,
    settings: dict[str, Any],
    as_json: bool,
) -> None:
    from calibration_tuning.metrics.confidence import confidence_metrics
    from calibration_tuning.metrics.drift import calibration_drift

    now = read_stream(file, columns["p"], columns["c"], time, group)
    then = None if evaluation is None else read_evaluation(evaluation, columns["p"], columns["c"], group)
    drift = calibration_drift(
        now.confidence,
        now.correct,
        None if then is None else (then.confidence, then.correct),
        now.groups,
        None if then is None else then.groups,
    )
    sides = {"evaluation": then, "now": now} if then is not None else {"now": now}
    numbers = {
        name: confidence_metrics(side.confidence, side.correct, groups=side.groups, only=SHOWN, **settings)
        for name, side in sides.items()
    }
    if as_json:
        print(json.dumps(_as_json(now, then, drift, numbers), indent=2))
    else:
        print(sentence(drift, len(now.confidence), then is not None))
        for remark in remarks(now, then, time):
            print(remark)
        _tables(file, sides, drift, numbers)
    if drift.has_drifted:
        raise typer.Exit(DRIFT)


def sentence(drift: Drift, labels: int, has_evaluation: bool) -> str:
    """The result in words."""
    since = f"at the evaluation {_gap(drift.gap_then)}, now {_gap(drift.gap_now)}"
    gaps = since if has_evaluation else f"confidences are {_gap(drift.gap_now)}"
    name = "drifted" if has_evaluation else "not what the confidences say"
    if drift.has_drifted:
        verb = "has" if has_evaluation else "is"
        return (
            f"Calibration {verb} {name}: {gaps} (e-value {min(drift.largest, 1e6):,.0f}, alarm at "
            f"{1 / drift.rate:.0f}; raised after {drift.alarm_at} of {labels} labelled answers)."
        )
    if drift.visible is None:
        if not drift.evaluation_suffices:
            return (
                "No test is possible, however many labels arrive: the evaluation has too few answers. Evaluate on more "
                f"questions. {gaps[0].upper()}{gaps[1:]}."
            )
        return f"Too early to test: at these confidences, {labels} labelled answers are too few; {gaps}."
    return (
        f"No drift seen: {gaps} (largest e-value {drift.largest:.2g}, alarm at {1 / drift.rate:.0f}). With {labels} "
        f"labelled answers, a common shift of less than {100 * drift.visible:.0f} points would not be noticed."
    )


def _gap(gap: float) -> str:
    points = round(100 * abs(gap), 1)
    if points == 0:
        return "exactly right on average"
    return f"{points:g} points too {'high' if gap < 0 else 'low'}"


def remarks(now: Monitored, then: Monitored | None, time: str | None) -> list[str]:
    """Notes for the reader about the files: missing labels, and the order of the answers."""
    lines = []
    if then is not None and then.unlabelled:
        lines.append(f"{then.unlabelled} answers of the evaluation have no label and are left out.")
    if now.unlabelled:
        share = now.unlabelled / (now.unlabelled + len(now.confidence))
        lines.append(f"{now.unlabelled} answers ({share:.0%}) have no label yet and are left out.")
        difference = now.unlabelled_confidence - float(now.confidence.mean())
        if abs(difference) > WORTH_SAYING:
            lines.append(
                f"warning: their mean confidence is {now.unlabelled_confidence:.2f}, that of the labelled ones "
                f"{now.confidence.mean():.2f}; the labels may not be a fair sample."
            )
    if time is None:
        lines.append("Labels are taken in the order of the file; --time COLUMN orders them by when they arrived.")
    return lines


def _tables(file: Path, sides: dict[str, Monitored], drift: Drift, numbers: dict[str, dict[str, Interval]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from calibration_tuning.metrics.confidence import METRICS
    from evaluation.tables import number

    table = Table(title=f"{file.name}, 95% intervals")
    table.add_column("")
    for name in sides:
        table.add_column(name, justify="right")
    table.add_row("labelled answers", *(str(len(side.confidence)) for side in sides.values()))
    for name in SHOWN:
        table.add_row(METRICS[name].label, *(number(column[name]) for column in numbers.values()))
    chance = [column["ece"].if_calibrated for column in numbers.values()]
    table.add_row("ECE by chance, if calibrated", *("" if x is None else number(x) for x in chance))
    bins = Table(title="Accuracy minus confidence, by confidence")
    for name in ("confidence", *(f"{kind}, {side}" for side in sides for kind in ("answers", "gap"))):
        bins.add_column(name, justify="right")
    for part in drift.bins:
        then = (str(part.then), _signed(part.gap_then)) if "evaluation" in sides else ()
        bins.add_row(f"{part.low:.2f} to {part.high:.2f}", *then, str(part.now), _signed(part.gap_now))
    console = Console()
    wide = Console(width=max(console.width, 100))
    wide.print(table)
    wide.print(bins)


def _signed(gap: float | None) -> str:
    return "" if gap is None else f"{gap:+.3f}"


def _as_json(
    now: Monitored, then: Monitored | None, drift: Drift, numbers: dict[str, dict[str, Interval]]
) -> dict[str, Any]:
    """All that is printed, and the settings of the test."""
    return {
        "has_drifted": drift.has_drifted,
        "sentence": sentence(drift, len(now.confidence), then is not None),
        "labelled": len(now.confidence),
        "unlabelled": now.unlabelled,
        "unlabelled_then": None if then is None else then.unlabelled,
        "labelled_then": None if then is None else len(then.confidence),
        "drift": asdict(drift),
        "metrics": {
            side: {name: value.as_dict() for name, value in column.items()} for side, column in numbers.items()
        },
    }


if __name__ == "__main__":
    run_command(main)
