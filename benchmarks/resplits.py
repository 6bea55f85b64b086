"""What drawing the test split by its labels does to the numbers: python -m benchmarks resplits CONFIG

The calibration and test answers of a finished curated set are split anew, by topic and correctness (as before version 3
of metrics.json) and by topic alone (as now). Calibrators are fitted on the one side and scored on the other. The model
is asked nothing: likelihoods stand in the curated set. Of an evaluated run the query's scores are read as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.paired import markdown
from calibration_tuning.checkpoint import read_record
from calibration_tuning.command_line import quiet_libraries, with_errors
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.metrics.calibrators import fit
from calibration_tuning.metrics.confidence import point_metrics
from calibration_tuning.readout.likelihood import of_logprob
from calibration_tuning.records import GradedAnswer
from data_curation.selection import shuffled
from data_curation.splits import place_groups
from evaluation.baselines import subject_accuracy
from evaluation.collect import collect

Array = np.ndarray
RULES: dict[str, Callable[[GradedAnswer], Hashable]] = {
    "topic and correctness": lambda row: (row.topic, row.correct >= 0.5),
    "topic": lambda row: row.topic,
}
"""What the splits are stratified by."""
SHOWN = ("brier", "ece", "auroc", "auroc_within_subjects")
GAP = "mean confidence off by"


def main(
    config: Annotated[Path, typer.Argument(help="YAML file of a run that is curated.")] = Path("configs/demo.yaml"),
    overrides: Annotated[list[str] | None, typer.Argument(help="key.path=value ...")] = None,
    draws: Annotated[int, typer.Option(min=2, help="Splits drawn by each rule.")] = 20,
) -> None:
    quiet_libraries()
    with_errors(lambda: _main(load_run_config(config, overrides or []), draws), debug=False)


def _main(config: RunConfig, draws: int) -> None:
    curated = CuratedSet.read(config.curation_dir)
    sizes = {split: len(curated.split(split)) for split in ("calibration", "test")}  # type: ignore[arg-type]
    rows: list[GradedAnswer] = [*curated.split("calibration"), *curated.split("test")]
    scores = scores_of(config, curated, rows)
    columns = [*SHOWN, GAP]
    table = []
    for rule, stratum in RULES.items():
        draws_of: dict[str, list[list[float]]] = defaultdict(list)
        for seed in range(draws):
            for name, values in scored(config, rows, scores, sizes, stratum, seed).items():
                draws_of[name].append([values[column] for column in columns])
        table += [[name, rule, *map(spread, np.array(values).T)] for name, values in draws_of.items()]
    drawn = f"{draws} draws of {sizes['test']} test and {sizes['calibration']} calibration answers"
    print(f"{drawn}: mean (lowest, highest)\n")
    print(markdown(["confidence, calibrated", "stratified by", *columns], table))


def spread(values: Array) -> str:
    return f"{values.mean():.3f} ({values.min():.3f}, {values.max():.3f})"


def scores_of(config: RunConfig, curated: CuratedSet, rows: Sequence[GradedAnswer]) -> dict[str, Array]:
    """Log-odds [n] by confidence. Without an evaluated run only what stands in the curated set."""
    scores = {"sequence likelihood, untuned": np.array([of_logprob(sum(row.token_logprobs)) for row in rows])}
    if not (config.evaluation_dir / "metrics.json").is_file():
        return scores
    evidence = collect(config, curated, read_record(config.checkpoint_dir))
    for state, label in (("before", "untuned"), ("after", "tuned")):
        query = evidence.scores["query", state]  # type: ignore[index]
        scores[f"uncertainty query, {label}"] = np.concatenate([query["calibration"], query["test"]])
    return scores


def scored(
    config: RunConfig,
    rows: Sequence[GradedAnswer],
    scores: Mapping[str, Array],
    sizes: Mapping[str, int],
    stratum: Callable[[GradedAnswer], Hashable],
    seed: int,
) -> dict[str, dict[str, float]]:
    """By confidence: its metrics on the test side of one draw, everything fitted on the calibration side."""
    groups: dict[str, list[GradedAnswer]] = defaultdict(list)
    for row in shuffled(rows, seed):
        groups[row.group].append(row)
    sides = place_groups(groups, sizes, stratum)
    fitted_on, test = (np.array([sides.get(row.group) == side for row in rows]) for side in ("calibration", "test"))
    correct = np.array([row.correct for row in rows])
    subjects = np.array([row.topic for row in rows])[test]
    known, asked = ([row for row, is_in in zip(rows, mask, strict=True) if is_in] for mask in (fitted_on, test))
    confidences = {
        "base rate": np.full(len(asked), correct[fitted_on].mean()),
        "accuracy of the subject": subject_accuracy(known, asked),
    }
    for name, score in scores.items():
        confidences[name] = fit(config.training.calibrator, score[fitted_on], correct[fitted_on])(score[test])
    bins = config.evaluation.num_bins
    return {
        name: {
            metric: float(value or 0.0)
            for metric, value in point_metrics(c, correct[test], bins, SHOWN, subjects).items()
        }
        | {GAP: float(abs(c.mean() - correct[test].mean()))}
        for name, c in confidences.items()
    }


if __name__ == "__main__":
    typer.run(main)
