"""Tables and JSON in every format and orientation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.records import Demonstration
from tests.data_curation.reading.files import lines, load, parquet

CASES = Path(__file__).parents[4] / "shared/cases/files"

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
        {"examples": ROWS},
        {"name": "n", "examples": ROWS},
        {"train": ROWS},
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
    "head", ["ID,Question,Answer,Aliases,Subject,Group", "id,QUESTION,answer,aliases,SUBJECT, group"]
)
def test_columns_have_their_names_in_any_case(tmp_path: Path, head: str) -> None:
    path = tmp_path / "q.csv"
    path.write_text(f"{head}\nx7,Who?,me,I|myself,people,one\nx8,Where?,here,,places,one\n")
    first, second = load(path).questions
    assert (first.id, first.question, first.references) == ("set/x7", "Who?", ["me", "I", "myself"])
    assert (second.id, second.question, second.references) == ("set/x8", "Where?", ["here"])
    assert (first.subject, second.subject) == ("people", "places")
    assert first.group == second.group
    assert first.group.endswith(":one")


def test_a_column_in_the_very_case_comes_first(tmp_path: Path) -> None:
    (question,) = load(lines(tmp_path, ROWS[0] | {"ID": "other", "id": "own"})).questions
    assert question.id == "set/own"


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_nan_is_no_json(tmp_path: Path, ending: str) -> None:
    rows = [json.dumps(ROWS[0]), '{"question": "Why?", "answer": "so", "note": NaN}']
    path = tmp_path / f"q.{ending}"
    path.write_text("\n".join(rows) if ending == "jsonl" else f"[{', '.join(rows)}]")
    if ending == "jsonl":
        assert load(path).bad == [(1, "not JSON (NaN is no number)")]
    else:
        with pytest.raises(UserError, match=r"q\.json: cannot be read as json \(NaN is no number\); fix the file"):
            load(path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('question,answer\n"two\nlines",x\n"a" b,y\nc,z\n', 4),
        ('question,answer\na,x\n"b,y\nc,z\n', 3),  # the quote swallows the rest of the file
        ('question,"answer\na,x\n', 1),
    ],
)
def test_a_stray_quote_in_a_csv_is_named_by_its_line(tmp_path: Path, content: str, line: int) -> None:
    path = tmp_path / "q.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"cannot be read as csv \(.* in the row that begins in line {line}\)"):
        load(path)


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
        load(lines(tmp_path, row), style="choice", grader="choice")


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


MAP = pa.map_(pa.string(), pa.string())
KINDS: list[tuple[str, Any, Any, list[str]]] = [
    ("a map", [("value", "a1"), ("aliases", None)], MAP, ["a1"]),
    ("floats", [0.1, None, 0.2], pa.list_(pa.float32()), ["0.1", "0.2"]),
    ("half floats", [0.1], pa.list_(pa.float16(), 1), ["0.1"]),
    ("a half float", 0.1, pa.float16(), ["0.1"]),
    (
        "a struct of floats",
        {"value": 0.1, "aliases": [1.1]},
        pa.struct([("value", pa.float32()), ("aliases", pa.list_(pa.float16()))]),
        ["0.1", "1.1"],
    ),
    ("a map of floats", [("value", 0.1)], pa.map_(pa.string(), pa.float32()), ["0.1"]),
    ("doubles", [0.1], pa.list_(pa.float64()), ["0.1"]),
    ("a boolean", True, pa.bool_(), ["True", "yes"]),
]


# The library `datasets` has no maps.
FROM = [("file", *kind) for kind in KINDS] + [("hub", *kind) for kind in KINDS if "map" not in kind[0]]


@pytest.mark.parametrize(("where", "name", "value", "kind", "references"), FROM)
def test_values_of_arrow_types(
    tmp_path: Path, where: str, name: str, value: Any, kind: Any, references: list[str]
) -> None:
    path = parquet(
        tmp_path, [{"question": "q", "answer": value}], pa.schema([("question", pa.string()), ("answer", kind)])
    )
    if where == "hub":
        (tmp_path / "repo/data").mkdir(parents=True)
        path = path.rename(tmp_path / "repo/data/train-00000-of-00001.parquet").parents[1]
    (question,) = load(path).questions
    assert question.references == references


def test_a_map_of_choices_and_one_that_names_a_key_twice(tmp_path: Path) -> None:
    table = pa.table(
        {
            "question": ["Which?", "Which?"],
            "options": pa.array([[("A", "lime"), ("B", "plum")], [("A", "lime"), ("A", "plum")]], MAP),
            "answer": ["B", "A"],
        }
    )
    pq.write_table(table, tmp_path / "q.parquet")
    loaded = load(tmp_path / "q.parquet", style="choice", grader="choice")
    assert [(q.choices, q.references) for q in loaded.questions] == [(["lime", "plum"], ["plum"])]
    assert loaded.bad == [(1, "a map names 'A' twice")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.ndjson", "".join(json.dumps(row) + "\n" for row in ROWS)),
        ("q.jsonl", json.dumps(ROWS)),
        ("q.jsonl", "\n" + json.dumps(ROWS, indent=2)),
        ("q.csv", "question;answer\nWho?;me\nWhere?;here\n"),
    ],
)
def test_rows_in_an_unexpected_writing(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert [(q.question, q.references) for q in load(tmp_path / name).questions] == [
        ("Who?", ["me"]),
        ("Where?", ["here"]),
    ]


def test_a_semicolon_within_a_header_with_commas_separates_nothing(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,answer,a;b\nWho; when?,me;us,x\n")
    (question,) = load(tmp_path / "q.csv").questions
    assert (question.question, question.references) == ("Who; when?", ["me;us"])


@pytest.mark.parametrize(("written", "reference"), [("TRUE", "yes"), ("True", "yes"), ("FALSE", "no"), ("false", "no")])
def test_truth_as_tables_write_it(tmp_path: Path, written: str, reference: str) -> None:
    (tmp_path / "q.csv").write_text(f"question,answer\nIs it?,{written}\nWho?,TRUEST\n")
    assert [q.references for q in load(tmp_path / "q.csv").questions] == [[written, reference], ["TRUEST"]]
