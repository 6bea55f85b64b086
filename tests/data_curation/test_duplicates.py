import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH

from calibration_tuning.records import Question
from data_curation.duplicates import PERMUTATIONS, drop_duplicates, near_duplicates, shingles


def question(
    identity: str,
    text: str,
    answer: str = "x",
    group: str | None = None,
    context: str | None = None,
    source: str = "s",
) -> Question:
    return Question(
        id=identity,
        source=source,
        subject="s",
        group=group or identity,
        context=context,
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
    assert shingles("Is it?") == {"^ is it", "is it $"}
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


def test_joined_groups_have_the_name_that_came_first() -> None:
    """Whichever question joins them."""
    rows = [
        question("a", "What is the capital of Norway?", "Oslo", group="norway"),
        question("b", "Where was Ibsen born?", "Skien", group="ibsen"),
        question("c", "Where was Ibsen born?", "Skien", group="norway"),
    ]
    kept, _ = drop_duplicates(rows, 0.8)
    assert [(q.id, q.group) for q in kept] == [("a", "norway"), ("b", "norway")]


@pytest.mark.parametrize(
    ("text", "copy", "reason"),
    [
        ("Who wrote “Emma”, Austen’s novel?", "Who wrote \"Emma\", Austen's novel", "duplicate"),
        ("Where is the café?", "Where is the cafe\u0301 ?", "duplicate"),
        ("哪一种动物生活在南极洲的海岸上，身体是黑白两色，不会飞但是很会游泳，用两只脚走路？",
         "哪一种动物生活在南极洲的海岸上，身体是黑白两色，不会飞但是很会游泳，用两只脚行路", "near_duplicate"),
    ],
)  # fmt: skip
def test_copies_in_other_typography_or_script_are_one(text: str, copy: str, reason: str) -> None:
    kept, gone = drop_duplicates([question("a", text), question("b", copy)], 0.8)
    assert ([q.id for q in kept], [(d.id, d.reason) for d in gone]) == (["a"], [("b", reason)])


def invented(name: str, words: int) -> str:
    return " ".join(f"{name}{i}" for i in range(words))


def about(contexts: list[str], each: int, source: str = "s") -> list[Question]:
    """`each` questions of 8 words about every context, in turn."""
    return [
        question(f"{source}-{c}-{n}", invented(f"{source}{c}x{n}q", 8), context=context, source=source)
        for n in range(each)
        for c, context in enumerate(contexts)
    ]


@pytest.mark.parametrize(
    ("number", "words", "each"),
    [(20, 30, 2), (20, 70, 2), (5, 150, 12), (2, 40, 10), (1, 40, 5), (20, 6, 2)],
    ids=["short", "longer", "few", "two", "one of few questions", "a sentence"],
)
def test_questions_about_a_passage_are_of_one_group(number: int, words: int, each: int) -> None:
    """However short it is, and however many questions of the set are about it."""
    kept, gone = drop_duplicates(about([invented(f"p{c}w", words) for c in range(number)], each), 0.8)
    assert not gone
    groups = {q.context: {r.group for r in kept if r.context == q.context} for q in kept}
    assert len(set().union(*groups.values())) == sum(map(len, groups.values())) == number


@pytest.mark.parametrize(
    "copy",
    [
        "The harbour’s keeper – Ann – lives in a white house by the pier",
        "the  harbour's keeper - Ann - lives in a white house by the pier.",
    ],
)
def test_a_copy_of_a_passage_is_the_same_passage(copy: str) -> None:
    passage = "The harbour's keeper - Ann - lives in a white house by the pier."
    kept, _ = drop_duplicates([question("a", "Who?", context=passage), question("b", "Where?", context=copy)], 0.8)
    assert {q.group for q in kept} == {"a"}


def test_nearly_equal_passages_are_one_where_only_one_is_shared() -> None:
    passage = invented("w", 100)
    rows = [question(name, f"{name} of it?", context=passage) for name in ("First", "Second")]
    rows.append(question("Third", "Third of it?", context=passage.replace("w50 ", "")))
    assert {q.group for q in drop_duplicates(rows, 0.8)[0]} == {"First"}


INSTRUCTION = "You are a helpful assistant who answers in one word and never asks back."


@pytest.mark.parametrize(
    ("contexts", "system_messages"),
    [
        ([INSTRUCTION], ()),
        ([INSTRUCTION, *(invented(f"p{c}", 20) for c in range(3))], {INSTRUCTION}),
        ([f"{INSTRUCTION} You speak {language}." for language in ("Dutch", "Greek", "Welsh")], None),
        ([f"Topic: {topic}" for topic in ("chemistry", "history", "music")], ()),
    ],
    ids=["of all", "a system message", "several system messages", "labels"],
)
def test_an_instruction_ties_no_questions_together(contexts: list[str], system_messages: set[str] | None) -> None:
    rows = about(contexts, 20)
    kept, gone = drop_duplicates(rows, 0.8, (), set(contexts) if system_messages is None else system_messages)
    tied = {q.group for q in kept if "assistant" in (q.context or "") or "Topic" in (q.context or "")}
    assert not gone
    assert len(tied) == sum((q.context or "")[0] != "p" for q in rows)


@pytest.mark.parametrize("other", [None, f"{INSTRUCTION} You speak Dutch."], ids=["none", "another"])
@pytest.mark.parametrize("evaluated", [set(), {"other"}], ids=["trained on", "evaluated"])
def test_the_same_questions_behind_another_system_message_are_duplicates(
    other: str | None, evaluated: set[str]
) -> None:
    texts = [f"{invented(f'q{n}w', 8)}?" for n in range(40)]
    rows = [question(f"a{n}", text, str(n), context=INSTRUCTION) for n, text in enumerate(texts)]
    rows += [question(f"b{n}", text, str(n), context=other, source="other") for n, text in enumerate(texts)]
    kept, _ = drop_duplicates(rows, 0.8, evaluated, {INSTRUCTION, other or ""})
    assert len({q.group for q in kept}) == 40


def test_a_passage_of_all_questions_of_one_set_is_one_where_others_have_it_too() -> None:
    """As in an evaluation set about a single text; its questions in the training set go with it."""
    passage = invented("w", 40)
    rows = [*about([passage], 20, "ev"), *about([passage, *(invented(f"p{c}", 40) for c in range(9))], 5, "train")]
    kept, _ = drop_duplicates(rows, 0.8, {"ev"})
    assert len({q.group for q in kept if q.context == passage}) == 1
    both = [*about([INSTRUCTION], 20, "ev"), *about([INSTRUCTION], 3, "train")]
    assert len({q.group for q in drop_duplicates(both, 0.8, {"ev"})[0]}) == 23


@pytest.mark.parametrize("system_messages", [set(), None], ids=["passages", "system messages"])
def test_only_the_questions_below_a_shared_context_are_compared(
    monkeypatch: pytest.MonkeyPatch, system_messages: set[str] | None
) -> None:
    """Not the context again for every pair, of which there are many."""
    contexts = [invented(f"p{c}w", 60) for c in range(6)]
    rows = about(contexts, 12)
    rows += [question(f"again{c}", rows[0].question + " please", context=contexts[c]) for c in (0, 1)]
    compared = []

    def alike(one: frozenset[str], other: frozenset[str], threshold: float) -> bool:
        compared.append(len(one | other))
        return len(one & other) >= threshold * len(one | other)

    monkeypatch.setattr("data_curation.duplicates._alike", alike)
    kept, gone = drop_duplicates(rows, 0.7, (), set(contexts) if system_messages is None else system_messages)
    assert max(compared) < 20
    assert len(compared) < 20
    if system_messages is not None:
        assert [(d.id, d.detail) for d in gone] == [("again0", "s-0-0")]
        assert len({q.group for q in kept}) == 6
    else:  # other contexts do not part questions that are the same
        assert [(d.id, d.detail) for d in gone] == [("again0", "s-0-0"), ("again1", "s-0-0")]
        assert len({q.group for q in kept}) == 72
