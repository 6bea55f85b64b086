"""Sets, intervals, bases and units, and numbers in words, for `math`: right and wrong answers."""

import pytest

from calibration_tuning.grading.graders import grade
from calibration_tuning.grading.math_units import other_units
from calibration_tuning.records import Question

UNITS = [
    ("5 cm", "5 m", 0), ("5 cm", "5 cm", 1), (r"5 \text{ cm}", r"5 \text{ m}", 0),
    (r"5 \text{ cm}", "5 centimeters", 1), ("5 cm", "5", 1), ("5", "5 cm", 1), ("5 hours", "5 minutes", 0),
    ("5 hours", "5 hrs", 1), ("5 hours", "5 hours", 1), (r"\$5", "5 cents", 0), (r"\$5", "5 dollars", 1),
    (r"\$5", "$5", 1), (r"\$5", r"\$5", 1), ("5 cents", "5 dollars", 0), ("5 cents", r"\$5", 0), ("$5", "5", 1),
    ("5 apples", "5", 1), ("5 feet", "5 ft", 1), ("5 feet", "5 inches", 0),
]  # fmt: skip
BOTH_SIGNS = [
    (r"\pm 2", "-2, 2", 1), ("-2, 2", r"\pm 2", 1), (r"\pm 2", "2 or -2", 1), (r"\pm 2", r"x = \pm 2", 1),
    (r"x = \pm 2", r"\pm 2", 1), (r"\pm 2", "±2", 1), (r"\pm 2", "2", 0), (r"\pm 2", "-2", 0), ("2", r"\pm 2", 0),
    (r"\pm 2", "2, 3", 0), (r"\pm 2", r"\pm 3", 0), (r"3 \pm \sqrt{2}", r"3 + \sqrt{2}, 3 - \sqrt{2}", 1),
    (r"3 \pm \sqrt{2}", r"3 + \sqrt{2}", 0), (r"\pm 1, \pm 2", "-1, 1, -2, 2", 1), (r"\pm 1, \pm 2", "1, 2", 0),
    (r"\pm\sqrt{3}", r"\sqrt{3}, -\sqrt{3}", 1),
]  # fmt: skip
INTERVALS = [
    (r"(-\infty, 2)", "x < 2", 1), (r"(-\infty, 2)", "x > 2", 0), (r"(-\infty, 2)", r"x \le 2", 0),
    (r"(-\infty,2]", r"x \le 2", 1), ("[1,2]", r"1 \le x \le 2", 1), ("[1,2]", "1 < x < 2", 0),
    ("(1,2)", "1 < x < 2", 1), (r"[3, \infty)", r"x \ge 3", 1), ("(1,2)", "x < 2", 0), ("x < 2", r"(-\infty, 2)", 1),
    ("(1, 2)", "(1, 2)", 1),
]  # fmt: skip
BASES = [
    ("101_2", "101", 0), ("101_2", "101_2", 1), ("101_2", "101_{2}", 1), ("101_2", "5", 0), ("101", "101_2", 0),
]  # fmt: skip
VERDICTS = [
    ("Yes", "Yes, it is.", 1), ("No", "Yes, it is.", 0), ("Yes", "Yes and no.", 0), ("Yes", "Yes, it is not.", 0),
    ("No", "No, it is odd.", 1), (r"\text{Yes}", "Yes, it is.", 1), ("True", "True. Both are even.", 1),
    ("True", "True, but false for 0.", 0), ("No", "No, 5. It is yes", 0), ("Yes", "Yes, because 7 is prime.", 1),
]  # fmt: skip
NUMBERS = [
    ("14", "2 (3 + 4)", 1), ("2", "2 (3 + 4)", 0), ("7", "2 (3 + 4)", 0),
    ("0.5", "0,5", 1), ("0.5", "0,6", 0), ("5000", "5.000,00", 1), ("5", "5.000,00", 0), ("1234567", "12,34,567", 1),
    ("105", "one hundred and five", 1), ("100", "one hundred and five", 0), ("5", "one hundred and five", 0),
    ("6.022e23", "6.022 x 10^23", 1), ("6.022e23", "6.022 x 10^22", 0), ("4", "x = 3 or x = 4", 0),
    ("3", "x = 3 or x = 4", 0), ("4", "The solutions are x = 3 or x = 4", 0),
    ("7", "We have $x = 3$ and $y = 4$, giving $x+y = 7$", 1),
    ("4", "We have $x = 3$ and $y = 4$, giving $x+y = 7$", 0), ("3, 4", "x = 3 or x = 4", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "answer", "correct"), [*UNITS, *BOTH_SIGNS, *INTERVALS, *BASES, *VERDICTS, *NUMBERS]
)
def test_math(reference: str, answer: str, correct: float) -> None:
    asked = Question(id="q", source="s", subject="s", group="g", question="?", references=[reference], grader="math")
    assert grade(asked, answer) == correct


def test_units() -> None:
    assert other_units("5 m", "5 cm")
    assert not other_units("5 m", "6 metres")
    assert not other_units("5 m", "5")
    assert not other_units("5 m", "5 apples")
