"""python -m evaluation.compare RUN_A RUN_B: two evaluated runs on the questions that both were asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from calibration_tuning.command_line import DebugOption, run_command, with_errors
from calibration_tuning.errors import UserError
from calibration_tuning.runs.files import write_json
from evaluation.schema import Changes, Numbers, Record, read_metrics, with_corrected

FILE = "per_example.parquet"
SUFFIX = "_calibrated"
HEADLINE = {"confidence_before": "before: untuned query as it comes", "confidence_after": "after: the checkpoint's"}
STATES = {"before": "untuned", "after": "tuned"}
SHOWN = ("brier_skill", "brier", "ece", "auroc", "accuracy")
RunArgument = Annotated[Path, typer.Argument(help="Folder of a run, such as runs/demo.", show_default=False)]


class ComparedConfidence(Record):
    n: int
    """Questions that have this confidence in both runs."""
    a: Numbers
    b: Numbers
    difference: Changes


class RunComparison(Record):
    a: str
    b: str
    split: str
    n: int
    """Questions of both runs."""
    confidences: dict[str, ComparedConfidence]
    left_out: list[str]
    """Confidences that too few questions have in both runs."""


def main(
    run_a: RunArgument,
    run_b: RunArgument,
    split: Annotated[str, typer.Option(help="test, or evaluation: sets never trained on.")] = "test",
    output: Annotated[
        Path | None, typer.Option(help="Write all numbers to this JSON file.", show_default=False)
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Compare two runs: the paired difference B - A of every confidence that both have.

    Example: calibration-tuning compare runs/demo runs/brier
    """
    with_errors(lambda: _main(run_a, run_b, split, output), debug)


def _main(run_a: Path, run_b: Path, split: str, output: Path | None) -> None:
    from calibration_tuning.metrics.confidence import METRICS
    from evaluation.tables import number, print_rows, row

    compared = compare(run_a, run_b, split)
    table = compared.confidences
    for metric in SHOWN[:-1]:
        rows = [
            row(_label(name, entry.n, compared.n), entry.a[metric], entry.b[metric], entry.difference[metric])
            for name, entry in table.items()
        ]
        label = f"{METRICS[metric].label}, {compared.n} questions of both runs"
        print_rows(label, "confidence", (compared.a, compared.b), rows)
    accuracy = table["confidence_before"]
    print(
        f"Accuracy of the answers: {number(accuracy.a['accuracy'])} in {compared.a}, "
        f"{number(accuracy.b['accuracy'])} in {compared.b}. Where it differs, compare skill and AUROC, not Brier."
    )
    if compared.left_out:
        labels = [_label(name, compared.n, compared.n) for name in compared.left_out]
        print(f"Too few answers in both runs have these: {'; '.join(labels)}.")
    if output is not None:
        write_json(output, compared.model_dump(mode="json"))
        print(f"numbers: {output}")


def compare(run_a: Path, run_b: Path, split: str = "test") -> RunComparison:
    """The metrics of every confidence that both runs have, and their paired differences b - a.

    The differences are on the questions that both runs have answered, paired by question, and Holm-corrected over all
    confidences. Each run is judged by its own model's answers.

    Raises `UserError` for runs that are not evaluated, or have no question in common.
    """
    import numpy as np

    from calibration_tuning.metrics.comparison import holm_corrected
    from calibration_tuning.metrics.confidence import METRICS, before_and_after

    a, b = (_rows(run, split) for run in (run_a, run_b))
    shared = [key for key in a if key in b]
    if not shared:
        raise UserError(f"{run_a} and {run_b} share no {split} question; curate both from the same sets and seed")
    if twisted := [key for key in shared if a[key]["question"] != b[key]["question"]]:
        raise UserError(f"question {twisted[0]} has another text in {run_a} than in {run_b}; they cannot be paired")
    groups = np.array([a[key]["group"] for key in shared])
    settings = read_metrics(run_a / "evaluation" / "metrics.json")
    bins = settings.num_bins
    confidences: dict[str, ComparedConfidence] = {}
    left_out: list[str] = []
    for name in _confidences(a, b):
        pairs = [(a[key], b[key]) for key in shared]
        both_have = np.array([x[name] is not None and y[name] is not None for x, y in pairs])
        if both_have.sum() < bins:
            left_out.append(name)
            continue
        scored = [pair for pair, is_shared in zip(pairs, both_have, strict=True) if is_shared]
        sides = [(np.array([p[i][name] for p in scored]), np.array([p[i]["correct"] for p in scored])) for i in (0, 1)]
        common: dict[str, Any] = {
            "num_bins": bins,
            "seed": settings.seed,
            "bootstrap_samples": settings.bootstrap_samples,
            "groups": groups[both_have],
            "only": SHOWN,
        }
        (of_a, correct_a), (of_b, correct_b) = sides
        compared = before_and_after(of_a, of_b, correct_a, correct_after=correct_b, **common)
        confidences[name] = ComparedConfidence(
            n=len(scored), a=compared.before, b=compared.after, difference=compared.difference
        )
    if not confidences:
        raise UserError(f"{run_a} and {run_b} share only {len(shared)} {split} questions, too few for {bins} bins")
    family = [(METRICS[name], entry.difference[name]) for entry in confidences.values() for name in SHOWN]
    confidences = with_corrected(confidences, [difference for _, difference in family], holm_corrected(family))
    names = (run_a.name, run_b.name) if run_a.name != run_b.name else (str(run_a), str(run_b))
    return RunComparison(a=names[0], b=names[1], split=split, n=len(shared), confidences=confidences, left_out=left_out)


def _label(column: str, answers: int, n: int) -> str:
    """The confidence of a column of per_example.parquet, in words."""
    estimator, _, state = column.removesuffix(SUFFIX).rpartition("_")
    label = HEADLINE.get(column) or f"{estimator.replace('_', ' ')}, {STATES[state]}, calibrated"
    return label if answers == n else f"{label} (n = {answers})"


def _rows(run: Path, split: str) -> dict[str, dict[str, Any]]:
    """By question: `id` with the source in front."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    path = run / "evaluation" / FILE
    try:
        rows = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise UserError(
            f"{path}: does not exist; run `calibration-tuning evaluate CONFIG` for that run first"
        ) from None
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable parquet file ({error}); evaluate again with --force") from None
    if rows and "split" not in rows[0]:
        raise UserError(f"{path}: was written by an earlier version; evaluate again with --force")
    return {f"{row['source']}/{row['id']}": row for row in rows if row["split"] == split}


def _confidences(a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Headline confidences first, then the calibrated confidences of every estimator, in the order of the first run."""
    of_a, of_b = next(iter(a.values())), next(iter(b.values()))
    names = [*HEADLINE, *(name for name in of_a if name.endswith(SUFFIX))]
    return [name for name in names if name in of_b]


if __name__ == "__main__":
    run_command(main)
