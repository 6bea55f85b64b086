"""The demonstrations of the uncertainty query that stand before every example of a run."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from calibration_tuning.records import Demonstration, GradedAnswer


def take_query_block(graded: Sequence[GradedAnswer], size: int) -> tuple[list[Demonstration], list[GradedAnswer]]:
    """`size` graded answers, correct and incorrect in turn and from different topics where possible,
    and the answers without those of their groups.

    Where the model has too few correct answers the reference stands in for its answer; a block of one verdict only
    would teach that verdict. Questions longer than most are passed over: the block is part of every prompt. So are
    those with earlier turns, unless there is no other: then their last questions are shown.
    """
    block: list[Demonstration] = []
    taken: set[str] = set()
    topics: set[str] = set()
    short = median(len(row.text) for row in graded) if graded else 0
    usable = [row for row in graded if row.answer and len(row.text) <= short and not row.multiline]
    usable = [row for row in usable if not row.earlier] or usable
    for position in range(size):
        wanted = position % 2 == 0
        left = [row for row in usable if row.group not in taken]
        fitting = [row for row in left if (row.correct >= 0.5) == wanted] or left
        row = next((r for r in fitting if r.topic not in topics), fitting[0]) if fitting else None
        if row is None:
            break
        taken.add(row.group)
        topics.add(row.topic)
        correct = row.correct >= 0.5
        answer = row.target if wanted and not correct else row.answer
        block.append(Demonstration(question=row.text, answer=answer, correct=wanted or correct))
    return block, [row for row in graded if row.group not in taken]
