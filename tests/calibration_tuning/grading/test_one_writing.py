"""The same date, name or amount in another writing is right; another date, name or amount is wrong."""

from __future__ import annotations

import pytest

from calibration_tuning.grading.graders import grade
from calibration_tuning.records import Question

MOON_LANDING = ("July 20, 1969", "20 July 1969")
LANDED = [
    "20 July 1969", "July 20th, 1969", "1969-07-20", "the 20th of July, 1969", "July 20, 1969", "20 Jul 1969",
    "Jul. 20, 1969", "20th July 1969", "JULY 20 1969",
]  # fmt: skip
KINDS: dict[str, list[tuple[str, str, float]]] = {
    "initials": [
        ("J. K. Rowling", "J K Rowling", 1), ("A. A. Milne", "A A Milne", 1), ("T. S. Eliot", "T S Eliot", 1),
        ("U.S.A.", "U S A", 1), ("USA", "U S A", 1), ("George R. R. Martin", "George R R Martin", 1),
        ("D. H. Lawrence", "D.H.Lawrence", 1), ("JK Rowling", "J K Rowling", 1),
        ("J. K. Rowling", "J R Rowling", 0), ("J. K. Rowling", "K J Rowling", 0),
        ("George R. R. Martin", "George R Martin", 0), ("T. S. Eliot", "T Eliot", 0), ("A. A. Milne", "A B Milne", 0),
        ("U.S.A.", "U S", 0), ("vitamin A", "vitamin A B", 0),
    ],
    "dates": [
        *((reference, answer, 1) for reference in MOON_LANDING for answer in LANDED),
        ("4 July", "July 4th", 1), ("July 4", "the 4th of July", 1),
        ("July 20, 1969", "July 21, 1969", 0), ("July 20, 1969", "20 June 1969", 0),
        ("July 20, 1969", "1969-07-21", 0), ("July 20, 1969", "July 20, 1968", 0), ("July 20, 1969", "July 1969", 0),
        ("July 20, 1969", "1969", 0), ("July 20, 1969", "July 20", 0), ("July 20, 1969", "1969-20-07", 0),
        ("July 20, 1969", "July 2, 1969", 0), ("1969-07-20", "1969-07-02", 0), ("20th", "20", 0),
        ("20th century", "20 century", 0), ("May 4", "4 March", 0), ("May 10", "10 may be", 0),
    ],
    "amounts": [
        ("100 km/h", "100km/h", 1), ("5 km", "5km", 1), ("5 pm", "5pm", 1), ("5 mg", "5mg", 1),
        ("6.022 × 10^23", "6.022 x 10^23", 1), ("1920 × 1080", "1920x1080", 1), ("x^2", "x²", 1), ("m²", "m^2", 1),
        ("100 km/h", "100 m/h", 0), ("5 km", "5 m", 0), ("5 m", "5M", 0), ("5 km", "5kg", 0), ("5 mg", "5g", 0),
        ("5 pm", "5 am", 0), ("6.022 × 10^23", "6.022 x 10^22", 0), ("2 × 3", "2 / 3", 0), ("x^2", "x^3", 0),
        ("x²", "x³", 0), ("x²", "x", 0),
    ],
    "spans and ampersands": [
        ("1990-1995", "1990 to 1995", 1), ("1990 to 1995", "1990–1995", 1), ("R&B", "R & B", 1),
        ("1990-1995", "1990 to 1996", 0), ("10-20", "10 to 20", 0), ("R&B", "R&D", 0),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("reference", "answer", "correct"), [case for cases in KINDS.values() for case in cases])
def test_one_writing(reference: str, answer: str, correct: float) -> None:
    def graded(grader: str, reference: str, answer: str) -> float:
        values = {"id": "q", "source": "s", "subject": "s", "group": "g", "question": "?"}
        return grade(Question(**values, references=[reference], grader=grader), answer)

    assert graded("exact", reference, answer) == correct
    assert graded("exact", answer, reference) == correct
    assert graded("fuzzy", reference, answer) == correct
