"""A program that is slow beside others is no wrong answer."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import Any

import pytest

from calibration_tuning.grading.code_sandbox import Outcome
from calibration_tuning.runs.threads import available_cores
from data_curation import grade_answers


def test_what_ran_out_of_time_runs_once_more_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: Counter[str] = Counter()

    def outcome(question: str, answer: str) -> Outcome:
        runs[answer] += 1
        if answer == "endless" or (answer == "slow beside others" and runs[answer] == 1):
            return Outcome("timed_out")
        return Outcome("passed" if answer != "wrong" else "failed")

    monkeypatch.setattr(grade_answers, "code_outcome", outcome)
    pairs: Any = [("q", answer) for answer in ("right", "slow beside others", "wrong", "endless")]
    assert grade_answers.code_grades(pairs) == [1.0, 1.0, 0.0, 0.0]
    assert runs == {"right": 1, "slow beside others": 2, "wrong": 1, "endless": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")
def test_cores_are_those_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5})
    assert available_cores() == 2
