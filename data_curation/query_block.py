"""The demonstrations of the uncertainty query that stand before every example of a run."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from calibration_tuning.records import Demonstration, GradedAnswer


def take_query_block(graded: Sequence[GradedAnswer], size: int) -> tuple[list[Demonstration], list[GradedAnswer]]:
    """Return `size` demonstrations, correct and incorrect in turn, and the answers outside their groups.

    The demonstrations come from different topics where possible. If the model has too few correct answers, the
    reference takes the place of its answer; a block with a single verdict would teach that verdict. Questions longer
    than the median are not taken, because the block is part of every prompt. Questions with earlier turns are taken
    only if there are no others; then only their last questions are shown.
    """
    block: list[Demonstration] = []
    used_groups: set[str] = set()
    topics: set[str] = set()
    short = median(len(row.text) for row in graded) if graded else 0
    usable = [row for row in graded if row.answer and len(row.text) <= short and not row.multiline]
    usable = [row for row in usable if not row.earlier] or usable
    for position in range(size):
        wanted = position % 2 == 0
        remaining = [row for row in usable if row.group not in used_groups]
        fitting = [row for row in remaining if (row.correct >= 0.5) == wanted] or remaining
        row = next((r for r in fitting if r.topic not in topics), fitting[0]) if fitting else None
        if row is None:
            break
        used_groups.add(row.group)
        topics.add(row.topic)
        correct = row.correct >= 0.5
        answer = row.target if wanted and not correct else row.answer
        block.append(Demonstration(question=row.text, answer=answer, correct=wanted or correct))
    return block, [row for row in graded if row.group not in used_groups]
