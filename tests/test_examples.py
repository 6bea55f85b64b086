"""The scripts of examples/, run as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTED = {"score_confidences.py", "route_by_confidence.py"}


def run(name: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == TESTED


@pytest.mark.slow
def test_scoring_shows_what_calibrating_fixes(tmp_path: Path) -> None:
    printed = run("score_confidences.py", folder=tmp_path)
    before, after = map(float, re.findall(r"ece ([\d.]+)", printed))
    assert after < 0.5 * before
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_questions_are_routed(tiny_run: Path, tmp_path: Path) -> None:
    questions = ["What is 1 plus 2?", "Why?"]
    lines = run("route_by_confidence.py", str(tiny_run), *questions, folder=tmp_path).splitlines()
    assert [line[:13].strip() in ("answered", "for a person") for line in lines] == [True, True]
    assert all(question in line for question, line in zip(questions, lines, strict=True))
