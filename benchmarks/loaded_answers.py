"""python -m benchmarks loaded_answers RUN: what a loaded checkpoint answers by itself, graded as in the run's curation.

The report scores recorded answers, each written after demonstrations of its own kind. Here `CalibratedModel` writes the
answers anew, as for a user: after the checkpoint's own demonstrations, and after `examples` of the question's kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.paired import machine, markdown
from calibration_tuning.calibrated_model import CalibratedAnswer, CalibratedModel
from calibration_tuning.command_line import quiet_libraries
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.conversation import Conversation
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.metrics import confidence_metrics
from calibration_tuning.records import GradedAnswer, Split, block_of
from data_curation.grade_answers import grade_pairs
from evaluation.tables import number

SHOWN = ("accuracy", "brier", "auroc", "ece", "mean_confidence")
SPLITS: tuple[Split, ...] = ("test", "evaluation")


def main(run: Annotated[Path, typer.Argument(help="Folder of a trained run.")] = Path("runs/demo")) -> None:
    quiet_libraries()
    config = load_run_config(run / "config.yaml", [])
    curated = CuratedSet.read(config.curation_dir)
    model = CalibratedModel.from_pretrained(run / "checkpoint")
    table = []
    for split in (name for name in SPLITS if curated.has(name)):
        rows = curated.split(split)
        model.show(curated.few_shot.shown)
        table.append([f"{split}, the checkpoint's demonstrations", *scores(config, rows, answered(model, rows))])
        answers = answered_by_kind(model, curated, rows)
        table.append([f"{split}, examples of the same kind", *scores(config, rows, answers)])
    print(f"{machine('transformers', 'peft')}\n\n{markdown(['', 'n', *SHOWN], table)}")


def answered_by_kind(
    model: CalibratedModel, curated: CuratedSet, rows: Sequence[GradedAnswer]
) -> list[CalibratedAnswer]:
    """Answers after the demonstrations that curation showed before each question."""
    by = curated.few_shot.by
    answers: dict[str, CalibratedAnswer] = {}
    for block in Counter(block_of(row, by) for row in rows):
        part = [row for row in rows if block_of(row, by) == block]
        model.show(curated.few_shot.before(part[0]) or curated.few_shot.shown)
        answers |= zip((row.id for row in part), answered(model, part), strict=True)
    return [answers[row.id] for row in rows]


def answered(model: CalibratedModel, rows: Sequence[GradedAnswer]) -> list[CalibratedAnswer]:
    questions = [Conversation(row.text, tuple(row.earlier)) for row in rows]
    return model.answer_batch(questions, [row.choices if row.style == "cloze" else None for row in rows])


def scores(config: RunConfig, rows: Sequence[GradedAnswer], answers: Sequence[CalibratedAnswer]) -> list[str]:
    """n and `SHOWN` with 95% intervals, of the answers that have a grade."""
    grades = grade_pairs(config, [(row, answer.text) for row, answer in zip(rows, answers, strict=True)], "")
    graded = [
        (row.group, answer.confidence, grade)
        for row, answer, grade in zip(rows, answers, grades, strict=True)
        if grade is not None
    ]
    groups, confidences, correct = zip(*graded, strict=True)
    metrics = confidence_metrics(confidences, correct, seed=config.seed, groups=groups)
    return [str(len(graded)), *(number(metrics[name]) for name in SHOWN)]


if __name__ == "__main__":
    typer.run(main)
