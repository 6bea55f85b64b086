"""Which answers a pass looks at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calibration_tuning.config.evaluation import EvaluationSettings
from calibration_tuning.records import GradedAnswer


@dataclass(frozen=True)
class Answers:
    """The answers that passes can look at."""

    splits: Mapping[str, Sequence[GradedAnswer]]
    """`calibration`, `test`, and `evaluation` where there is one."""
    other_models: Mapping[str, Sequence[GradedAnswer]]
    """Answers of other models, by split and model."""
    settings: EvaluationSettings
    seed: int
    texts: Sequence[GradedAnswer] = ()
    """Windows of running text."""
    training: Sequence[GradedAnswer] = ()
    """The training answers that probes and densities are fitted on."""


def every_answer(answers: Answers) -> list[GradedAnswer]:
    return [row for rows in answers.splits.values() for row in rows]


def with_other_models(answers: Answers) -> list[GradedAnswer]:
    return [*every_answer(answers), *(row for rows in answers.other_models.values() for row in rows)]


def with_training_answers(answers: Answers) -> list[GradedAnswer]:
    return [*every_answer(answers), *answers.training]


def some_answers(answers: Answers) -> list[GradedAnswer]:
    """A sample of each split, at most `evaluation.written_questions`, for passes that write text, which takes long."""
    return [row for split in answers.splits for row in _some_of(answers, split)]


def some_test_answers(answers: Answers) -> list[GradedAnswer]:
    """A sample of the test split, at most `evaluation.written_questions`."""
    return list(_some_of(answers, "test"))


def reanswered_test_answers(answers: Answers) -> list[GradedAnswer]:
    """A random sample of the test split, at most `evaluation.adapter_on_answers`. Splits begin with their largest
    groups, so the first answers would not be representative."""
    return list(drawn(answers.splits["test"], answers.settings.adapter_on_answers, answers.seed))


def _some_of(answers: Answers, split: str) -> Sequence[GradedAnswer]:
    return drawn(answers.splits[split], answers.settings.written_questions, answers.seed)


def drawn(rows: Sequence[GradedAnswer], limit: int | None, seed: int) -> Sequence[GradedAnswer]:
    """At most `limit` of the rows, drawn by the seed and the rows' ids alone, in the order of `rows`: a split may be
    sorted by set."""
    if limit is None or len(rows) <= limit:
        return rows

    def place(row: GradedAnswer) -> bytes:
        return hashlib.sha256(f"{seed}/{row.source}/{row.id}".encode()).digest()

    chosen = {id(row) for row in sorted(rows, key=place)[:limit]}
    return [row for row in rows if id(row) in chosen]
