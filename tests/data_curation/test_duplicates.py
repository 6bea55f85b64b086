import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH

from calibration_tuning.records import Question
from data_curation.duplicates import PERMUTATIONS, drop_duplicates, near_duplicates, shingles


def question(identity: str, text: str, answer: str = "x", group: str | None = None) -> Question:
    return Question(
        id=identity,
        source="s",
        subject="s",
        group=group or identity,
        question=text,
        references=[answer],
        grader="exact",
    )


STORY = (
    "Amanda received fifty dollars as a gift and she plans to buy two tapes that cost nine dollars each today "
    "in the shop on the corner of her street"
)
OTHER_NAME = STORY.replace("Amanda", "Josie")
OTHER_NUMBER = STORY.replace("nine", "eight")


def test_shingles_mark_the_ends() -> None:
    assert shingles("Is it?") == {"^ is it", "is it ?", "it ? $"}
    assert shingles("") == {"^ $"}


def test_near_duplicates_are_those_of_a_plain_comparison() -> None:
    """The fast way against every pair, on texts of which some differ in one word or two."""
    texts = [f"{STORY} and {i} more words follow here so that it gets longer and longer" for i in range(30)]
    texts += [OTHER_NAME, OTHER_NUMBER, STORY, "Something else entirely?", "Something else altogether?"]
    sets = [shingles(text) for text in texts]
    expected = {
        (i, j) for j in range(len(texts)) for i in range(j) if len(sets[i] & sets[j]) >= 0.8 * len(sets[i] | sets[j])
    }
    assert len(expected) > 400
    assert set(near_duplicates(sets, 0.8)) == expected


@pytest.mark.slow
def test_proposed_are_the_pairs_of_datasketch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index of arrays against the library's own, on sets of which many are empty, equal or alike."""
    generator = np.random.default_rng(0)
    words = [f"w{i}" for i in range(40)]
    sets = [frozenset(generator.choice(words, size).tolist()) for size in generator.integers(0, 12, 400)]
    lsh = MinHashLSH(threshold=0.75 * 0.6, num_perm=PERMUTATIONS, weights=(0.2, 0.8))
    expected: list[tuple[int, int]] = []
    for j, own in enumerate(sets):
        hashed = MinHash(num_perm=PERMUTATIONS)
        hashed.update_batch([one.encode() for one in own])
        if own:
            expected += [(i, j) for i in sorted(lsh.query(hashed))]
            lsh.insert(j, hashed)
    monkeypatch.setattr("data_curation.duplicates._alike", lambda one, other, threshold: True)
    assert list(near_duplicates(sets, 0.6)) == expected
    assert len(expected) > 400
    assert list(near_duplicates([frozenset()] * 3, 0.6)) == list(near_duplicates([], 0.6)) == []


def test_the_first_of_equal_questions_is_kept() -> None:
    rows = [question("a", "Who is it?"), question("b", "who  IS it?", "X."), question("c", "Who was it?")]
    kept, gone = drop_duplicates(rows, 0.8)
    assert [q.id for q in kept] == ["a", "c"]
    assert [(d.id, d.reason, d.detail) for d in gone] == [("b", "duplicate", "a")]


def test_nearly_equal_questions_with_one_answer_are_one() -> None:
    kept, gone = drop_duplicates([question("a", STORY), question("b", OTHER_NAME)], 0.8)
    assert [q.id for q in kept] == ["a"]
    assert [(d.id, d.reason) for d in gone] == [("b", "near_duplicate")]
    assert len(drop_duplicates([question("a", STORY), question("b", OTHER_NAME)], 1.0)[0]) == 2


def test_nearly_equal_questions_with_other_answers_share_a_group() -> None:
    kept, gone = drop_duplicates([question("a", STORY, "32"), question("b", OTHER_NUMBER, "34")], 0.8)
    assert not gone
    assert [q.group for q in kept] == ["a", "a"]


def test_short_questions_of_one_form_are_not_duplicates() -> None:
    texts = [f"What is the capital of {name}?" for name in ("Niger", "Nigeria", "Mali", "Malta")]
    texts += [f"What is 12 times {i}?" for i in range(10, 30)]
    kept, gone = drop_duplicates([question(str(i), text) for i, text in enumerate(texts)], 0.8)
    assert not gone
    assert len({q.group for q in kept}) == len(texts)


def test_groups_are_joined_through_a_duplicate() -> None:
    """A copy that is dropped still ties its group to that of the one that stays."""
    rows = [
        question("a", "What is the capital of Norway?", "Oslo", group="trivia"),
        question("b", "What is the capital of Norway?", "Oslo", group="norway"),
        question("c", "Oslo is the capital of which country?", "Norway", group="norway"),
    ]
    kept, _ = drop_duplicates(rows, 0.8)
    assert [(q.id, q.group) for q in kept] == [("a", "trivia"), ("c", "trivia")]
