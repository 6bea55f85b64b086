"""The hand-labelled cases and the command that measures a judge on them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.judge import GRADERS, Case, main, read_cases, row
from calibration_tuning.grading.graders import grade


def test_cases_are_labelled_both_ways_in_every_kind() -> None:
    cases = read_cases()
    assert len(cases) >= 60
    assert len({(case.question, case.answer) for case in cases}) == len(cases)
    labels = Counter((case.kind, case.grade) for case in cases)
    assert {label for _, label in labels} == {0, 1}
    assert len(labels) == 2 * len({case.kind for case in cases})
    assert all(case.references and case.answer for case in cases)
    assert 0.4 <= sum(case.grade for case in cases) / len(cases) <= 0.6


@pytest.mark.parametrize("grader", GRADERS)
def test_strict_graders_accept_no_wrong_case(grader: str) -> None:
    """A label that is wrong the other way round would show here: these graders pass little but the reference itself."""
    passed = [case for case in read_cases() if grade(case.asked(grader), case.answer) == 1]
    assert passed
    assert [case.answer for case in passed if case.grade == 0] == []


def test_an_unreadable_verdict_is_no_agreement_and_no_error() -> None:
    cases = [Case("k", "q", ["r"], str(i), label) for i, label in enumerate([1, 1, 1, 0, 0])]
    # Right, rejected, unreadable; accepted, right: 2 of 5 agree. Wilson's interval of 2/5 is 0.118 to 0.769.
    expected = ["j", "2 of 5 (40%)", "12% to 77%", "1 of 2", "1 of 3", "1"]
    assert row("j", cases, [1.0, 0.0, None, 1.0, 0.0]) == expected


@pytest.mark.slow
def test_the_command_rates_a_judge_beside_the_graders(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CALIBRATION_TUNING_CACHE", str(tmp_path))
    main([str(tiny_model_path)], kinds=True)
    printed = capsys.readouterr().out
    n, wrong = len(read_cases()), sum(case.grade == 0 for case in read_cases())
    assert f"| always no | {wrong} of {n} " in printed
    judged = next(line for line in printed.splitlines() if line.startswith(f"| {tiny_model_path} |"))
    agreed, unreadable = int(judged.split("|")[2].split()[0]), int(judged.split("|")[6])
    accepts, rejects = (int(judged.split("|")[i].split()[0]) for i in (4, 5))
    assert agreed + accepts + rejects + unreadable == n
    assert all(f"\n| {kind} |" in printed for kind in {case.kind for case in read_cases()})
