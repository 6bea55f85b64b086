"""What is known without looking at an answer."""

from __future__ import annotations

import pytest

from calibration_tuning.records import GradedAnswer
from evaluation.baselines import subject_accuracy


def rows(*answers: tuple[str, float]) -> list[GradedAnswer]:
    return [
        GradedAnswer(
            id=str(number),
            source="s",
            subject=subject,
            group=str(number),
            question="?",
            references=["x"],
            grader="exact",
            answer="x",
            token_ids=[1],
            token_logprobs=[0.0],
            correct=correct,
        )
        for number, (subject, correct) in enumerate(answers)
    ]


def test_subject_accuracy_is_smoothed_to_the_base_rate_by_hand() -> None:
    # 3 of 5 are right: base rate 0.6. Subject a: (1 + 2 * 0.6) / (1 + 2) = 2.2 / 3. Subject b: (2 + 1.2) / (4 + 2).
    known = rows(("a", 1), ("b", 1), ("b", 1), ("b", 0), ("b", 0))
    assert subject_accuracy(known, rows(("a", 0), ("b", 1))) == pytest.approx([2.2 / 3, 3.2 / 6])


def test_a_subject_never_seen_gets_the_base_rate() -> None:
    assert subject_accuracy(rows(("a", 1), ("a", 0.5)), rows(("new", 1))) == pytest.approx([0.75])


def test_the_labels_of_what_is_asked_play_no_part() -> None:
    known = rows(("a", 1), ("b", 0))
    right, wrong = (subject_accuracy(known, rows(("a", c), ("b", c))) for c in (1.0, 0.0))
    assert right == pytest.approx(wrong)
