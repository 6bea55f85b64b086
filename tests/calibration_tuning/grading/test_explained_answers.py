"""Answers whose explanation denies, doubts or counts something else, beside answers that take themselves back."""

from __future__ import annotations

import pytest

from calibration_tuning.grading.graders import grade
from calibration_tuning.records import Question

CITIES = ["Paris", "Rome", "Oslo", "Bern"]


def graded(grader: str, reference: str, answer: str, choices: list[str] | None = None) -> float:
    fields = {"id": "1", "source": "s", "subject": "x", "group": "g", "question": "Which?", "references": [reference]}
    style = "choice" if choices else "open_ended"
    return grade(Question.model_validate({**fields, "grader": grader, "choices": choices, "style": style}), answer)


@pytest.mark.parametrize(
    ("reference", "answer", "is_right"),
    [
        ("yes", "Yes, you must wait 30 days.", True),
        ("yes", "Yes, he was. It is wrong to deny it.", True),
        ("yes", "Yes. This is wrong in Italy only.", True),
        ("no", "No, you must wait", True),
        ("no", "No, it is wrong to wait", True),
        ("yes", "Yes. Wait, that is wrong.", False),
        ("yes", "Yes. That is wrong.", False),
        ("yes", "Yes, wait, no.", False),
        ("yes", "Yes. Wait that is wrong.", False),
        ("yes", "Yes - wait I meant the other.", False),
        ("yes", "Yes. That is wrong because he died.", False),
    ],
)
def test_verdicts(reference: str, answer: str, is_right: bool) -> None:
    assert graded("choice", reference, answer, ["yes", "no"]) == is_right


def test_a_verdict_that_denies() -> None:
    assert graded("choice", "Disagree", "Disagree. That is wrong.", ["Agree", "Disagree"]) == 1
    assert graded("choice", "Agree", "Agree. That is wrong.", ["Agree", "Disagree"]) == 0


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("A\n\nPeople wait there.", True),
        ("Paris\n\nI can hardly wait to visit.", True),
        ("A\n\nOption B is wrong. This is wrong because Rome is in Italy.", True),
        ("A is right, but it is not the largest city.", True),
        ("A is right, though it is not obvious.", True),
        ("A is the best answer, but it is not perfect.", True),
        ("Option A is correct, but not by much.", True),
        ("A is correct, but that does not matter", True),
        ("A is right to some extent", True),
        ("A\n\nWait, that is wrong.", False),
        ("A seems right but isn't.", False),
        ("A seems right, but it is not.", False),
        ("A seems right at first.", False),
        ("A seems right to many people.", False),
        ("A looks correct, but is wrong.", False),
        ("A\n\nWait that is wrong.", False),
        ("A is correct, but not really.", False),
        ("A is correct, but it is not true.", False),
        ("A seems right, but it isn't the best one.", False),
        ("A seems right, but not quite.", False),
        ("A seems right to most experts.", False),
    ],
)
def test_letters(answer: str, is_right: bool) -> None:
    assert graded("choice", "Paris", answer, CITIES) == is_right


@pytest.mark.parametrize("grader", ["numeric", "math"])
@pytest.mark.parametrize(
    ("reference", "answer", "is_right"),
    [
        ("5", "5. It cannot be solved in another way.", True),
        ("5", "There are 5. More cannot be determined.", True),
        ("5", "We are unable to determine the exact number. It is about 5.", True),
        ("5", "There is not enough information; 5 is given.", False),
        ("5", "It cannot be determined.", False),
        ("5", "x = 3 or x = 5", False),
        ("5", "x = 3 or x = 5, so both work", False),
        ("5", "Cannot be determined from 6; it is 5", True),
        ("5", "5 is given. There is not enough information.", False),
        ("5", "She has 5 eggs. The price cannot be determined.", False),
        ("5", "It cannot be determined. It is 5 that is given.", False),
        ("12", "Of the 20 people, 12 remain.", True),
        ("12", "Out of 20 marbles, 12 are blue.", True),
        ("12", "The two numbers 5 and 7 sum to 12", True),
        ("12", "for n = 4 we get 12", True),
        ("20", "Of the 20 people, 12 remain.", False),
        ("12", "from 10 to 12 minutes", False),
        ("12", "So she pays $64 for 12 glasses.", False),
    ],
)
def test_numbers(grader: str, reference: str, answer: str, is_right: bool) -> None:
    assert graded(grader, reference, answer) == is_right


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [("101₂", True), ("101 (binary)", True), ("101", False), ("101₃", False), ("101 (octal)", False)],
)
def test_bases(answer: str, is_right: bool) -> None:
    assert graded("math", "101_2", answer) == is_right
