"""Rows as data sets on the hub hold them: what is right is found, or the row is left out with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.errors import UserError
from data_curation.question_sets import CountFromOne
from tests.data_curation.reading.files import lines, load

FOUR = ["lime", "plum", "pear", "fig"]
TENS = ["10", "20", "30", "40"]
ASKED = {"question": "Which?"}
OF_FOUR = ASKED | {"options": FOUR}


def chat(reply: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": reply}]}


READ: list[tuple[dict[str, Any], list[str] | None, list[str]]] = [
    # A label in the ways that people write it.
    (OF_FOUR | {"answer": "(B)"}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": "(b)"}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": "B."}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": "Option B"}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": "B. plum"}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": "B) Plum."}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": ["B"]}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": "**B**"}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": r"$\boxed{B}$"}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": "The answer is (B)."}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": "1.0"}, FOUR, ["plum"]),
    (OF_FOUR | {"answer_idx": "1.0"}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": {"label": "B", "text": "plum"}}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": "b", "answerKey": "B"}, FOUR, ["plum"]),
    (OF_FOUR | {"answerKey": "B", "answer_index": 1}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": 1, "target": "plum"}, FOUR, ["plum"]),
    (OF_FOUR | {"label": "plum"}, FOUR, ["plum"]),
    (ASKED | {"options": ["x", "x", "y"], "answer": "x", "answerKey": "B"}, None, ["x"]),
    (chat("B") | {"choices": FOUR}, FOUR, ["plum"]),
    (OF_FOUR | {"answer": ["plum", "prune"]}, FOUR, ["plum", "prune"]),
    # What only looks like a label.
    (OF_FOUR | {"answer": "E. coli"}, FOUR, ["E. coli"]),
    (OF_FOUR | {"answer": "a"}, FOUR, ["a"]),
    (OF_FOUR | {"answer": "fig", "label": "hard"}, FOUR, ["fig"]),
    (ASKED | {"options": ["E. coli", "B. subtilis"], "answer": "E. coli"}, ["E. coli", "B. subtilis"], ["E. coli"]),
    (ASKED | {"options": ["Na", "K"], "answer": "K"}, ["Na", "K"], ["K"]),
    (ASKED | {"options": ["B", "A", "O", "AB"], "answer": "AB"}, ["B", "A", "O", "AB"], ["AB"]),
    (ASKED | {"options": ["1.5", "2.5", "3.5"], "answer": "2.5"}, ["1.5", "2.5", "3.5"], ["2.5"]),
    (ASKED | {"options": ["1:30", "2:30"], "answer": "2:30"}, ["1:30", "2:30"], ["2:30"]),
    (ASKED | {"options": ["1.0", "2.0"], "answer": "1.0"}, ["1.0", "2.0"], ["1.0"]),
    (ASKED | {"options": [], "answer": "C"}, None, ["C"]),
    (ASKED | {"op1": "3", "op2": "4", "answer": "2"}, None, ["2"]),
    (ASKED | {"a": "3", "b": "-2", "answer": "1"}, None, ["1"]),
    # Numbers that are choices.
    (ASKED | {"choices": ["2", "3", "4", "12"], "answer": 4}, ["2", "3", "4", "12"], ["4"]),
    (ASKED | {"choices": ["1990", "1991"], "answer": 1991}, ["1990", "1991"], ["1991"]),
    (ASKED | {"choices": TENS, "answer": 3}, TENS, ["40"]),
    # Choices with labels of their own: AQuA, AGIEval, a struct each, columns.
    (ASKED | {"options": ["A)21", "B)21.5", "C)22"], "answer": "C"}, ["21", "21.5", "22"], ["22"]),
    (ASKED | {"options": ["(A)xx", "(B)yy"], "label": "B"}, ["xx", "yy"], ["yy"]),
    (ASKED | {"options": ["A．甲", "B、乙"], "answer": "B"}, ["甲", "乙"], ["乙"]),
    (ASKED | {"answer_options": {"A": "lime", "B": "plum"}, "answer": "B"}, FOUR[:2], ["plum"]),
    (ASKED | {"options": ["a ) 4 , 5", "b ) 6"], "answer": "b ) 6"}, ["4 , 5", "6"], ["6"]),
    (ASKED | {"options": ["1. Oslo", "2. Moss", "3. Bodo"], "answer": 2}, ["Oslo", "Moss", "Bodo"], ["Moss"]),
    (
        ASKED | {"choices": [{"option": "B", "content": "b1"}, {"option": "A", "content": "a1"}], "answer": "A"},
        ["b1", "a1"],
        ["a1"],
    ),
    (
        ASKED
        | {"choices": [{"id": 7, "option": "B", "text": "b1"}, {"id": 8, "option": "A", "text": "a1"}], "cop": "A"},
        ["b1", "a1"],
        ["a1"],
    ),
    (ASKED | {"A": "lime", "B": "plum", "C": "pear", "answer": "(C)"}, FOUR[:3], ["pear"]),
    (ASKED | {"A": "lime", "B": "plum", "C": "pear", "answer": 2}, FOUR[:3], ["pear"]),
    (ASKED | {"option1": "lime", "option2": "plum", "answer": "plum"}, FOUR[:2], ["plum"]),
    (ASKED | {"option1": "lime", "option2": "plum", "answer": "option2"}, FOUR[:2], ["plum"]),
    (ASKED | {"option1": "lime", "option2": "plum", "answer": "B"}, FOUR[:2], ["plum"]),
    # References that an answer can equal.
    (chat("<think>A city.</think>\n\nParis"), None, ["Paris"]),
    (
        {"prompt": "Which?", "completion": [{"role": "assistant", "content": "<think>A city.</think>\nParis"}]},
        None,
        ["Paris"],
    ),
    ({"instruction": "Which?", "input": "", "output": "<think>A city.</think>\n\nParis"}, None, ["Paris"]),
    (
        {
            "conversations": [
                {"from": "user", "value": "Which?"},
                {"from": "gpt", "value": "<|begin_of_thought|>x<|end_of_thought|>\n<|begin_of_solution|>Oslo"},
            ]
        },
        None,
        ["Oslo"],
    ),
    (ASKED | {"answer": "48/2 = <<48/2=24>>24 clips.\n#### 1,072\n"}, None, ["1,072"]),
    (ASKED | {"answer": "24 clips. #### 72", "target": 72}, None, ["72"]),
    (chat("24 clips.\n#### 72"), None, ["72"]),
    (ASKED | {"answer": "#### Title\nA text."}, None, ["#### Title\nA text."]),
    (ASKED | {"answer": "the mark ####"}, None, ["the mark ####"]),
    (ASKED | {"answer": True, "passage": "p"}, None, ["True", "yes"]),
    (ASKED | {"answer": False, "label": 0}, None, ["False", "no"]),
    (ASKED | {"choices": ["yes", "no"], "answer": False}, ["yes", "no"], ["no"]),
    (ASKED | {"choices": ["True", "False"], "answer": False}, ["True", "False"], ["False"]),
    (ASKED | {"answer": "True story"}, None, ["True story"]),
    # Two columns that agree.
    (ASKED | {"answer": "paris", "correct_answer": "Paris"}, None, ["paris"]),
    (ASKED | {"answer": "Paris", "answers": ["Paris, France", "Paris"]}, None, ["Paris"]),
    (ASKED | {"answer": 72.0, "ground_truth": "72"}, None, ["72"]),
    (ASKED | {"answer": "Paris", "target": "", "best_answer": None}, None, ["Paris"]),
    (ASKED | {"answer": "x", "output": "what a model said"}, None, ["x"]),
    (
        ASKED | {"best_answer": "No", "correct_answers": ["No", "Nope"], "incorrect_answers": ["Yes"]},
        None,
        ["No", "Nope"],
    ),
    (ASKED | {"answer": "The lake is deep.", "label": 1}, None, ["The lake is deep."]),
    (ASKED | {"answer": "no", "label": 0}, None, ["no"]),
    (ASKED | {"answer": "0", "label": 0}, None, ["0"]),
    ({"prompt": "Which?", "completion": "good", "label": True}, None, ["good"]),
    (ASKED | {"answer": {"number": "", "date": {"day": ""}, "spans": ["Tom", "Ann"]}}, None, ["Tom", "Ann"]),
    (ASKED | {"answer": "yes", "context": {"title": ["a"], "sentences": [["x"]]}}, None, ["yes"]),
]


@pytest.mark.parametrize(("row", "choices", "references"), READ)
def test_what_is_right_is_found(
    tmp_path: Path, row: dict[str, Any], choices: list[str] | None, references: list[str]
) -> None:
    (question,) = load(lines(tmp_path, row)).questions
    assert (question.text, question.choices, question.references) == ("Which?", choices, references)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"instruction": "Add.", "input": 5, "output": "6"}, "Add.\n5"),
        ({"instruction": 5, "input": 1.0, "output": "6"}, "5\n1"),
        ({"instruction": "Add.", "input": None, "output": "6"}, "Add."),
        ({"instruction": "Add.", "input": "[1, 2]", "output": "3"}, "Add.\n[1, 2]"),
    ],
)
def test_instructions(tmp_path: Path, row: dict[str, Any], text: str) -> None:
    (question,) = load(lines(tmp_path, row)).questions
    assert question.text == text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (OF_FOUR | {"answer": "B", "answer_index": 2}, "'B' and answer_index 2 are not the same choice"),
        (OF_FOUR | {"answer": "B", "answerKey": "C"}, "'B' and answerkey 'C' are not the same choice"),
        (OF_FOUR | {"answer": "b", "answerKey": "C"}, "'b' and answerkey 'C' are not the same choice"),
        (OF_FOUR | {"answer": "plum", "label": "pear"}, "'plum' and label 'pear' are not the same choice"),
        (OF_FOUR | {"answerKey": "B", "answer_index": 2}, "answerkey 'B' and answer_index 2 are not the same"),
        (OF_FOUR | {"answer": "B. fig"}, "'B. fig' names none or several of the 4 choices"),
        (OF_FOUR | {"answer": "E"}, "'E' names none or several of the 4 choices"),
        (OF_FOUR | {"answer": "Option 2"}, "'Option 2' names none or several"),
        (OF_FOUR | {"answer": "AC"}, "'AC' names none or several"),
        (OF_FOUR | {"answer": "A and C"}, "'A and C' names none or several"),
        (OF_FOUR | {"answer": ["A", "C"]}, "['A', 'C'] names none or several"),
        (OF_FOUR | {"answer": -1}, "answer -1 is no position from 0 to 3"),
        (ASKED | {"options": "A. x\nB. y", "answer": "B"}, "'B' is a letter, and the choices cannot be read"),
        (
            ASKED | {"option1": "x", "option2": "y", "answer": "2"},
            "answer 2 may count option1, option2 from 0 or from 1",
        ),
        (ASKED | {"choice1": "x", "choice2": "y", "label": 0}, "label 0 may count choice1, choice2 from 0 or from 1"),
        (ASKED | {"answers": FOUR, "correct_answer_id": 2}, "answers may be the choices of correct_answer_id 2"),
        (ASKED | {"answers": FOUR, "label": 2}, "answers may be the choices of label 2"),
        (chat("<think>It may be"), "answer: is empty"),
        (ASKED | {"answer": "Lyon", "correct_answer": "Paris"}, "'Lyon' and correct_answer 'Paris' are not the same; "),
        (ASKED | {"answer": "Lyon", "best_answer": "Paris"}, "'Lyon' and best_answer 'Paris' are not the same; "),
        (
            ASKED | {"answer": "Lyon", "target": "Paris"},
            'are not the same; write answer: "{{ target }}" or "{{ row.answer }}"',
        ),
        (ASKED | {"answer": "Lyon", "ground_truth": ["Paris"]}, "'Lyon' and ground_truth 'Paris' are not the same; "),
        (ASKED | {"answer": "B", "answers": FOUR}, "'B' and answers 'lime' are not the same; "),
        (ASKED | {"output": "Lyon", "expected_answer": "Paris"}, "'Lyon' and expected_answer 'Paris' are not the same"),
        (
            OF_FOUR | {"answer": "A", "target": "B"},
            'are not the same; write label: "{{ target }}" or "{{ row.answer }}"',
        ),
        (
            ASKED | {"answer": "lime", "correct_answer": "pear", "distractor1": "lime", "distractor2": "plum"},
            "'lime' and correct_answer 'pear' are not the same; ",
        ),
        (ASKED | {"answer": "The lake is dry.", "label": 0}, "is marked as wrong (label: 0)"),
        (ASKED | {"answer": "x", "is_correct": "False"}, "is marked as wrong (is_correct: False)"),
        ({"prompt": "Which?", "completion": "bad", "label": False}, "is marked as wrong (label: False)"),
        ({"instruction": "Add.", "input": [1, 2], "output": "3"}, "question: input is a list, not text"),
        ({"instruction": ["Add."], "input": "1", "output": "3"}, "question: instruction is a list, not text"),
        (
            {"prompt": "Which?", "completion": [{"role": "tool", "content": "x"}]},
            "answer: completion.1.role: 'tool'; only messages by",
        ),
    ],
)
def test_what_cannot_be_right_is_left_out_and_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    good = {"question": "Fine?", "answer": "yes"}
    loaded = load(lines(tmp_path, good, row, good))
    assert len(loaded.questions) == 2
    ((number, what),) = loaded.bad
    assert number == 1
    assert message in what


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (lambda n: {"choices": TENS, "answer": n}, "{{ answer - 1 }}"),
        (lambda n: {"choices": [10, 20, 30, 40], "answer": n}, "{{ answer - 1 }}"),
        (lambda n: {"options": TENS, "answer": "ABCD"[n - 1], "answer_index": n}, "{{ answer_index - 1 }}"),
        (lambda n: {"options": TENS, "answer": TENS[n - 1], "answer_idx": n}, "{{ answer_idx - 1 }}"),
    ],
)
def test_labels_that_count_from_one_beside_numbers_and_letters(tmp_path: Path, row: Any, label: str) -> None:
    path = lines(tmp_path, *({"question": f"q{n}", **row(1 + n % 4)} for n in range(8)))
    with pytest.raises(CountFromOne) as error:
        load(path)
    assert error.value.label == label
    assert [q.references for q in load(path, label=label).questions] == [[TENS[n % 4]] for n in range(8)]


@pytest.mark.parametrize(
    ("templates", "references"),
    [
        ({"answer": "{{ row.answer }}"}, ["Lyon"]),
        ({"answer": "{{ target }}"}, ["Paris"]),
        ({"question": "{{ row.question }}", "answer": "{{ target }}", "label": None}, ["Paris"]),
    ],
)
def test_a_template_says_which_of_two_answers_is_right(
    tmp_path: Path, templates: dict[str, str], references: list[str]
) -> None:
    (question,) = load(lines(tmp_path, ASKED | {"answer": "Lyon", "target": "Paris"}), **templates).questions
    assert question.references == references


def test_a_question_with_a_template_keeps_the_answer_of_the_row(tmp_path: Path) -> None:
    """Though the row's question cannot be read; a contradiction among its answers still counts."""
    row = {"instruction": "Add.", "input": [1, 2], "output": "3"}
    asked = "{{ instruction }} {{ input | join(', ') }}"
    (question,) = load(lines(tmp_path, row), question=asked).questions
    assert (question.text, question.references) == ("Add. 1, 2", ["3"])
    with pytest.raises(UserError, match="'3' and target '4' are not the same"):
        load(lines(tmp_path, row | {"target": "4"}), question=asked)


@pytest.mark.parametrize("name", ["NonMatchingSplitsSizesError", "UnexpectedSplitsError", "DatasetGenerationError"])
def test_a_data_set_that_does_not_match_its_card_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import datasets

    def refuse(*arguments: Any, **options: Any) -> None:
        raise getattr(datasets.exceptions, name)("[{'expected': 1, 'recorded': 2}]")

    monkeypatch.setattr("datasets.load_dataset", refuse)
    with pytest.raises(UserError, match=r"questions\.set\.path: org/set cannot be read \(\[\{'expected': 1"):
        load(Path("org/set"))
    no_table = "not a json, jsonl, csv, tsv or parquet file, and no data set that can be read"
    for path in ("a.yaml", "data/a.xlsx"):
        with pytest.raises(UserError, match=rf"questions\.set\.path: {path}: {no_table} \(\[\{{'expected': 1"):
            load(Path(path))


def test_templates_of_choices_with_labels(tmp_path: Path) -> None:
    row = ASKED | {"options": ["A)21", "B)22"], "n": 1, "gold": "B"}
    path = lines(tmp_path, row)
    for how in ({"answer": "{{ options[n] }}"}, {"label": "{{ gold }}"}, {"label": "{{ '(' ~ gold ~ ')' }}"}):
        (question,) = load(path, choices="{{ options }}", style="choice", grader="choice", **how).questions
        assert (question.choices, question.references, question.target) == (["21", "22"], ["22"], "B")
    with pytest.raises(UserError, match="answer: 'B' is not one of the choices"):
        load(path, choices="{{ options }}", answer="{{ gold }}")
