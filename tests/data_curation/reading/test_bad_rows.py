"""What is no text is left out and named."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.data_curation.reading.files import LETTERS, lines, load, parquet

TURNS = [("user", "a"), ("assistant", " "), ("user", "b")]

GOOD = {"question": "Fine?", "answer": "yes"}


@pytest.mark.parametrize(
    ("bad", "templates", "message"),
    [
        ({"question": ["a", "b"], "answer": "x"}, {}, "question: is a list, not text"),
        ({"question": {"text": "a"}, "answer": "x"}, {}, "question: is a struct with the fields text, not text"),
        ({"question": "a", "answer": {"first": "x"}}, {}, "answer: is a struct with the fields first; name one"),
        ({"question": "a", "answer": {"\ud83d": "x"}}, {}, "answer: is a struct with the fields ?; name one"),
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
            "question: messages: the first turn must be the user's",
        ),
        (
            {"messages": [{"role": role, "content": text} for role, text in TURNS], "answer": "x"},
            {},
            "question: has an earlier turn that is empty",
        ),
        (
            {"messages": [{"role": "tool", "content": "a"}], "answer": "x"},
            {},
            "question: messages.0.role: 'tool'; only messages by",
        ),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image"}]}], "answer": "x"},
            {},
            "question: prompt.0.content: must be text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": {"value": "a"}}]}], "answer": "x"},
            {},
            "question: messages.0.content: must be text",
        ),
        (
            {"question": "a", "answer": "b", "choices": [{"text": ["c"]}, {"text": "b"}]},
            {"style": "cloze"},
            "one of them",
        ),
        ({"question": "a", "answer": "C"}, {"style": "choice", "grader": "choice"}, "choices: is missing"),
        ({"question": "a", "answer": "C", "choices": None}, {"style": "cloze"}, "choices: is missing"),
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
        (datetime.datetime(1969, 7, 20), pa.timestamp("ns"), "1969-07-20"),
        (datetime.datetime(1969, 7, 20, 20, 17), pa.timestamp("us"), "1969-07-20 20:17:00"),
        ("x", pa.dictionary(pa.int8(), pa.string()), "x"),
    ],
)
def test_values_of_parquet_types(tmp_path: Path, value: Any, kind: Any, reference: str) -> None:
    schema = pa.schema([("question", pa.string()), ("answer", kind)])
    (question,) = load(parquet(tmp_path, [{"question": "q", "answer": value}], schema)).questions
    assert question.references == [reference]
