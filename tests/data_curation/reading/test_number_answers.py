"""Answers that are digits among choices that are digits: positions in MMLU as a table, texts in other tables."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from calibration_tuning.errors import UserError
from data_curation.question_sets import Loaded
from tests.data_curation.reading.files import lines, load

UNCLEAR = (["2", "4", "1", "3"], "1")
WORDS = (["lime", "plum", "pear", "fig"], "2")
BY_TEXT = (["12", "2", "3", "9"], "12")


def read(folder: Path, rows: list[tuple[list[str], str]], kind: str, **templates: str) -> Loaded:
    if kind == "jsonl":
        values = [{"question": f"q{n}", "choices": choices, "answer": a} for n, (choices, a) in enumerate(rows)]
        return load(lines(folder, *values), grader="choice", style="choice", **templates)
    with (folder / "q.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("question", "choices", "answer"), *((f"q{n}", *r) for n, r in enumerate(rows))])
    return load(folder / "q.csv", grader="choice", style="choice", **templates)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("rows", "references"),
    [
        ([UNCLEAR, WORDS], ["4", "pear"]),
        ([WORDS, (["3", "0", "1", "2"], "2"), (["1", "2", "3", "4"], "1")], ["pear", "1", "2"]),
        ([UNCLEAR, BY_TEXT], ["1", "12"]),
        ([BY_TEXT, UNCLEAR, (["plum", "1"], "plum")], ["12", "1", "plum"]),
        ([(["0", "1", "2"], "1")], ["1"]),
        ([WORDS, (["7", "8", "9"], "1")], ["pear", "8"]),
    ],
)
def test_the_set_tells_how_digits_are_meant(
    tmp_path: Path, rows: list[tuple[list[str], str]], references: list[str], kind: str
) -> None:
    loaded = read(tmp_path, rows, kind)
    assert [q.references for q in loaded.questions] == [[reference] for reference in references]
    assert not loaded.bad


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("clear", [[(["lime", "plum"], "plum"), WORDS], [BY_TEXT, WORDS], [(["0", "1", "2"], "1")]])
def test_a_row_that_stays_unclear_is_left_out_and_named(
    tmp_path: Path, clear: list[tuple[list[str], str]], kind: str
) -> None:
    loaded = read(tmp_path, [*clear, UNCLEAR], kind)
    assert len(loaded.questions) == len(clear)
    ((number, reason),) = loaded.bad
    assert number == len(clear)
    assert reason.startswith("answer: '1' is one of the choices and also the position of '4'; write label: ")
    assert '"{{ answer }}" if answers are positions' in reason


@pytest.mark.parametrize(
    ("templates", "reference"), [({"label": "{{ answer }}"}, "4"), ({"answer": "{{ row.answer }}"}, "1")]
)
def test_the_advice_helps(tmp_path: Path, templates: dict[str, str], reference: str) -> None:
    with pytest.raises(UserError, match="write label: "):
        read(tmp_path, [UNCLEAR], "jsonl")
    (question,) = read(tmp_path, [UNCLEAR], "jsonl", **templates).questions
    assert question.references == [reference]


def test_ids_stay_with_their_rows(tmp_path: Path) -> None:
    loaded = read(tmp_path, [UNCLEAR, (["lime", "plum"], "plum"), WORDS], "jsonl")
    assert [(q.id, q.question) for q in loaded.questions] == [("set/1", "q1"), ("set/2", "q2")]
