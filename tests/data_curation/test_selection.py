import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.config.questions import MixtureEntry
from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import UserError
from calibration_tuning.records import Question
from data_curation.decontamination import decontaminate
from data_curation.duplicates import drop_duplicates
from data_curation.question_sets import render_question
from data_curation.selection import Selection, draw, select, share_out, take_demonstrations


def pool(source: str = "src", groups: int = 100, subjects: int = 3) -> list[Question]:
    """`groups` groups of one question per subject."""
    return [
        Question(
            id=f"{source}/{g}-{s}",
            source=source,
            subject=f"s{s}",
            group=f"{source}-g{g}",
            question=f"{g} in {s}?",
            references=["x"],
            grader="exact",
        )
        for g in range(groups)
        for s in range(subjects)
    ]


def entry(source: str = "src", **values: Any) -> MixtureEntry:
    return MixtureEntry(source=source, path="x.jsonl", **values)


def test_subjects_of_a_set_are_drawn_evenly() -> None:
    uneven = [q for q in pool(groups=400) if q.subject == "s0" or int(q.group.partition("-g")[2]) < 40]
    drawn, _ = draw(uneven, [entry()], 90, seed=0)
    assert Counter(q.subject for q in drawn) == {"s0": 30, "s1": 30, "s2": 30}
    drawn, _ = draw(uneven, [entry()], 200, seed=0)
    assert Counter(q.subject for q in drawn) == {"s0": 120, "s1": 40, "s2": 40}


def test_a_draw_depends_on_the_seed_not_on_the_order_of_rows() -> None:
    first, _ = draw(pool(), [entry()], 50, seed=0)
    assert draw(pool()[::-1], [entry()], 50, seed=0)[0] == first
    assert draw(pool(), [entry()], 50, seed=1)[0] != first
    assert len({q.id for q in first}) == 50


def test_too_few_questions() -> None:
    with pytest.raises(UserError, match="151 questions are wanted in all, but the sets give only 150"):
        draw(pool(groups=50), [entry()], 151, seed=0)


def test_questions_that_do_not_fit_are_passed_over_and_listed() -> None:
    drawn, too_long = draw(pool(groups=10, subjects=1), [entry()], 5, 0, lambda q: int(q.id[4:].split("-")[0]) >= 5)
    assert sorted(int(q.id[4:].split("-")[0]) for q in drawn) == [5, 6, 7, 8, 9]
    assert {d.reason for d in too_long} == {"too_long"}


@pytest.mark.parametrize(
    ("entries", "available", "total", "shares"),
    [
        # By weight: 100 split 1 : 3.
        ([entry("a"), entry("b", weight=3)], {"a": 500, "b": 500}, 100, {"a": 25, "b": 75}),
        # Counted sets first: 40 to a, the rest 60 split 1 : 2.
        ([entry("a", count=40), entry("b"), entry("c", weight=2)], {"a": 500, "b": 500, "c": 500}, 100,
         {"a": 40, "b": 20, "c": 40}),
        # b has only 10 of its 50; a makes up for it.
        ([entry("a"), entry("b")], {"a": 500, "b": 10}, 100, {"a": 90, "b": 10}),
        # Thirds of 100: the remainder goes by name, and the sum is kept.
        ([entry("a"), entry("b"), entry("c")], {"a": 500, "b": 500, "c": 500}, 100, {"a": 34, "b": 33, "c": 33}),
        # A count beyond what there is.
        ([entry("a", count=90), entry("b")], {"a": 30, "b": 500}, 100, {"a": 30, "b": 70}),
        # Too few in all: everything there is.
        ([entry("a"), entry("b")], {"a": 20, "b": 10}, 100, {"a": 20, "b": 10}),
    ],
)  # fmt: skip
def test_shares(entries: list[MixtureEntry], available: dict[str, int], total: int, shares: dict[str, int]) -> None:
    assert share_out(entries, available, total) == shares


def test_demonstrations_are_never_asked() -> None:
    shown, left = take_demonstrations(pool(), 3, "subject", seed=0)
    assert set(shown) == {"src/s0", "src/s1", "src/s2"}
    assert all(len(demonstrations) == 3 for demonstrations in shown.values())
    texts = {d.question for demonstrations in shown.values() for d in demonstrations}
    assert not texts & {q.question for q in left}
    assert len({q.group for q in left}) >= 100 - 9
    by_source, _ = take_demonstrations(pool(), 3, "source", seed=0)
    assert {name: len(own) for name, own in by_source.items()} == {"src": 3}


def run(folder: Path, questions: list[dict[str, Any]], **curation: Any) -> RunConfig:
    sizes = {"train": 10, "validation": 2, "calibration": 2, "test": 4}
    return RunConfig.model_validate(
        {"name": "r", "model": {"path": "m"}, "questions": questions,
         "curation": {"sizes": sizes, "answer_few_shot": 1, "query_few_shot": 0, **curation}}
    )  # fmt: skip


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def fits(question: Question, demonstrations: Sequence[Any]) -> bool:
    return len(question.text) < 200


def selected(config: RunConfig) -> Selection:
    return select(config, fits)


TRAIN = [{"question": f"What is the {i}th letter of word number {i * 7}?", "answer": str(i)} for i in range(40)]
PASSAGE = "A passage that both of two questions are about, wherever they come from."
LONG = "In which year did the old clock maker from the valley sell his very last golden watch to the king?"


def test_training_never_holds_an_evaluation_question(tmp_path: Path) -> None:
    leaks = [
        {"question": "who DISCOVERED penicillin", "answer": "fleming"},  # the same, but for case
        {"question": "Now tell me: " + LONG + " Think.", "answer": "1860"},  # 13 words in a row
        {"question": LONG.replace("very last", "last"), "answer": "1860"},  # nearly the same
        {"question": "Another of its group?", "answer": "x", "group": PASSAGE},
    ]
    evaluation = [
        {"question": "Who discovered penicillin", "answer": "Fleming"},
        {"question": LONG, "answer": "1859"},
        {"question": "One of a group?", "answer": "y", "group": PASSAGE},
        {"question": "Which one shows how it is done?", "answer": "this"},
        *({"question": f"Evaluation question number {i}, is it?", "answer": "no"} for i in range(3)),
    ]
    config = run(
        tmp_path,
        [
            {"source": "a", "path": jsonl(tmp_path / "a.jsonl", [*TRAIN, *leaks])},
            {"source": "b", "path": jsonl(tmp_path / "b.jsonl", evaluation), "role": "evaluation"},
        ],
    )
    found = selected(config)
    assert not {q.question for q in found.asked} & {leak["question"] for leak in leaks}
    gone = {(d.id, d.reason, d.detail) for d in found.dropped if d.reason != "demonstration"}
    leaked = {"a/40": "b/0", "a/41": "b/1", "a/42": "b/1", "a/43": "b/2"}
    assert gone == {(own, "in_evaluation_set", theirs) for own, theirs in leaked.items()}
    steps = {"rows": 44, "usable": 44, "distinct": 43, "decontaminated": 40, "askable": 39, "asked": 18}
    assert found.counts["a"] == steps
    shown = [d.source for d in found.dropped if d.reason == "demonstration"]
    assert sorted(shown) == ["a", "b"]
    assert {q.source for q in found.evaluation} == {"b"}
    assert len(found.evaluation) == 6  # one is the demonstration
    assert set(found.demonstrations) == {"a/a", "b/b"}


def words(name: str, count: int) -> str:
    return " ".join(f"{name}{i}" for i in range(count))


def test_training_holds_no_question_about_an_evaluation_passage(tmp_path: Path) -> None:
    """Also where the evaluation set has few passages, so that each is in much of it."""
    passages = [words(f"p{c}w", 40) for c in range(5)]
    rows = {
        "train": [
            *({"context": passages[n % 5], "question": words(f"t{n}q", 8), "answer": "x"} for n in range(15)),
            *({"context": words(f"other{n}w", 40), "question": words(f"o{n}q", 8), "answer": "x"} for n in range(30)),
        ],
        "ev": [{"context": passages[n % 5], "question": words(f"e{n}q", 8), "answer": "x"} for n in range(60)],
    }
    train, held_out = ({"path": jsonl(tmp_path / f"{name}.jsonl", own), "context": "{{ context }}"}
                       for name, own in rows.items())  # fmt: skip
    config = run(tmp_path, [train, {**held_out, "role": "evaluation"}], answer_few_shot=0)
    found = select(config, lambda question, shown: True)
    assert found.counts["train"]["decontaminated"] == 30
    assert {(d.source, d.reason) for d in found.dropped} == {("train", "in_evaluation_set")}


def test_conversations_under_one_system_message_have_nothing_else_in_common(tmp_path: Path) -> None:
    prompts = [words(f"prompt{n}w", 25) for n in range(6)]

    def chats(name: str, count: int) -> list[dict[str, Any]]:
        said = (("system", prompts[n % 6], "user", words(f"{name}{n}q", 8)) for n in range(count))
        return [{"messages": [{"role": a, "content": b}, {"role": c, "content": d}], "answer": "x"}
                for a, b, c, d in said]  # fmt: skip

    paths = [jsonl(tmp_path / f"{name}.jsonl", chats(name, 60)) for name in ("train", "ev")]
    config = run(tmp_path, [{"path": paths[0]}, {"path": paths[1], "role": "evaluation"}], answer_few_shot=0)
    found = select(config, lambda question, shown: True)
    assert not found.dropped
    assert len({q.group for q in found.asked}) == len(found.asked) == 18


def test_groups_of_files_with_one_name_are_not_the_same(tmp_path: Path) -> None:
    entries = []
    for folder, role in (("a", "train"), ("b", "evaluation")):
        (tmp_path / folder).mkdir()
        rows = [{"question": words(f"{folder}{n}q", 8), "answer": "x", "group": n} for n in range(40)]
        path = jsonl(tmp_path / folder / "questions.jsonl", rows)
        entries.append({"source": folder, "path": path, "role": role})
    found = selected(run(tmp_path, entries, answer_few_shot=0))
    assert (len(found.asked), len(found.evaluation), found.dropped) == (18, 40, [])
    assert str(tmp_path) not in "".join(q.group for q in found.asked)


def test_the_order_of_the_rows_does_not_change_what_is_asked(tmp_path: Path) -> None:
    """Though of near-duplicates one is kept."""
    rows = [*TRAIN[:20]]
    for n in range(20):
        text = words(f"n{n}w", 30)
        rows += [{"question": f"{text} {end}?", "answer": "x"} for end in ("one", "two")]
    asked = []
    for name, own in (("a", rows), ("b", rows[::-1])):
        (tmp_path / name).mkdir()
        found = selected(run(tmp_path, [{"path": jsonl(tmp_path / name / "q.jsonl", own)}], answer_few_shot=0))
        assert found.counts["q"]["distinct"] == 40
        asked.append({q.question for q in found.asked})
    assert asked[0] == asked[1]


@pytest.mark.parametrize("copied", ["the same", "nearly the same"])
def test_a_demonstration_of_a_few_shot_split_is_not_asked_in_another_set(tmp_path: Path, copied: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "repo/data").mkdir(parents=True)
    own = {name: [{"question": words(f"{name}{n}q", 20), "answer": "x"} for n in range(count)]
           for name, count in (("test", 8), ("dev", 3))}  # fmt: skip
    for split, rows in own.items():
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"repo/data/{split}-00000-of-00001.parquet")
    end = " please" if copied != "the same" else ""
    copies = [{**row, "question": row["question"] + end} for row in own["dev"]]
    entries = [
        {"source": "a", "path": jsonl(tmp_path / "a.jsonl", [*TRAIN, *copies])},
        {"source": "b", "path": str(tmp_path / "repo"), "role": "evaluation", "train_split": None,
         "evaluation_split": "test", "few_shot_split": "dev"},
    ]  # fmt: skip
    sizes = {"train": 32, "validation": 2, "calibration": 2, "test": 4}
    found = selected(run(tmp_path, entries, sizes=sizes))
    (shown,) = (d.question for d in found.demonstrations["b/b"])
    assert shown in {row["question"] for row in own["dev"]}
    assert shown + end not in {q.question for q in found.asked}
    assert len(found.evaluation) == 8


def test_bad_rows_are_counted_listed_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    jsonl(path, TRAIN)
    with path.open("a") as file:
        file.write('{"question": "no answer"}\n{broken\n')
    found = selected(run(tmp_path, [{"source": "a", "path": str(path)}]))
    assert f"warning: {path}, row 40, answer: " in capsys.readouterr().err
    bad = [d for d in found.dropped if d.reason != "demonstration"]
    assert [(d.id, d.reason) for d in bad] == [("row 40", "bad_row"), ("row 41", "bad_row")]
    assert found.counts["a"]["rows"] == 42
    assert found.counts["a"]["usable"] == 40


def test_a_passage_that_is_not_shown_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{**row, "passage": "It says so."} for row in TRAIN])
    selected(run(tmp_path, [{"path": path}]))
    said = (
        f"warning: {path}: {len(TRAIN)} of {len(TRAIN)} questions do not show the column 'passage'; write context: "
        '"{{ passage }}" under questions.a, or context: null if the questions are meant without it\n'
    )
    assert capsys.readouterr().err.count(said) == 1
    selected(
        run(tmp_path, [{"path": path, "context": "{{ passage }}"}, {"path": path, "source": "b", "context": None}])
    )
    assert "passage" not in capsys.readouterr().err


def test_questions_over_the_context_are_listed_said_and_made_up_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = [{"question": f"Long {i}? " + f"word{i} " * 100, "answer": "x"} for i in range(20)]
    paths = [jsonl(tmp_path / f"{name}.jsonl", rows) for name, rows in (("a", [*TRAIN[:5], *long]), ("b", TRAIN[5:]))]
    found = selected(run(tmp_path, [{"path": path} for path in paths], answer_few_shot=0))
    assert Counter(q.source for q in found.asked) == {"a": 5, "b": 13}
    assert {(d.source, d.reason) for d in found.dropped} == {("a", "too_long")}
    assert len(found.dropped) == 20
    said = "does not fit into the model's context together with its demonstrations; 20 such questions"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("overlap", [0, 20])
def test_a_set_in_both_roles_shows_no_evaluation_question(tmp_path: Path, overlap: int) -> None:
    """Demonstrations for the evaluation twin come from its train split, and never hold one of its questions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "repo" / "data").mkdir(parents=True)
    asked = [
        {"question": f"Evaluation question {i}, of word number {i * 13}?", "answer": f"yes {i}"} for i in range(20)
    ]
    for split, rows in {"train": [*TRAIN, *asked[:overlap]], "test": asked}.items():
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"repo/data/{split}-00000-of-00001.parquet")
    repo = str(tmp_path / "repo")
    twin = {"path": repo, "source": "ev", "role": "evaluation", "evaluation_split": "test"}
    found = selected(run(tmp_path, [{"path": repo}, twin], answer_few_shot=3))
    assert len(found.evaluation) == 20
    shown = [d.question for d in found.demonstrations["ev/ev"]]
    assert len(shown) == 3
    assert all(text.startswith("What is the") for text in shown)
    assert not {row["question"] for row in asked} & {q.question for q in found.asked}


def test_demonstrations_leave_every_subject_its_half_and_are_short() -> None:
    rows = [q.model_copy(update={"question": q.question + " more" * (int(q.group.partition("-g")[2]) % 2 * 50)})
            for q in pool(groups=10)]  # fmt: skip
    shown, left = take_demonstrations([*rows, *pool("one", groups=1, subjects=4)], 3, "subject", seed=0)
    assert all(len(d.question) < 50 for own in shown.values() for d in own)
    assert {q.subject for q in left if q.source == "one"} == {"s0", "s1", "s2", "s3"}
    tiny, rest = take_demonstrations(pool(groups=3, subjects=1), 3, "subject", seed=0)
    assert (len(tiny["src/s0"]), len(rest)) == (1, 2)


@pytest.mark.parametrize("name", ["trec", "hellaswag", "winogrande", "snli", "multirc", "boolq"])
def test_the_form_that_a_set_gives_to_all_is_no_overlap(name: str) -> None:
    """Unrelated rows of one set share its instruction and nothing else: no duplicates, no contamination."""
    entry = MixtureEntry.model_validate({"set": name})
    row = json.loads((Path(__file__).with_name("fixtures") / f"{name}.jsonl").read_text().splitlines()[0])

    def invented(value: Any, number: int) -> Any:
        """The row with other words in it, and its shape kept."""
        if isinstance(value, str) and " " in value:
            return " ".join(f"{word[:2]}{number}x{i}" for i, word in enumerate(value.split())) + " _"
        if isinstance(value, dict):
            return {key: invented(own, number) for key, own in value.items()}
        return [invented(own, number) for own in value] if isinstance(value, list) else value

    questions = []
    for number in range(60):
        changed = invented(row, number)
        for key in changed.keys() & {"idx", "source_id"}:
            changed[key] = {"paragraph": number, "question": 0, "answer": 0} if name == "multirc" else str(number)
        if name == "winogrande":
            changed |= {"option1": f"first {number}", "option2": f"second {number}"}
        questions.append(render_question(entry, changed, number))
    evaluation = [q.model_copy(update={"source": "ev", "id": f"ev/{q.id}"}) for q in questions[:30]]
    unique, gone = drop_duplicates([*questions[30:], *evaluation], 0.8, {"ev"})
    assert not gone
    train = [q for q in unique if q.source != "ev"]
    assert decontaminate(train, evaluation, 13) == (train, [])


def test_a_passage_in_training_and_evaluation_is_an_overlap() -> None:
    passage = " ".join(f"word{i}" for i in range(60))
    inside, other = pool(groups=2, subjects=1)
    inside = inside.model_copy(update={"context": passage})
    (asked,) = pool("ev", groups=1, subjects=1)
    asked = asked.model_copy(update={"question": passage + " What is it?"})
    kept, gone = decontaminate([inside, other], [asked], 13)
    assert (kept, [d.id for d in gone]) == ([other], [inside.id])


def test_evaluation_counts_and_their_own_few_shot_split(tmp_path: Path) -> None:
    """As for MMLU: asked from one split of a hub data set, demonstrated from another."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "repo" / "data").mkdir(parents=True)
    for split, size in {"test": 20, "dev": 5}.items():
        rows = [{"question": f"{split} question {i}?", "answer": f"{split}"} for i in range(size)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"repo/data/{split}-00000-of-00001.parquet")
    shared = {"source": "b", "path": str(tmp_path / "repo"), "role": "evaluation", "train_split": None}
    found = selected(
        run(
            tmp_path,
            [
                {"source": "a", "path": jsonl(tmp_path / "a.jsonl", TRAIN)},
                {**shared, "evaluation_split": "test", "few_shot_split": "dev", "count": 7},
            ],
        )
    )
    assert len(found.evaluation) == 7
    assert all(q.question.startswith("test") for q in found.evaluation)
    assert [d.answer for d in found.demonstrations["b/b"]] == ["dev"]


def test_a_set_for_evaluation_only_cannot_be_trained_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="simple_qa: is for evaluation only"):
        run(tmp_path, [{"set": "simple_qa"}])
    with pytest.raises(ValueError, match="at least one must be for training"):
        run(tmp_path, [{"set": "simple_qa", "role": "evaluation"}])
