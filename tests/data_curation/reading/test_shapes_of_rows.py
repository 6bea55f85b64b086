"""Rows of well-known shapes are read as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_curation.question_sets import CountFromOne
from tests.data_curation.reading.files import LETTERS, lines, load, parquet

FRUIT = ["lime", "plum", "pear"]

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
    "texts whose label is no list": (
        {"question": "Which?", "choices": {"text": FRUIT, "label": 1}, "answer": "pear"},
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
    "mmlu, as a table": (
        {"question": "Which?", "A": "lime", "B": "plum", "C": "pear", "answer": "C"},
        ("Which?", FRUIT, ["pear"]),
    ),
    "medmcqa": (
        {"question": "Which?", "opa": "lime", "opb": "plum", "opc": "pear", "cop": 2},
        ("Which?", FRUIT, ["pear"]),
    ),
    "a column for each option": (
        {"question": "Which?", "option_a": "lime", "option_b": "plum", "option_c": "pear", "answer": "b"},
        ("Which?", FRUIT, ["plum"]),
    ),
    "columns of a letter that are numbers": (
        {"question": "a + b?", "a": 3, "b": -2, "answer": 1},
        ("a + b?", None, ["1"]),
    ),
    "mmlu_pro": (
        {"question": "Which?", "options": FRUIT, "answer": "C", "answer_index": 2},
        ("Which?", FRUIT, ["pear"]),
    ),
    "mmlu, a position that is a choice too": (
        {"question": "1 + 3?", "choices": ["2", "3", "4", "12"], "answer": 2},
        ("1 + 3?", ["2", "3", "4", "12"], ["4"]),
    ),
    "mmlu, a position in a column with missing values": (
        {"question": "1 + 3?", "choices": ["2", "3", "4", "12"], "answer": 2.0},
        ("1 + 3?", ["2", "3", "4", "12"], ["4"]),
    ),
    "a number that is no position": (
        {"question": "3 * 4?", "choices": ["2", "3", "4", "12"], "answer": 12},
        ("3 * 4?", ["2", "3", "4", "12"], ["12"]),
    ),
    "a number and the letter that says it is no position": (
        {"question": "1 + 1?", "options": {"A": "2", "B": "3", "C": "4"}, "answer": 2, "answer_idx": "A"},
        ("1 + 1?", ["2", "3", "4"], ["2"]),
    ),
    "a choice written as text": (
        {"question": "1 + 3?", "choices": ["2", "3", "4"], "answer": "4"},
        ("1 + 3?", ["2", "3", "4"], ["4"]),
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
    "a list of answers written as text": ({"question": "Who?", "answer": "['a', 'b']"}, ("Who?", None, ["a", "b"])),
    "an interval": ({"question": "Where?", "answer": "[1, 2]"}, ("Where?", None, ["[1, 2]"])),
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


@pytest.mark.parametrize(
    ("row", "label", "expected"),
    [
        # Own labels, as they stand in the row.
        ({"choices": [{"id": 1, "text": "lime"}, {"id": 2, "text": "plum"}], "gold": 1}, "{{ gold }}", "lime"),
        ({"choices": {"text": FRUIT, "label": [1, 2, 3]}, "gold": 3}, "{{ row['gold'] }}", "pear"),
        ({"choices": {"text": FRUIT, "label": ["1", "2", "3"]}, "gold": 2}, "{{ gold }}", "plum"),
        ({"choices": {"text": FRUIT, "label": [1, 2, 3]}, "the gold-id": 2}, "{{ row['the gold-id'] }}", "plum"),
        # Positions, which are computed.
        ({"choices": {"text": FRUIT, "label": [1, 2, 3]}, "gold": 2}, "{{- gold -}}", "plum"),
        ({"choices": {"text": FRUIT, "label": [1, 2, 3]}, "gold": 2}, "{{ gold | default(none) }}", "plum"),
        ({"choices": {"text": FRUIT, "label": [1, 2, 3]}, "gold": 2}, "{{ choices.label.index(gold) }}", "plum"),
        ({"choices": {"text": FRUIT, "label": [1, 2, 3]}, "gold": 2}, "{{ gold - 1 }}", "plum"),
        ({"choices": FRUIT, "gold": 1}, "{{ gold }}", "plum"),
    ],
)
def test_a_number_that_stands_in_the_row_may_be_a_label_of_it(
    tmp_path: Path, row: dict[str, Any], label: str, expected: str
) -> None:
    (question,) = load(lines(tmp_path, {"question": "q", **row}), grader="choice", label=label).questions
    assert question.references == [expected]


FOUR = ["lime", "plum", "pear", "fig"]
LETTERED = dict(zip(("opa", "opb", "opc", "opd"), FOUR, strict=True))


@pytest.mark.parametrize(
    ("row", "templates", "label"),
    [
        (lambda n: {"choices": FOUR, "answer": n}, {}, "{{ answer - 1 }}"),
        (lambda n: {"choices": FOUR, " Answer": n}, {}, "{{ row[' Answer'] - 1 }}"),
        (lambda n: {**LETTERED, "cop": n}, {}, "{{ cop - 1 }}"),
        (lambda n: {"choices": FOUR, "answer": str(n)}, {}, "{{ answer | int - 1 }}"),
        (lambda n: {"choices": FOUR, "gold": n}, {"label": "{{ gold }}"}, "{{ gold - 1 }}"),
        (lambda n: {"choices": FOUR, "gold": [n]}, {"label": "{{ gold | first }}"}, "{{ (gold | first) - 1 }}"),
    ],
)
@pytest.mark.parametrize("style", ["choice", "open_ended"])
def test_labels_that_count_from_one_are_refused_and_the_advice_helps(
    tmp_path: Path, row: Any, templates: dict[str, str], label: str, style: str
) -> None:
    path = lines(tmp_path, *({"question": f"q{n}", **row(1 + n % 4)} for n in range(8)))
    how = {**templates, "style": style, "grader": "choice"}
    with pytest.raises(CountFromOne) as error:
        load(path, **how)
    assert str(error.value) == f'questions.set.label: the labels in {path} count from 1; write label: "{label}"'
    loaded = load(path, **{**how, "label": label})
    assert [q.references for q in loaded.questions] == [[FOUR[n % 4]] for n in range(8)]
    assert not loaded.bad


@pytest.mark.parametrize("templates", [{}, {"label": "{{ answer }}"}])
def test_a_number_beyond_the_choices_costs_its_row(tmp_path: Path, templates: dict[str, str]) -> None:
    """Where others count from 0."""
    rows = [{"question": f"q{n}", "choices": FOUR, "answer": n} for n in (1, 4, 0)]
    loaded = load(lines(tmp_path, *rows), grader="choice", style="choice", **templates)
    assert [q.references for q in loaded.questions] == [["plum"], ["lime"]]
    assert [number for number, _ in loaded.bad] == [1]


def test_a_system_message_stays_where_the_answer_is_a_template(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where?"}]
    (question,) = load(lines(tmp_path, {"messages": turns, "gold": "Japan"}), answer="{{ gold }}").questions
    assert (question.text, question.references) == ("Be brief.\nWhere?", ["Japan"])
