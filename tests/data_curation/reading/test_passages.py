"""Passages, further answers and items with aliases: what other columns hold is used, or said to be left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.grading.graders import grade
from tests.data_curation.reading.files import lines, load

ASKED = {"question": "Who came?", "answer": "Ada"}
SVAMP = {
    "Body": "Ann has 5 pens. She gives away 2.",
    "Question": "How many are left?",
    "Equation": "5 - 2",
    "Answer": 3.0,
}


@pytest.mark.parametrize("column", ["context", "passage", "article", "Passage", "story", "body"])
def test_a_passage_that_no_template_shows_is_counted(tmp_path: Path, column: str) -> None:
    rows = [{**ASKED, column: "Ada came at ten."}, {**ASKED, column: "Ada came late."}, {**ASKED, column: ""}]
    loaded = load(lines(tmp_path, *rows), question="{{ question }} Say it.")
    assert loaded.unshown == {column: 2}


@pytest.mark.parametrize(
    ("row", "templates"),
    [
        ({**ASKED, "passage": "Ada came."}, {"context": "{{ passage }}"}),
        ({**ASKED, "passage": "Ada came."}, {"context": None}),
        ({**ASKED, "passage": "Ada came."}, {"question": "{{ row['passage'] | upper }} {{ question }}"}),
        ({**ASKED, "passage": " Ada came. "}, {"answer": "{{ passage }}"}),
        ({**ASKED, "title": "Ada came."}, {}),
        ({**ASKED, "context": {"title": ["a"]}}, {}),
        ({"question": "Where?", "context": "In Oslo.", "answers": {"text": ["Oslo"], "answer_start": [3]}}, {}),
        (SVAMP, {}),
        (SVAMP, {"context": "{{ Body }}", "question": "{{ Question }}"}),
    ],
)
def test_a_passage_that_is_shown_or_not_wanted_is_not(
    tmp_path: Path, row: dict[str, Any], templates: dict[str, Any]
) -> None:
    assert load(lines(tmp_path, row), **templates).unshown == {}


@pytest.mark.parametrize(
    ("templates", "shown"),
    [
        ({}, "Ann has 5 pens. She gives away 2. How many are left?"),
        ({"answer": "{{ Answer }}"}, "Ann has 5 pens. She gives away 2. How many are left?"),
        ({"context": "{{ Body }}"}, "Ann has 5 pens. She gives away 2.\nHow many are left?"),
        ({"question": "{{ Question }}"}, "How many are left?"),
        ({"answer": "{{ Body }}"}, "How many are left?"),
    ],
)
def test_the_body_of_svamp_is_part_of_its_question(tmp_path: Path, templates: dict[str, str], shown: str) -> None:
    (question,) = load(lines(tmp_path, SVAMP), **templates).questions
    assert question.text == shown


@pytest.mark.parametrize(
    ("more", "references"),
    [
        ({"answer_aliases": ["Ada L.", "Lady Ada"]}, ["Ada", "Ada L.", "Lady Ada"]),
        ({"answer_alias": "Ada L.|Lady Ada"}, ["Ada", "Ada L.", "Lady Ada"]),
        ({"aliases": ["Ada L."], "answer_aliases": "['Lady Ada']"}, ["Ada", "Ada L.", "Lady Ada"]),
        ({"correct_answers": ["Ada", "Lovelace"]}, ["Ada", "Lovelace"]),
        ({"correct_answers": 4}, ["Ada"]),
        ({"answer_aliases": []}, ["Ada"]),
        ({"incorrect_answers": ["Bob"]}, ["Ada"]),
    ],
)
def test_aliases_in_other_columns(tmp_path: Path, more: dict[str, Any], references: list[str]) -> None:
    (question,) = load(lines(tmp_path, ASKED | more)).questions
    assert question.references == references
    (listed,) = load(lines(tmp_path, ASKED | {"answer_aliases": ["Lady Ada"]}), grader="set").questions
    assert listed.references == ["Ada"]


@pytest.mark.parametrize(
    "answers",
    [
        [["a", "aa"], ["b"]],
        [{"value": "a", "aliases": ["aa"]}, {"value": "b"}],
        [["a", "aa"], "b", None, []],
        ["a|aa", "b"],
    ],
)
@pytest.mark.parametrize("templates", [{}, {"answer": "{{ row.answers }}"}])
def test_items_of_a_set_with_their_aliases(tmp_path: Path, answers: Any, templates: dict[str, str]) -> None:
    (question,) = load(lines(tmp_path, {"question": "q", "answers": answers}), grader="set", **templates).questions
    assert question.references == ["a|aa", "b"]
    assert question.target == "a, b"
    assert [grade(question, answer) for answer in ("a, b", "b, aa", "a, aa", "a, c", "c")] == [1, 1, 2 / 3, 0.5, 0]


@pytest.mark.parametrize(
    ("row", "references"),
    [
        ({"choices": ["Yes", "No"], "answer": "yes"}, ["Yes"]),
        ({"choices": ["Yes", "No"], "answer": "NO"}, ["No"]),
        ({"choices": ["lime", "plum"], "answer": r"So \boxed{plum}."}, ["plum"]),
    ],
)
def test_a_choice_in_another_writing(tmp_path: Path, row: dict[str, Any], references: list[str]) -> None:
    (question,) = load(lines(tmp_path, {"question": "q", **row}), style="choice", grader="choice").questions
    assert question.references == references


@pytest.mark.parametrize("row", [{"choices": ["US", "us"], "answer": "Us"}, {"choices": ["Yes", "No"], "answer": "y"}])
def test_a_text_that_is_no_single_choice_costs_its_row(tmp_path: Path, row: dict[str, Any]) -> None:
    good = {"question": "q", "choices": ["lime", "plum"], "answer": "lime"}
    loaded = load(lines(tmp_path, good, {"question": "q", **row}), style="choice", grader="choice")
    assert [number for number, _ in loaded.bad] == [1]


@pytest.mark.parametrize(
    ("answer", "reference"),
    [(r"so \boxed{5}", "5"), (r"\boxed{5} and \boxed{5}", "5"), (r"\boxed{5} or \boxed{6}", r"\boxed{5} or \boxed{6}")],
)
def test_a_result_in_a_box(tmp_path: Path, answer: str, reference: str) -> None:
    (question,) = load(lines(tmp_path, {"question": "q", "answer": answer}), grader="math").questions
    assert question.references == [reference]
