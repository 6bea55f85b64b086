from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from calibration_tuning.config.curation import CurationSettings, SplitSizes
from calibration_tuning.records import GradedAnswer, QueryExample, Question
from data_curation.query_block import take_query_block
from data_curation.splits import FITTED, SIDES, assign_splits, thin

SIZES = SplitSizes(train=60, validation=20, calibration=30, test=50)


def assigned(rows: list[GradedAnswer], sizes: SplitSizes = SIZES, seed: int = 0) -> list[QueryExample]:
    return assign_splits(rows, CurationSettings(sizes=sizes), seed)[0]


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
    rows = assigned(graded(pool(60) + single(100)))
    assert Counter(row.split for row in rows) == {"train": 60, "validation": 20, "calibration": 30, "test": 50}
    groups = [{row.group for row in rows if row.split == split} for split in SIDES]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_splits_depend_on_the_seed_not_on_the_order_of_rows() -> None:
    rows = graded(pool())
    first = assigned(rows)
    assert assigned(rows[::-1]) == first
    assert assigned(rows, seed=1) != first


def rates_by_topic(rows: list[QueryExample], split: str) -> dict[str, float]:
    of = {
        topic: [r.correct for r in rows if r.split == split and r.topic == topic] for topic in {r.topic for r in rows}
    }
    return {topic: sum(correct) / len(correct) for topic, correct in of.items()}


def test_what_is_fitted_and_what_is_fitted_on_have_the_same_base_rate_in_every_topic() -> None:
    sizes = SplitSizes(train=500, validation=100, calibration=200, test=200)
    rows = assigned(graded(single(1000), lambda i: float(i % 7 < 2 + i % 2)), sizes)
    by_split = [rates_by_topic(rows, split) for split in FITTED]
    for topic in by_split[0]:
        rates = [by_topic[topic] for by_topic in by_split]
        assert max(rates) - min(rates) < 0.04


def test_labels_play_no_part_in_the_draw_of_the_test_split() -> None:
    questions = [*pool(60), *single(200)]
    drawn = [
        {row.id for row in assigned(graded(questions, correct)) if row.split == "test"}
        for correct in (lambda i: 1.0, lambda i: float(i % 3 == 0), lambda i: float(i < 100))
    ]
    assert drawn[0] == drawn[1] == drawn[2]


def test_the_test_split_has_every_topic_in_its_proportion() -> None:
    rows = assigned(graded(single(1000)), SplitSizes(train=500, validation=100, calibration=200, test=200))
    assert Counter(row.topic for row in rows if row.split == "test") == {"src/s0": 100, "src/s1": 100}


@pytest.mark.slow
def test_test_accuracy_varies_between_draws_as_much_as_chance_makes_it() -> None:
    # 400 answers, 50 of them in the test split, 40% right: sampling without replacement has a standard deviation of
    # sqrt(0.24 / 50 * 350 / 399) = 0.065. A draw that balances labels has next to none.
    rows = graded(single(400), lambda i: float(i % 5 < 2))
    sizes = SplitSizes(train=200, validation=50, calibration=100, test=50)
    accuracies = []
    for seed in range(60):
        test = [row.correct for row in assigned(rows, sizes, seed) if row.split == "test"]
        accuracies.append(sum(test) / len(test))
    assert 0.045 < float(np.std(accuracies)) < 0.085
    assert float(np.mean(accuracies)) == pytest.approx(0.4, abs=0.03)


def test_what_is_asked_beyond_the_sizes_thins_the_training_side_to_its_fraction() -> None:
    questions = single(400)
    settings = CurationSettings(sizes=SIZES, oversample=5, correct_fraction=0.5)
    rows, surplus = assign_splits(graded(questions), settings, seed=0)
    assert Counter(row.split for row in rows) == {"train": 60, "validation": 20, "calibration": 30, "test": 50}
    assert len(rows) + len(surplus) == 400
    train = [row for row in rows if row.split == "train"]
    assert sum(row.correct for row in train) == 30
    assert Counter(row.topic for row in train) == {"src/s0": 30, "src/s1": 30}
    test = [row.correct for row in rows if row.split == "test"]
    assert sum(test) / len(test) == pytest.approx(
        1 / 3, abs=0.15
    )  # the natural rate, by chance, stays where it is measured


def test_a_fraction_that_cannot_be_met_keeps_the_size() -> None:
    rows = graded(single(100), lambda i: float(i < 10))
    thinned = thin(rows, 50, 0.5)
    assert len(thinned) == 50
    assert sum(row.correct for row in thinned) == 10


def test_thinning_takes_every_topic_alike() -> None:
    rows = graded([q for q in pool(90) if q.subject == "s0" or int(q.group[1:]) < 30], lambda i: float(i % 2))
    topics = Counter(row.topic for row in thin(rows, 50, 0.5))
    assert topics == {"src/s0": 30, "src/s1": 10, "src/s2": 10}


def test_query_block_is_balanced_and_leaves_the_training_split() -> None:
    rows = graded(single(6), lambda i: float(i in (2, 4)))
    block, left = take_query_block(rows, 4)
    assert [d.correct for d in block] == [True, False, True, False]
    assert len(left) == 2
    assert not {d.question for d in block} & {r.question for r in left}


def test_query_block_of_a_model_that_is_never_right() -> None:
    block, _ = take_query_block(graded(single(3), lambda _: 0.0), 2)
    assert [(d.answer, d.correct) for d in block] == [("x", True), ("said", False)]
