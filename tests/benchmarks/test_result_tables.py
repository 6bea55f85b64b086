"""The tables of docs/results.md, out of a run's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.result_tables import across, main
from calibration_tuning.metrics.bootstrap import Interval

pytestmark = pytest.mark.slow


def test_tables_of_one_run_hold_its_numbers(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tiny_run)]) == 0
    said = capsys.readouterr().out
    headline = json.loads((tiny_run / "evaluation/metrics.json").read_text())["headline"]["test"]
    ours = next(line for line in said.splitlines() if line.startswith("| **the checkpoint's readout**"))
    assert float(ours.split("|")[2].split()[0]) == pytest.approx(headline["after"]["brier"]["value"], abs=5e-4)
    base = next(line for line in said.splitlines() if line.startswith("| base rate"))
    assert float(base.split("|")[2].split()[0]) == pytest.approx(headline["base_rate"]["brier"]["value"], abs=5e-4)
    assert f"n = {headline['n']} in {headline['groups']} groups" in said


def test_runs_side_by_side_have_their_mean(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tiny_run)] * 2) == 0
    rows = {line.split("|")[1].strip(): line.split("|") for line in capsys.readouterr().out.splitlines() if "|" in line}
    first, second, mean = (float(cell.split()[0]) for cell in rows["base rate"][2:5])
    assert first == second == mean


def test_a_mean_needs_all_values() -> None:
    known, unknown = Interval(0.25, None, None), Interval(None, None, None, undefined="undefined")
    assert across("x", [known, Interval(0.5, None, None)])[-1] == "0.375"
    assert across("x", [known, unknown])[-1] == ""


def test_without_runs_it_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "result_tables RUN" in capsys.readouterr().out
