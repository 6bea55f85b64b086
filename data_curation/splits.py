"""On which side of the train / validation / calibration / test line a graded answer stands."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from calibration_tuning.config.run import CurationSettings
from calibration_tuning.records import GradedAnswer, QueryExample, Split
from data_curation.selection import shuffled

SIDES: tuple[Split, ...] = ("train", "validation", "calibration", "test")
FITTED: tuple[Split, ...] = ("train", "validation", "calibration")
"""Sides on which something is fitted or chosen; their labels may be used to draw them."""
S = TypeVar("S", bound=str)
Groups = Mapping[str, Sequence[GradedAnswer]]


def assign_splits(
    rows: Sequence[GradedAnswer], settings: CurationSettings, seed: int
) -> tuple[list[QueryExample], list[GradedAnswer]]:
    """Assign whole groups to the splits. Return the examples, and the rows that are left over.

    The test split is drawn first, stratified by topic alone. Its labels play no part: a draw that made its accuracy
    equal to that of the calibration split would hide the error that a calibrator makes on new questions. The other
    three splits are stratified by topic and correctness, so that a calibrator meets the base rates of training.

    A group that fits into no split is left over, so a split may be short by less than a group. Answers beyond the sizes
    go to the train split, which is then thinned to its size and to `correct_fraction`.
    """
    wanted: dict[Split, int] = {side: getattr(settings.sizes, side) for side in SIDES}
    wanted["train"] = max(wanted["train"], len(rows) - sum(wanted[side] for side in SIDES[1:]))
    groups: dict[str, list[GradedAnswer]] = defaultdict(list)
    mixed = shuffled(rows, seed)
    for row in mixed:
        groups[row.group].append(row)
    fitted_size = sum(wanted[side] for side in FITTED)
    drawn = place_groups(groups, {"test": wanted["test"], "fitted": fitted_size}, lambda row: row.topic)
    rest = {group: groups[group] for group, side in drawn.items() if side == "fitted"}
    sides: dict[str, Split] = {group: "test" for group, side in drawn.items() if side == "test"}
    sides |= place_groups(rest, {side: wanted[side] for side in FITTED}, lambda row: (row.topic, row.correct >= 0.5))
    train = [row for row in mixed if sides.get(row.group) == "train"]
    train_ids = {row.id for row in thin(train, settings.sizes.train, settings.correct_fraction)}
    examples = [
        QueryExample(**row.model_dump(), split=sides[row.group])
        for row in mixed
        if row.group in sides and (sides[row.group] != "train" or row.id in train_ids)
    ]
    example_ids = {example.id for example in examples}
    return examples, [row for row in mixed if row.id not in example_ids]


def place_groups(groups: Groups, sizes: Mapping[S, int], stratum: Callable[[GradedAnswer], Hashable]) -> dict[str, S]:
    """The side of each group, so that every side has at most its size and the strata in equal proportions.

    Groups of a size are taken in their order. A group that fits on no side any more is left out.
    """
    strata = Counter(stratum(row) for members in groups.values() for row in members)
    total = sum(sizes.values())
    deficit = {side: {s: n * size / total for s, n in strata.items()} for side, size in sizes.items()}
    room = dict(sizes)
    sides: dict[str, S] = {}
    # Large groups first: single questions then fill what is left exactly.
    for group, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        fitting = [side for side in sizes if room[side] >= len(members)]
        if not fitting:
            continue
        side = max(fitting, key=lambda side: sum(deficit[side][stratum(row)] for row in members))
        sides[group] = side
        room[side] -= len(members)
        for row in members:
            deficit[side][stratum(row)] -= 1
    return sides


def thin(rows: Sequence[GradedAnswer], size: int, correct_fraction: float | None) -> list[GradedAnswer]:
    """Choose at most `size` rows, `correct_fraction` of them correct. Every topic gives the same part of its rows.

    If there are too few correct (or wrong) rows, the others fill up: the size is kept and the fraction is missed.
    """
    if correct_fraction is None:
        return list(rows[:size])
    wanted = round(correct_fraction * size)
    right, wrong = (
        _topics_alike([r for r in rows if (r.correct >= 0.5) == verdict], rows) for verdict in (True, False)
    )
    right_count = max(min(wanted, len(right)), size - len(wrong))
    return [*right[:right_count], *wrong[: size - right_count]]


def _topics_alike(members: Sequence[GradedAnswer], rows: Sequence[GradedAnswer]) -> list[GradedAnswer]:
    """`members` in an order whose every beginning holds the topics in the proportions of `rows`."""
    sizes = Counter(row.topic for row in rows)
    seen: Counter[str] = Counter()
    ranked = []
    for position, row in enumerate(members):
        ranked.append(((seen[row.topic] + 0.5) / sizes[row.topic], position, row))
        seen[row.topic] += 1
    return [row for *_, row in sorted(ranked, key=lambda item: item[:2])]
