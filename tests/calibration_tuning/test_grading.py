import pytest

from calibration_tuning.grading import grade, normalise
from calibration_tuning.records import Question


def question(grader: str, *references: str, choices: list[str] | None = None) -> Question:
    return Question(
        id="1", source="s", subject="s", group="g", question="?", references=list(references), grader=grader,
        choices=choices,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [("The  Beatles!", "beatles"), ("São Tomé", "sao tome"), ("“A” \u2013 an the", ""), ("N'Djamena", "n djamena")],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("grader", "references", "answer", "correct"),
    [
        ("exact", ["United States", "USA"], "the united states.", 1.0),
        ("exact", ["United States", "USA"], "usa", 1.0),
        ("exact", ["United States"], "United States of Mexico", 0.0),
        ("exact", ["Paris"], "", 0.0),
        ("exact", ["the"], "a", 0.0),  # nothing is left of either: not a match
        ("case_sensitive", ["Co"], "Co.", 1.0),
        ("case_sensitive", ["Co"], "CO", 0.0),
        ("numeric", ["1,234"], "it is 1234.", 1.0),
        ("numeric", ["12"], "12.0 apples", 1.0),
        ("numeric", ["12"], "-12", 0.0),
        ("numeric", ["12"], "123", 0.0),
        ("numeric", ["12"], "twelve", 0.0),
    ],
)
def test_graders(grader: str, references: list[str], answer: str, correct: float) -> None:
    assert grade(question(grader, *references), answer) == correct


@pytest.mark.parametrize(
    ("answer", "correct"),
    [("B", 1.0), ("(b)", 1.0), ("B. iron", 1.0), ("iron", 1.0), ("A", 0.0), ("Iron ore", 0.0), ("D", 0.0)],
)
def test_choice_takes_the_letter_or_the_text(answer: str, correct: float) -> None:
    assert grade(question("choice", "iron", choices=["gold", "iron", "tin"]), answer) == correct
