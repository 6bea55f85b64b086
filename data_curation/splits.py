"""Which questions are asked, and on which side of the train / validation / calibration / test line they stand."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from calibration_tuning.errors import UserError
from calibration_tuning.records import SPLITS, Demonstration, Question, Split
from calibration_tuning.run_config import SplitSizes


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


def assign_splits(
    questions: Sequence[Question], sizes: SplitSizes, extra_train: int, seed: int
) -> dict[Split, list[Question]]:
    """Draw disjoint groups of questions for each split, topics as even as their numbers allow.

    `extra_train` questions more are drawn for training; the query's demonstrations are taken from them.
    Raises `UserError` if there are too few questions.
    """
    wanted = {split: getattr(sizes, split) for split in SPLITS} | {"train": sizes.train + extra_train}
    groups: dict[str, list[Question]] = defaultdict(list)
    for question in _shuffled(questions, seed):
        groups[question.group].append(question)
    # The emptiest split, in proportion to its size, takes the next group whatever its length, so that groups of
    # several questions are no rarer in small splits than in large ones.
    total = sum(wanted.values())
    sides: dict[Split, list[Question]] = {split: [] for split in SPLITS}
    filled = dict.fromkeys(SPLITS, 0)
    for members in groups.values():
        side = min(SPLITS, key=lambda s: filled[s] / wanted[s])
        filled[side] += len(members)
        sides[side].extend(members)
    result: dict[Split, list[Question]] = {}
    for split in SPLITS:
        if len(sides[split]) < wanted[split]:
            raise UserError(
                f"curation.sizes: {total} questions are wanted in all, but only {len(questions)} distinct ones are "
                f"there ({len(sides[split])} of {wanted[split]} for {split}); add question sets or ask for fewer"
            )
        result[split] = _balanced(sides[split], wanted[split])
    return result


def _balanced(questions: Sequence[Question], size: int) -> list[Question]:
    """`size` questions, one topic after the other in turn until a topic runs out."""
    by_topic: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_topic[question.topic].append(question)
    taken: list[Question] = []
    rank = 0
    while len(taken) < size:
        taken.extend(members[rank] for members in by_topic.values() if rank < len(members))
        rank += 1
    return taken[:size]


def _shuffled(questions: Sequence[Question], seed: int) -> list[Question]:
    """An order that depends on the seed and the questions' ids, not on the order of the files."""
    ordered = sorted(questions, key=lambda q: (q.source, q.id))
    random.Random(seed).shuffle(ordered)
    return ordered
