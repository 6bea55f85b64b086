"""python -m evaluation.compare RUN_A RUN_B: two evaluated runs on the questions that both were asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from calibration_tuning.command_line import DebugOption, run_command, with_errors
from calibration_tuning.errors import UserError
from calibration_tuning.runs.files import read_json, write_json

FILE = "per_example.parquet"
SUFFIX = "_calibrated"
SHOWN = ("brier_skill", "brier", "ece", "auroc", "accuracy")
RunArgument = Annotated[Path, typer.Argument(help="Folder of a run, such as runs/demo.", show_default=False)]


def main(
    run_a: RunArgument,
    run_b: RunArgument,
    split: Annotated[str, typer.Option(help="test, or evaluation: sets never trained on.")] = "test",
    output: Annotated[
        Path | None, typer.Option(help="Write all numbers to this JSON file.", show_default=False)
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Paired differences B - A of two runs, confidence by confidence.

    Example: calibration-tuning compare runs/demo runs/brier
    """
    with_errors(lambda: _main(run_a, run_b, split, output), debug)


def _main(run_a: Path, run_b: Path, split: str, output: Path | None) -> None:
    from calibration_tuning.metrics.confidence_metrics import METRICS
    from evaluation.tables import number, print_rows, row

    found = compare(run_a, run_b, split)
    table = found["confidences"]
    for metric in SHOWN[:-1]:
        rows = [
            row(_with_n(name, entry, found["n"]), *(entry[side][metric] for side in ("a", "b", "difference")))
            for name, entry in table.items()
        ]
        label = f"{METRICS[metric].label}, {found['n']} questions of both runs"
        print_rows(label, "confidence", (found["a"], found["b"]), rows)
    accuracy = table["confidence_before"]
    print(
        f"Accuracy of the answers: {number(accuracy['a']['accuracy'])} in {found['a']}, "
        f"{number(accuracy['b']['accuracy'])} in {found['b']}. Where it differs, compare skill and AUROC, not Brier."
    )
    if found["left_out"]:
        print(f"Too few answers in both runs have these: {', '.join(found['left_out'])}.")
    if output is not None:
        write_json(output, found)
        print(f"numbers: {output}")


def compare(run_a: Path, run_b: Path, split: str = "test") -> dict[str, Any]:
    """`confidences`: for each confidence that both runs have, the metrics of `a` and `b` and their `difference` b - a
    on the questions that both have answered, paired by question; Holm-corrected over all of it. Each run is judged by
    the answers that its own model gave.

    Raises `UserError` for runs that are not evaluated, or have no question in common.
    """
    import numpy as np

    from calibration_tuning.metrics.comparison import adjust
    from calibration_tuning.metrics.confidence_metrics import METRICS, before_and_after

    a, b = (_rows(run, split) for run in (run_a, run_b))
    shared = [key for key in a if key in b]
    if not shared:
        raise UserError(f"{run_a} and {run_b} share no {split} question; curate both from the same sets and seed")
    if twisted := [key for key in shared if a[key]["question"] != b[key]["question"]]:
        raise UserError(f"question {twisted[0]} has another text in {run_a} than in {run_b}; they cannot be paired")
    groups = np.array([a[key]["group"] for key in shared])
    settings = read_json(run_a / "evaluation" / "metrics.json", "calibration-tuning evaluate CONFIG")
    bins, seed, count = settings["num_bins"], settings["seed"], settings["bootstrap_samples"]
    confidences: dict[str, Any] = {}
    left_out: list[str] = []
    for name in _confidences(a, b):
        pairs = [(a[key], b[key]) for key in shared]
        there = np.array([one[name] is not None and other[name] is not None for one, other in pairs])
        if there.sum() < bins:
            left_out.append(name)
            continue
        kept = [pair for pair, is_there in zip(pairs, there, strict=True) if is_there]
        sides = [(np.array([p[i][name] for p in kept]), np.array([p[i]["correct"] for p in kept])) for i in (0, 1)]
        common: dict[str, Any] = {
            "num_bins": bins,
            "seed": seed,
            "bootstrap_samples": count,
            "groups": groups[there],
            "only": SHOWN,
        }
        (first, correct), (second, other) = sides
        found = before_and_after(first, second, correct, correct_after=other, **common)
        confidences[name] = {
            "n": len(kept),
            "a": found["before"],
            "b": found["after"],
            "difference": found["difference"],
        }
    if not confidences:
        raise UserError(f"{run_a} and {run_b} share only {len(shared)} {split} questions, too few for {bins} bins")
    adjust([(METRICS[m], entry["difference"][m]) for entry in confidences.values() for m in SHOWN])
    names = (run_a.name, run_b.name) if run_a.name != run_b.name else (str(run_a), str(run_b))
    return {
        "a": names[0],
        "b": names[1],
        "split": split,
        "n": len(shared),
        "confidences": confidences,
        "left_out": left_out,
    }


def _with_n(name: str, entry: Mapping[str, Any], n: int) -> str:
    return name if entry["n"] == n else f"{name} (n = {entry['n']})"


def _rows(run: Path, split: str) -> dict[str, dict[str, Any]]:
    """By question: `id` with the source in front."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    path = run / "evaluation" / FILE
    try:
        rows = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run `calibration-tuning evaluate CONFIG` for that run first") from None
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file ({error}); evaluate again with --force") from None
    if rows and "split" not in rows[0]:
        raise UserError(f"{path}: was written by an earlier version; evaluate again with --force")
    return {f"{row['source']}/{row['id']}": row for row in rows if row["split"] == split}


def _confidences(a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Headline confidences first, then the calibrated ones of every estimator, in the order of the first run."""
    one, other = next(iter(a.values())), next(iter(b.values()))
    names = ["confidence_before", "confidence_after", *(name for name in one if name.endswith(SUFFIX))]
    return [name for name in names if name in other]


if __name__ == "__main__":
    run_command(main)
