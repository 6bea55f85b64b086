"""python -m training.choose RUN ...: which of several trained settings to take, by the validation split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from calibration_tuning.command_line import DebugOption, run_command, with_errors
from calibration_tuning.errors import UserError
from calibration_tuning.runs.files import read_json

FILE = "validation.json"
"""In a run's folder: `id`, `group`, `correct` and `confidence` of the validation answers, by the kept checkpoint."""
MADE_BY = "calibration-tuning train CONFIG"
TRAINED = ("adapter_model.safetensors", "probe.safetensors")
"""Weights that training sets; the readout and the token temperature are fitted afterwards."""


@dataclass(frozen=True)
class Trial:
    name: str
    loss: np.ndarray
    """Squared error of each validation answer, [n]."""
    size: int
    """Bytes of trained weights."""
    answers: tuple[list[str], list[str], list[float]]
    """Ids, groups and correctness, [n] each."""


@dataclass(frozen=True)
class Rated:
    trial: Trial
    brier: float
    difference: float
    """From the lowest Brier score, on the same answers."""
    standard_error: float
    """Of that difference, over groups of questions."""

    @property
    def is_as_good(self) -> bool:
        return self.difference <= self.standard_error


def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of trained runs, such as runs/sweep-*.")],
    debug: DebugOption = False,
) -> None:
    """Compare trained settings on the validation split, and name the smallest within a standard error of the best.

    Example: calibration-tuning choose runs/sweep-*
    """
    with_errors(lambda: _main(runs), debug)


def _main(runs: list[Path]) -> None:
    rated = rate([read_trial(run) for run in runs])
    n, groups = len(rated[0].trial.loss), len({*rated[0].trial.answers[1]})
    print(
        f"Validation Brier score of the tuned query on {n} answers in {groups} groups, and its paired difference from "
        "the lowest:"
    )
    for entry in rated:
        line = f"{entry.brier:.4f}  {entry.difference:+.4f} (standard error {entry.standard_error:.4f})"
        print(f"  {entry.trial.name:<30} {line}{'  as good' if entry.is_as_good else ''}")
    print(f"Take {chosen(rated).trial.name}: the fewest trained weights within one standard error of the lowest score.")


def read_trial(run: Path) -> Trial:
    """Raises `UserError` for a run that is not trained, or by a version that did not keep these scores."""
    values = read_json(run / FILE, MADE_BY)
    try:
        answers = values["id"], values["group"], values["correct"]
        loss = (np.array(values["confidence"], dtype=np.float64) - np.array(answers[2], dtype=np.float64)) ** 2
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{run / FILE}: is damaged; run `{MADE_BY}` again with --force") from None
    files = [run / "checkpoint" / name for name in TRAINED]
    size = sum(path.stat().st_size for path in files if path.is_file())
    return Trial(run.name, loss, size, answers)


def rate(trials: list[Trial]) -> list[Rated]:
    """All trials, the lowest Brier score first. Raises `UserError` where they have other validation answers."""
    best = min(trials, key=lambda trial: trial.loss.mean())
    for trial in trials:
        if trial.answers != best.answers:
            raise UserError(
                f"{trial.name} and {best.name} have different validation answers; curate once and train both on that "
                "set (curated=runs/NAME/curation)"
            )
    rated = [_rated(trial, best) for trial in trials]
    return sorted(rated, key=lambda entry: entry.brier)


def chosen(rated: list[Rated]) -> Rated:
    """The one-standard-error rule (Breiman et al. 1984), paired: of the settings whose score is within one standard
    error of the lowest, that with the fewest trained weights; of equals, the lowest score."""
    return min((entry for entry in rated if entry.is_as_good), key=lambda entry: (entry.trial.size, entry.brier))


def _rated(trial: Trial, best: Trial) -> Rated:
    change: Any = trial.loss - best.loss
    _, group = np.unique(trial.answers[1], return_inverse=True)
    deviations = np.bincount(group, weights=change - change.mean())
    count = len(deviations)
    correction = count / (count - 1) if count > 1 else np.inf
    error = 0.0 if trial is best else float(np.sqrt(correction * (deviations**2).sum()) / len(change))
    return Rated(trial, float(trial.loss.mean()), float(change.mean()), error)


if __name__ == "__main__":
    run_command(main)
