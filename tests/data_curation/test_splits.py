from collections import Counter
from collections.abc import Callable

import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.records import SPLITS, GradedAnswer, Question
from calibration_tuning.run_config import SplitSizes
from data_curation.query_block import take_query_block
from data_curation.splits import assign_splits, draw, drop_duplicates, take_demonstrations

SIZES = SplitSizes(train=60, validation=20, calibration=30, test=50)


def pool(groups: int = 100, subjects: int = 3) -> list[Question]:
    """`groups` groups of one question per subject."""
    return [
        Question(
            id=f"{g}-{s}",
            source="src",
            subject=f"s{s}",
            group=f"g{g}",
            question=f"{g} in {s}?",
            references=["x"],
            grader="exact",
        )
        for g in range(groups)
        for s in range(subjects)
    ]


def single(groups: int) -> list[Question]:
    """Questions of one group each, of two topics in turn."""
    return [
        q.model_copy(update={"id": f"one-{q.id}", "group": f"one-{q.group}", "subject": f"s{i % 2}"})
        for i, q in enumerate(pool(groups, 1))
    ]


def graded(
    questions: list[Question], correct: Callable[[int], float] = lambda i: float(i % 3 == 0)
) -> list[GradedAnswer]:
    return [
        GradedAnswer(**q.model_dump(), answer="said", token_ids=[1], token_logprobs=[0.0], correct=correct(i))
        for i, q in enumerate(questions)
    ]


def test_splits_share_no_group_and_have_their_sizes() -> None:
    rows = assign_splits(graded(pool(60) + single(100)), SIZES, seed=0)
    assert Counter(row.split for row in rows) == {"train": 60, "validation": 20, "calibration": 30, "test": 50}
    groups = [{row.group for row in rows if row.split == split} for split in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_splits_depend_on_the_seed_not_on_the_order_of_rows() -> None:
    rows = graded(pool())
    first = assign_splits(rows, SIZES, seed=0)
    assert assign_splits(rows[::-1], SIZES, seed=0) == first
    assert assign_splits(rows, SIZES, seed=1) != first


def test_splits_have_the_same_base_rate_in_every_topic() -> None:
    rows = assign_splits(graded(single(1000), lambda i: float(i % 7 < 2 + i % 2)), SplitSizes(
        train=500, validation=100, calibration=200, test=200), seed=0)  # fmt: skip
    for topic in {row.topic for row in rows}:
        rates = [
            sum(r.correct for r in own) / len(own)
            for own in ([r for r in rows if r.split == split and r.topic == topic] for split in SPLITS)
        ]
        assert max(rates) - min(rates) < 0.04


def test_topics_are_drawn_evenly() -> None:
    uneven = [q for q in pool(400) if q.subject == "s0" or int(q.id.split("-")[0]) < 40]
    counts = Counter(q.subject for q in draw(uneven, 90, seed=0))
    assert counts == {"s0": 30, "s1": 30, "s2": 30}
    assert Counter(q.subject for q in draw(uneven, 200, seed=0)) == {"s0": 120, "s1": 40, "s2": 40}


def test_too_few_questions() -> None:
    with pytest.raises(UserError, match="151 questions are wanted in all, but only 150 distinct"):
        draw(pool(50), 151, seed=0)


def test_demonstrations_are_never_asked() -> None:
    shown, left = take_demonstrations(pool(), 3, seed=0)
    assert set(shown) == {"src/s0", "src/s1", "src/s2"}
    assert all(len(demonstrations) == 3 for demonstrations in shown.values())
    texts = {d.question for demonstrations in shown.values() for d in demonstrations}
    assert not texts & {q.question for q in left}
    assert len({q.group for q in left}) >= 100 - 9


def test_duplicates_are_dropped() -> None:
    first = pool(1, 1)[0]
    again = first.model_copy(update={"id": "again", "question": first.question.upper().replace(" ", "  ")})
    other = first.model_copy(update={"id": "other", "choices": ["a", "b"]})
    assert drop_duplicates([first, again, other]) == [first, other]


def test_query_block_is_balanced_and_leaves_the_training_split() -> None:
    rows = graded(single(6), lambda i: float(i in (2, 4)))
    block, left = take_query_block(rows, 4)
    assert [d.correct for d in block] == [True, False, True, False]
    assert len(left) == 2
    assert not {d.question for d in block} & {r.question for r in left}


def test_query_block_of_a_model_that_is_never_right() -> None:
    block, _ = take_query_block(graded(single(3), lambda _: 0.0), 2)
    assert [(d.answer, d.correct) for d in block] == [("x", True), ("said", False)]
