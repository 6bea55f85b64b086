"""Rows as people publish them: understood as a person would, or left out and named. A table of kinds."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibration_tuning.config.questions import MixtureEntry
from calibration_tuning.errors import UserError
from calibration_tuning.records import Demonstration
from data_curation.question_sets import Loaded, load_questions

CASES = Path(__file__).parents[3] / "shared/cases/files"
TURNS = [("user", "a"), ("assistant", " "), ("user", "b")]
LETTERS = {"A": "lime", "B": "plum", "C": "pear"}
FRUIT = ["lime", "plum", "pear"]


def load(path: Path, **values: Any) -> Loaded:
    return load_questions(MixtureEntry(source="set", path=str(path), **values), "train")


def lines(folder: Path, *rows: Any) -> Path:
    path = folder / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(folder: Path, rows: list[dict[str, Any]], schema: Any = None) -> Path:
    path = folder / "q.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


SHAPES: dict[str, tuple[dict[str, Any], tuple[str, list[str] | None, list[str]]]] = {
    "squad": (
        {
            "id": "5",
            "context": "Oslo is cold.",
            "question": "Where?",
            "answers": {"text": ["Oslo", "in Oslo"], "answer_start": [0, 0]},
        },
        ("Oslo is cold.\nWhere?", None, ["Oslo", "in Oslo"]),
    ),
    "squad, answers as a list": (
        {"context": "Oslo is cold.", "question": "Where?", "answers": [{"text": "Oslo", "answer_start": 0}]},
        ("Oslo is cold.\nWhere?", None, ["Oslo"]),
    ),
    "trivia_qa": (
        {"question": "Who?", "answer": {"value": "Ada", "aliases": ["Ada L."], "normalized_aliases": ["ada l"]}},
        ("Who?", None, ["Ada", "Ada L.", "ada l"]),
    ),
    "trivia_qa written as text": (
        {"question": "Who?", "answer": "{'value': 'Ada', 'aliases': ['Ada L.']}"},
        ("Who?", None, ["Ada", "Ada L."]),
    ),
    "arc": (
        {"question": "Which?", "choices": {"text": FRUIT, "label": ["A", "B", "C"]}, "answerKey": "C"},
        ("Which?", FRUIT, ["pear"]),
    ),
    "arc, numbered from 1": (
        {"question": "Which?", "choices": {"text": FRUIT, "label": ["1", "2", "3"]}, "answerKey": "2"},
        ("Which?", FRUIT, ["plum"]),
    ),
    "arc, as its authors have it": (
        {
            "question": {"stem": "Which?", "choices": [{"text": t, "label": k} for k, t in LETTERS.items()]},
            "answerKey": "A",
        },
        ("Which?", FRUIT, ["lime"]),
    ),
    "medqa": (
        {"question": "Which?", "options": LETTERS, "answer_idx": "B", "answer": "plum"},
        ("Which?", FRUIT, ["plum"]),
    ),
    "medqa, the letter alone": ({"question": "Which?", "options": LETTERS, "answer": "C"}, ("Which?", FRUIT, ["pear"])),
    "a list of key and value": (
        {"question": "Which?", "options": [{"key": k, "value": t} for k, t in LETTERS.items()], "answer_idx": "C"},
        ("Which?", FRUIT, ["pear"]),
    ),
    "mmlu": ({"question": "Which?", "choices": FRUIT, "answer": 1}, ("Which?", FRUIT, ["plum"])),
    "mmlu_pro": (
        {"question": "Which?", "options": FRUIT, "answer": "C", "answer_index": 2},
        ("Which?", FRUIT, ["pear"]),
    ),
    "numbers to choose from": (
        {"question": "1 + 1?", "choices": [1, 2, 3], "answer": 2},
        ("1 + 1?", list("123"), ["2"]),
    ),
    "sciq": (
        {
            "question": "Which?",
            "correct_answer": "pear",
            "distractor1": "lime",
            "distractor2": "plum",
            "distractor3": "fig",
        },
        ("Which?", ["fig", "lime", "pear", "plum"], ["pear"]),
    ),
    "openbookqa": (
        {"question_stem": "Which", "choices": {"text": FRUIT, "label": ["A", "B", "C"]}, "answerKey": "B"},
        ("Which", FRUIT, ["plum"]),
    ),
    "web_questions": ({"question": "Who?", "answers": ["a", "b"]}, ("Who?", None, ["a", "b"])),
    "pop_qa": ({"question": "Who?", "possible_answers": '["a", "b"]'}, ("Who?", None, ["a", "b"])),
    "prompt of messages": (
        {"prompt": [{"role": "user", "content": "Where?"}], "answer": "Japan"},
        ("Where?", None, ["Japan"]),
    ),
    "prompt and completion": ({"prompt": "Where?", "completion": "Japan"}, ("Where?", None, ["Japan"])),
    "prompt and completion of messages": (
        {"prompt": [{"role": "user", "content": "Where?"}], "completion": [{"role": "assistant", "content": "Japan"}]},
        ("Where?", None, ["Japan"]),
    ),
    "messages": (
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Where?"}]},
                {"role": "assistant", "content": "Japan"},
            ]
        },
        ("Be brief.\nWhere?", None, ["Japan"]),
    ),
    "share_gpt": (
        {"conversations": [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "Japan"}]},
        ("Where?", None, ["Japan"]),
    ),
    "alpaca": (
        {"instruction": "Add.", "input": "1, 2", "output": "3"},
        ("Add.\n1, 2", None, ["3"]),
    ),
    "capital letters": ({"Question": "Where?", " Answer": "Japan"}, ("Where?", None, ["Japan"])),
    "choices that nothing needs": ({"question": "q", "answer": "a", "choices": ["x"]}, ("q", None, ["a"])),
    "an answer that looks like a letter": (
        {"question": "Which article?", "choices": ["an", "the"], "answer": "a"},
        ("Which article?", ["an", "the"], ["a"]),
    ),
    "a number among aliases": ({"question": "q", "answer": "five", "aliases": 5}, ("q", None, ["five", "5"])),
    "numbers among aliases": (
        {"question": "q", "answer": "a", "aliases": [1.0, None, "x"]},
        ("q", None, ["a", "1", "x"]),
    ),
    "a whole float": ({"question": "q", "answer": 3.0}, ("q", None, ["3"])),
    "a small float": ({"question": "q", "answer": 1e-05}, ("q", None, ["0.00001"])),
    "a large float": ({"question": "q", "answer": 1e15}, ("q", None, ["1000000000000000"])),
    "zero": ({"question": "q", "answer": 0, "aliases": 0.0}, ("q", None, ["0"])),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_well_known_shapes(tmp_path: Path, kind: str) -> None:
    row, (text, choices, references) = SHAPES[kind]
    (question,) = load(lines(tmp_path, row)).questions
    assert (question.text, question.choices, question.references) == (text, choices, references)


@pytest.mark.parametrize(
    "kind", ["medqa", "arc", "arc, numbered from 1", "trivia_qa", "squad", "mmlu", "prompt of messages"]
)
def test_well_known_shapes_in_parquet(tmp_path: Path, kind: str) -> None:
    """Arrow structs hold every field of every row, null where a row has none."""
    row, (text, choices, references) = SHAPES[kind]
    (question,) = load(parquet(tmp_path, [row])).questions
    assert (question.text, question.choices, question.references) == (text, choices, references)


def test_a_struct_of_choices_has_fields_of_other_rows(tmp_path: Path) -> None:
    rows = [
        {"question": "a", "options": {"A": "x", "B": "y", "C": None}, "answer_idx": "B"},
        {"question": "b", "options": {"A": "x", "B": "y", "C": "z"}, "answer_idx": "C"},
    ]
    first, second = load(parquet(tmp_path, rows), style="choice", grader="choice").questions
    assert (first.text, first.target) == ("a\nA. x\nB. y", "B")
    assert (second.text, second.target) == ("b\nA. x\nB. y\nC. z", "C")


@pytest.mark.parametrize(
    "templates",
    [
        {"choices": "{{ choices }}", "label": "{{ answerKey }}"},
        {"choices": "{{ choices.text }}", "label": "{{ answerKey }}"},
        {"choices": "{{ choices.text }}", "label": "{{ choices.label.index(answerKey) }}"},
    ],
)
@pytest.mark.parametrize("labels", ["123", "ABC", "abc"])
def test_a_rows_own_labels_come_before_positions(tmp_path: Path, templates: dict[str, str], labels: str) -> None:
    row = {"question": "q", "choices": {"text": FRUIT, "label": list(labels)}, "answerKey": labels[1]}
    (question,) = load(lines(tmp_path, row), style="choice", grader="choice", **templates).questions
    assert question.references == ["plum"]


GOOD = {"question": "Fine?", "answer": "yes"}


@pytest.mark.parametrize(
    ("bad", "templates", "message"),
    [
        ({"question": ["a", "b"], "answer": "x"}, {}, "question: is a list, not text"),
        ({"question": {"text": "a"}, "answer": "x"}, {}, "question: is a struct with the fields text, not text"),
        ({"question": "a", "answer": {"first": "x"}}, {}, "answer: is a struct with the fields first; name one"),
        ({"question": "a", "answer": []}, {}, "answer: is empty"),
        ({"question": "a", "answer": {"value": None, "aliases": []}}, {}, "answer: is a struct"),
        ({"question": "a", "answer": "x", "aliases": [{"odd": 1}]}, {}, "aliases: is a struct with the fields odd"),
        ({"question": "a", "answer": "x", "id": ["i"]}, {}, "id: is a list, not text"),
        ({"question": "a", "answer": "x", "group": {"g": 1}}, {}, "group: is a struct with the fields g, not text"),
        ({"question": ["a"], "answer": "x"}, {"question": "So: {{ question }}"}, "is a list, not text"),
        ({"question": None, "answer": "x"}, {"question": "So: {{ question }}"}, "a value is missing"),
        (
            {"question": "a", "options": {**LETTERS}, "answer_idx": "C", "answer": "lime"},
            {},
            "answer: 'lime' and answer_idx 'C' are not the same choice",
        ),
        (
            {"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}], "answer": "x"},
            {},
            "question: messages is a conversation that does not begin with a question",
        ),
        (
            {"messages": [{"role": role, "content": text} for role, text in TURNS], "answer": "x"},
            {},
            "question: has an earlier turn that is empty",
        ),
        (
            {"messages": [{"role": "tool", "content": "a"}], "answer": "x"},
            {},
            "question: messages has a turn by 'tool'",
        ),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image"}]}], "answer": "x"},
            {},
            "question: prompt has a turn that is no text",
        ),
        (
            {"question": "a", "answer": "b", "choices": [{"text": ["c"]}, {"text": "b"}]},
            {"style": "cloze"},
            "one of them",
        ),
    ],
)
def test_what_is_no_text_is_left_out_and_named(
    tmp_path: Path, bad: dict[str, Any], templates: dict[str, Any], message: str
) -> None:
    good = {**GOOD, "choices": ["yes", "no"]} if "style" in templates else GOOD
    loaded = load(lines(tmp_path, good, bad, good), **templates)
    assert (len(loaded.questions), loaded.rows) == (2, 3)
    ((number, what),) = loaded.bad
    assert number == 1
    assert message in what


def test_missing_values_and_binary_text_of_tables(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [
        {"question": b"Capital of France?", "answer": b"Paris", "year": 3.0, "picture": b"\xff\xd8"},
        {"question": b"Capital of Norway?", "answer": b"Oslo", "year": nan, "picture": b"\xff\xd8"},
        {"question": b"\xff\xfe", "answer": b"Oslo", "year": 1.0, "picture": b"\xff\xd8"},
    ]
    loaded = load(parquet(tmp_path, rows))
    assert [(q.question, q.references) for q in loaded.questions] == [
        ("Capital of France?", ["Paris"]),
        ("Capital of Norway?", ["Oslo"]),
    ]
    assert loaded.bad == [(2, "question: is binary data, not text")]
    years = load(tmp_path / "q.parquet", answer="{{ year }}", question="{{ year }}?")
    assert [q.question for q in years.questions] == ["3?", "1?"]
    assert [number for number, _ in years.bad] == [1]


@pytest.mark.parametrize(
    ("value", "kind", "reference"),
    [
        (0.1, pa.float32(), "0.1"),
        (2.5, pa.float16(), "2.5"),
        (7, pa.int8(), "7"),
        (Decimal("1.50"), pa.decimal128(5, 2), "1.50"),
        (datetime.date(1969, 7, 20), pa.date32(), "1969-07-20"),
        (True, pa.bool_(), "True"),
        ("x", pa.dictionary(pa.int8(), pa.string()), "x"),
    ],
)
def test_values_of_parquet_types(tmp_path: Path, value: Any, kind: Any, reference: str) -> None:
    schema = pa.schema([("question", pa.string()), ("answer", kind)])
    (question,) = load(parquet(tmp_path, [{"question": "q", "answer": value}], schema)).questions
    assert question.references == [reference]


ROWS = [{"question": "Who?", "answer": "me"}, {"question": "Where?", "answer": "here"}]
COLUMNS = {name: [row[name] for row in ROWS] for name in ("question", "answer")}


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        COLUMNS,
        {name: {str(i): v for i, v in enumerate(values)} for name, values in COLUMNS.items()},
        {"first": ROWS[0], "second": ROWS[1]},
        {"columns": ["question", "answer"], "index": [0, 1], "data": [list(row.values()) for row in ROWS]},
        {"schema": {"fields": []}, "data": ROWS},
        {"version": "1.0", "data": ROWS},
        {"rows": [{"row_idx": i, "row": row, "truncated_cells": []} for i, row in enumerate(ROWS)]},
        {"Version": 1.0, "Data": [{"Question": r["question"], "Answer": {"Value": r["answer"]}} for r in ROWS]},
        {
            "version": "1.1",
            "data": [
                {
                    "title": "T",
                    "paragraphs": [
                        {"context": "", "qas": [{"question": r["question"], "answers": [{"text": r["answer"]}]}]}
                        for r in ROWS
                    ],
                }
            ],
        },
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_in_every_orientation(tmp_path: Path, value: Any, indent: int | None) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps(value, indent=indent))
    assert [(q.question, q.references) for q in load(path).questions] == [("Who?", ["me"]), ("Where?", ["here"])]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_file_of_one_row(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps(ROWS[0] | {"n": 1}, indent=indent))
    assert [q.question for q in load(path).questions] == ["Who?"]


def test_conversations_of_several_turns(tmp_path: Path) -> None:
    """The last question is asked. All that begin alike are of one group, the first message by itself too."""
    said = [("user", "Who was Dante?"), ("assistant", "A poet."), ("user", "Born"), ("user", "where?")]
    conversations = [
        {"messages": [{"role": role, "content": text} for role, text in said], "answer": "Florence"},
        {"conversations": [{"from": "human", "value": "Who was Dante?"}, {"from": "gpt", "value": "A poet"}]},
        {"prompt": [{"role": "user", "content": "Who?"}], "completion": [{"role": "assistant", "content": "Ann"}]},
    ]
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in conversations))
    deep, first, other = load(path).questions
    assert (deep.question, deep.references) == ("Born\n\nwhere?", ["Florence"])
    assert deep.earlier == [Demonstration(question="Who was Dante?", answer="A poet.")]
    assert (first.question, first.references, first.earlier) == ("Who was Dante?", ["A poet"], [])
    assert deep.group == first.group != other.group


def test_a_json_file_of_one_conversation(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    turns = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Japan"}]
    path.write_text(json.dumps({"messages": turns}))
    (question,) = load(path).questions
    assert (question.question, question.references) == ("Where?", ["Japan"])


@pytest.mark.parametrize(
    ("content", "questions"),
    [
        ('question\tanswer\n"Who wrote ""Hamlet""?"\tShakespeare\n', ['Who wrote "Hamlet"?']),
        ('question\tanswer\n"two\twords"\tx\nplain\ty\n', ["two\twords", "plain"]),
        ('question\tanswer\n"two\nlines"\tx\nplain\ty\n', ["two\nlines", "plain"]),
        ('\ufeffquestion\tanswer\n"He said ""no"""\tx\n', ['He said "no"']),
        # Quotes that are letters.
        ('question\tanswer\n"Quoted at the start\tx\nb\ty\n', ['"Quoted at the start', "b"]),
        ('question\tanswer\n"Quoted" he said\tx\nb\ty\n', ['"Quoted" he said', "b"]),
        ('question\tanswer\n"opened\tx\nclosed"\ty\n', ['"opened', 'closed"']),
        ('question\tanswer\n6" of snow\tx\n', ['6" of snow']),
    ],
)
def test_quotes_in_a_tsv(tmp_path: Path, content: str, questions: list[str]) -> None:
    path = tmp_path / "q.tsv"
    path.write_text(content, encoding="utf-8")
    loaded = load(path)
    assert [q.question for q in loaded.questions] == questions
    assert loaded.bad == []


@pytest.mark.parametrize(
    ("cell", "references"),
    [
        ("b'Paris'", ["Paris"]),
        ('b"It\'s"', ["It's"]),
        ("b'\\xff'", ["b'\\xff'"]),
        ("\"{'value': 'Ada', 'aliases': ['Ada L.']}\"", ["Ada", "Ada L."]),
        ("NA", ["NA"]),
        ("3.0", ["3.0", "3"]),  # 3, in a column with missing values
        ("3.05", ["3.05"]),
    ],
)
def test_structures_and_bytes_in_cells(tmp_path: Path, cell: str, references: list[str]) -> None:
    path = tmp_path / "q.csv"
    path.write_text(f"question, answer \nWho?,{cell}\n" if cell[0] != '"' else f"question,answer\nWho?,{cell}\n")
    assert load(path).questions[0].references == references


def test_lists_in_cells(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("question,answer,choices,aliases\nWhich?,1,\"['lime', 'plum']\",\"['prune', 'gage']\"\n")
    (question,) = load(path, style="cloze").questions
    assert (question.choices, question.references) == (["lime", "plum"], ["plum", "prune", "gage"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", "question,answer,answer\nWhere?,Paris,Lyon\n"),
        ("q.tsv", "question\tanswer\tanswer \nWhere?\tParis\tLyon\n"),
        ("q.jsonl", '{"question": "Where?", "answer": "Paris", "answer": "Lyon"}\n'),
        ("q.json", '[{"question": "Where?", "answer": "Paris", "answer": "Lyon"}]'),
    ],
)
def test_a_name_that_stands_twice_is_no_answer(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match="names 'answer' twice"):
        load(tmp_path / name)


def test_a_parquet_column_that_stands_twice(tmp_path: Path) -> None:
    table = pa.table([pa.array(["q"]), pa.array(["a"]), pa.array(["b"])], names=["question", "answer", "answer"])
    pq.write_table(table, tmp_path / "q.parquet")
    with pytest.raises(UserError, match="names the column 'answer' twice"):
        load(tmp_path / "q.parquet")


def test_many_choices(tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": [f"choice {i}" for i in range(40)], "answer": "choice 33"}
    (question,) = load(lines(tmp_path, row), style="cloze").questions
    assert len(question.choices or ()) == 40
    with pytest.raises(UserError, match="choices: has 40; between 2 and 26 are needed"):
        load(lines(tmp_path, row), style="choice")


@pytest.mark.skipif(not CASES.is_dir(), reason="the handed cases are not here")
@pytest.mark.parametrize(
    ("name", "questions"),
    [
        ("an.jsonl", [("q", None, ["a", "5"])]),
        ("bin.parquet", [("Capital of France?", None, ["Paris"]), ("x", None, ["y"])]),
        ("c1.jsonl", [("q", None, ["a"])]),
        ("float.jsonl", [("2+1?", None, ["3"])]),
        (
            "medqa.jsonl",
            [("Which vitamin?", ["Retinol", "Thiamine", "Ascorbic acid", "Niacin"], ["Ascorbic acid"])],
        ),
        ("nan.parquet", [("b", None, ["3"])]),
        ("p.tsv", [('Who wrote "Hamlet"?', None, ["Shakespeare"])]),
        ("tqa.jsonl", [("Who?", None, ["Ada", "Ada L."])]),
        ("trl.jsonl", [("Where is Kyoto?", None, ["Japan"])]),
    ],
)
def test_handed_cases(name: str, questions: list[Any]) -> None:
    loaded = load(CASES / name)
    assert [(q.text, q.choices, q.references) for q in loaded.questions] == questions
    assert len(loaded.bad) == (1 if name == "nan.parquet" else 0)
