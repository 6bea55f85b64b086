"""Which questions are asked, and on which side of the train / validation / calibration / test line they stand."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeVar

from calibration_tuning.errors import UserError
from calibration_tuning.records import SPLITS, Demonstration, GradedAnswer, QueryExample, Question, Split
from calibration_tuning.run_config import SplitSizes

Q = TypeVar("Q", bound=Question)


def drop_duplicates(questions: Sequence[Question]) -> list[Question]:
    """Keep the first of questions with the same text (case and spacing aside) and choices."""
    seen: dict[tuple[str, ...], Question] = {}
    for question in questions:
        key = (" ".join(question.question.casefold().split()), *(question.choices or ()))
        seen.setdefault(key, question)
    return list(seen.values())


def take_demonstrations(
    questions: Sequence[Question], per_topic: int, seed: int
) -> tuple[dict[str, list[Demonstration]], list[Question]]:
    """Answer demonstrations for each topic, and the questions that are left: whole groups leave with them."""
    shuffled = _shuffled(questions, seed)
    shown: dict[str, list[Question]] = defaultdict(list)
    for question in shuffled:
        if len(shown[question.topic]) < per_topic:
            shown[question.topic].append(question)
    groups = {q.group for chosen in shown.values() for q in chosen}
    demonstrations = {
        topic: [Demonstration(question=q.text, answer=q.references[0]) for q in chosen]
        for topic, chosen in sorted(shown.items())
    }
    return demonstrations, [q for q in questions if q.group not in groups]


def draw(questions: Sequence[Question], count: int, seed: int) -> list[Question]:
    """`count` questions, one of each topic in turn until a topic runs out. Raises `UserError` if there are too few."""
    if len(questions) < count:
        raise UserError(
            f"curation.sizes: {count} questions are wanted in all, but only {len(questions)} distinct ones are left "
            "beside the demonstrations; add question sets or ask for fewer"
        )
    by_topic: dict[str, list[Question]] = defaultdict(list)
    for question in _shuffled(questions, seed):
        by_topic[question.topic].append(question)
    turns = zip_longest(*by_topic.values())
    return [question for turn in turns for question in turn if question is not None][:count]


def assign_splits(rows: Sequence[GradedAnswer], sizes: SplitSizes, seed: int) -> list[QueryExample]:
    """Put whole groups on one side each, stratified by topic and correctness.

    Stratified, because with a few hundred examples a side the base rates of a random split differ by several points,
    and a calibrator fitted on one side would be off on the other by just that. A group that fits on no side any more is
    left out, so a side may be short by less than a group.
    """
    wanted: dict[Split, int] = {split: getattr(sizes, split) for split in SPLITS}
    total = sum(wanted.values())
    groups: dict[str, list[GradedAnswer]] = defaultdict(list)
    shuffled = _shuffled(rows, seed)
    for row in shuffled:
        groups[row.group].append(row)
    strata = Counter(map(_stratum, rows))
    deficit = {split: {s: n * wanted[split] / total for s, n in strata.items()} for split in SPLITS}
    room = dict(wanted)
    sides: dict[str, Split] = {}
    # Large groups first: single questions then fill what is left exactly.
    for group, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        fitting = [split for split in SPLITS if room[split] >= len(members)]
        if not fitting:
            continue
        side = max(fitting, key=lambda split: sum(deficit[split][_stratum(row)] for row in members))
        sides[group] = side
        room[side] -= len(members)
        for row in members:
            deficit[side][_stratum(row)] -= 1
    return [QueryExample(**row.model_dump(), split=sides[row.group]) for row in shuffled if row.group in sides]


def _stratum(row: GradedAnswer) -> tuple[str, bool]:
    return row.topic, row.correct >= 0.5


def _shuffled(questions: Sequence[Q], seed: int) -> list[Q]:
    """An order that depends on the seed and the questions' ids, not on the order of the files."""
    ordered = sorted(questions, key=lambda q: (q.source, q.id))
    random.Random(seed).shuffle(ordered)
    return ordered
