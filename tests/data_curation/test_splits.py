from collections import Counter

import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.records import SPLITS, GradedAnswer, Question
from calibration_tuning.run_config import SplitSizes
from data_curation.query_block import take_query_block
from data_curation.splits import assign_splits, drop_duplicates, take_demonstrations

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


def test_splits_share_no_group_and_have_their_sizes() -> None:
    sides = assign_splits(pool(), SIZES, extra_train=2, seed=0)
    assert {split: len(sides[split]) for split in SPLITS} == {
        "train": 62,
        "validation": 20,
        "calibration": 30,
        "test": 50,
    }
    groups = [{q.group for q in sides[split]} for split in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_splits_depend_on_the_seed_not_on_the_order_of_files() -> None:
    questions = pool()
    sides = assign_splits(questions, SIZES, 0, seed=0)
    assert assign_splits(questions[::-1], SIZES, 0, seed=0) == sides
    assert assign_splits(questions, SIZES, 0, seed=1) != sides


def test_subjects_are_balanced() -> None:
    uneven = [q for q in pool(400) if q.subject == "s0" or int(q.id.split("-")[0]) < 150]
    counts = Counter(q.subject for q in assign_splits(uneven, SIZES, 0, seed=0)["train"])
    assert max(counts.values()) - min(counts.values()) <= 1


def test_groups_of_several_questions_are_as_frequent_in_small_splits() -> None:
    mixed = pool(600, 1) + [q.model_copy(update={"id": "m" + q.id, "group": "m" + q.group}) for q in pool(200, 3)]
    sides = assign_splits(mixed, SplitSizes(train=700, validation=60, calibration=60, test=60), 0, seed=0)
    share = {s: sum(q.group.startswith("m") for q in qs) / len(qs) for s, qs in sides.items()}
    assert max(share.values()) - min(share.values()) < 0.2


def test_too_few_questions() -> None:
    with pytest.raises(UserError, match="162 questions are wanted in all, but only 150 distinct"):
        assign_splits(pool(50), SIZES, extra_train=2, seed=0)


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


def graded(correct: list[float]) -> list[GradedAnswer]:
    return [
        GradedAnswer(**q.model_dump(), split="train", answer="said", token_ids=[1], token_logprobs=[0.0], correct=c)
        for q, c in zip(pool(len(correct), 1), correct, strict=True)
    ]


def test_query_block_is_balanced_and_leaves_the_training_split() -> None:
    rows = graded([0, 0, 1, 0, 1, 0])
    block, left = take_query_block(rows, 4)
    assert [d.correct for d in block] == [True, False, True, False]
    assert len(left) == 2
    assert not {d.question for d in block} & {r.question for r in left}


def test_query_block_of_a_model_that_is_never_right() -> None:
    block, _ = take_query_block(graded([0, 0, 0]), 2)
    assert [(d.answer, d.correct) for d in block] == [("x", True), ("said", False)]
