"""Lists in the cells of a table, as numpy prints them: what `DataFrame.to_csv` leaves of a parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.values import parsed
from tests.data_curation.reading.files import load


def array(*values: Any, kind: Any = object) -> Any:
    return np.array(values, dtype=kind)


NUMBERED = [f"word number {n}" for n in range(9)]
ROWS: dict[str, tuple[dict[str, Any], tuple[str, list[str] | None, list[str]]]] = {
    "nq_open": ({"question": "Who?", "answer": array("a b", "it's")}, ("Who?", None, ["a b", "it's"])),
    "one answer": ({"question": "Who?", "answer": array("a b")}, ("Who?", None, ["a b"])),
    "several lines": ({"question": "Who?", "answer": array(*NUMBERED)}, ("Who?", None, NUMBERED)),
    "texts, not objects": ({"question": "Who?", "answer": array("a", "b", kind=str)}, ("Who?", None, ["a", "b"])),
    "a missing one": ({"question": "Who?", "answer": array("a", None, "b")}, ("Who?", None, ["a", "b"])),
    "lists of lists": (
        {"question": "Who?", "answer": np.array([array("a"), array("b", "c")], dtype=object)},
        ("Who?", None, ["a", "b", "c"]),
    ),
    "aliases": ({"question": "Who?", "answer": "z", "aliases": array("x", "y")}, ("Who?", None, ["z", "x", "y"])),
    "answers that are numbers": ({"question": "Who?", "answers": array(5, 6, kind=int)}, ("Who?", None, ["5", "6"])),
    "numbers": ({"question": "Who?", "answer": array(0.1, 0.2, kind=float)}, ("Who?", None, ["[0.1 0.2]"])),
    "squad": (
        {
            "context": "Oslo is cold.",
            "question": "Where?",
            "answers": {"text": array("Oslo", "in Oslo"), "answer_start": array(0, 0, kind=np.int32)},
        },
        ("Oslo is cold.\nWhere?", None, ["Oslo", "in Oslo"]),
    ),
    "squad, in `answer`": (
        {
            "context": "Oslo is cold.",
            "question": "Where?",
            "answer": {"text": array(*NUMBERED), "answer_start": array(*range(2000), kind=np.int32)},
        },
        ("Oslo is cold.\nWhere?", None, NUMBERED),
    ),
    "trivia_qa": (
        {"question": "Who?", "answer": {"aliases": array("A B", "C"), "value": "Ada", "score": float("nan")}},
        ("Who?", None, ["Ada", "A B", "C"]),
    ),
    "arc": (
        {
            "question": "Which?",
            "choices": {"text": array("lime", "plum"), "label": array("1", "2")},
            "answerKey": "2",
        },
        ("Which?", ["lime", "plum"], ["plum"]),
    ),
    "mmlu": ({"question": "Which?", "choices": array(*NUMBERED), "answer": 2}, ("Which?", NUMBERED, [NUMBERED[2]])),
    "numbers to choose from": (
        {"question": "Which?", "choices": array(10, 20, kind=int), "answer": "20"},
        ("Which?", ["10", "20"], ["20"]),
    ),
    "messages": (
        {"messages": array({"role": "user", "content": "Where?"}, {"role": "assistant", "content": "It's\nOslo"})},
        ("Where?", None, ["It's\nOslo"]),
    ),
    "a boolean": ({"question": "Is it?", "answer": True}, ("Is it?", None, ["True", "yes"])),
}


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("name", ROWS)
def test_lists_that_pandas_wrote(tmp_path: Path, name: str, suffix: str) -> None:
    pandas = pytest.importorskip("pandas")
    row, (text, choices, references) = ROWS[name]
    path = tmp_path / f"q.{suffix}"
    pandas.DataFrame([row | {"n": 1}]).to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    (question,) = load(path).questions
    assert (question.text, question.choices, question.references) == (text, choices, references)


LONG = array(*map(str, range(1200)))


@pytest.mark.parametrize(
    "row",
    [
        {"answer": LONG},
        {"answers": {"text": LONG, "answer_start": [0]}},
        {"answer": array(*range(1200), kind=int)},
        {"answer": "a", "aliases": LONG},
    ],
)
def test_a_list_that_numpy_shortened_is_left_out(tmp_path: Path, row: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame([{"question": "Who?", **row}]).to_csv(tmp_path / "q.csv", index=False)
    with pytest.raises(UserError, match=r'(answers?|aliases): is "\.\.\.", which stands for values that numpy left'):
        load(tmp_path / "q.csv")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("['a' 'b']", ["a", "b"]),
        ("['a'\n 'b']", ["a", "b"]),
        ("[\"it's\" 'b']", ["it's", "b"]),
        ("[b'a' b'b']", [b"a", b"b"]),
        ("[ 1. -2. nan]", [1.0, -2.0, None]),
        ("[-0.1 -2.3e-05]", [-0.1, -2.3e-05]),
        ("[True False]", [True, False]),
        ("[{'a': 1}\n {'a': 2}]", [{"a": 1}, {"a": 2}]),
        ("[array(['a'], dtype=object) array(['b'], dtype='<U1')]", [["a"], ["b"]]),
        ("{'a': array([], shape=(0, 2), dtype=float64)}", {"a": []}),
        ("[np.float64(0.5), np.str_('x')]", [0.5, "x"]),
        ("{'a': Timestamp('2020-01-01 00:00:00')}", {"a": "2020-01-01 00:00:00"}),
        ("['a', 'b']", ["a", "b"]),
        ('["a", null]', ["a", None]),
        ("{'a': 'b', 'c': None}", {"a": "b", "c": None}),
    ],
)
def test_structures_that_are_written_as_text(text: str, value: Any) -> None:
    assert parsed(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("[x y]", "{a b}", "[0, 1)]", "[1 - 2]", "[f('a')]", "[open('a')]", "['a'.b]", "['a' if 1 else 'b']"),
        *(r"[\frac{1}{2}]", "{'a' 'b'}", "[a](b) [c]", "[not 'a']", "['a", "[# a]", "(1 2)", "[1; 2]", "[it's]"),
    ],
)
def test_texts_in_brackets_stay(text: str) -> None:
    assert parsed(text) == text
    assert parsed([text]) == [text]


@pytest.mark.parametrize(
    "text", ["[1, 2]", "[1 2]", "[1, 2, ..., 10]", "[...]", "[None]", "[[1, 2], [3, 4]]", "[1, 'a']"]
)
def test_answers_in_brackets_stay(tmp_path: Path, text: str) -> None:
    """Intervals, sequences, matrices, what a program prints."""
    (tmp_path / "q.tsv").write_text(f"question\tanswer\nWhich?\t{text}\n")
    assert load(tmp_path / "q.tsv").questions[0].references == [text]
