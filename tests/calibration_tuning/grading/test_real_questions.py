"""Gold answers are right and wrong choices wrong, on questions from all over the files in `QUESTION_FILES` (a folder).

A file is gzipped JSON lines of question, choices (or null) and answer; without the folder these tests are skipped.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.grading.graders import grade
from calibration_tuning.records import CHOICE_LETTERS, Question

FOLDER = Path(os.environ.get("QUESTION_FILES", "../shared/data"))
FILES = sorted(FOLDER.glob("*.jsonl.gz"))
SHORT = 60
"""Characters of the longest gold answer that counts as a short one."""
MOST = 1500
"""Questions of a file, spread evenly; all 47,000 of the longest take minutes and have found nothing more."""
FALSE_PASSES = 0.0005
"""The largest share of wrong choices that `fuzzy` may pass."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FILES, reason=f"no question files in {FOLDER}")]


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return found[:: -(-len(found) // MOST)]


def question(grader: str, row: dict[str, Any]) -> Question:
    style = "choice" if grader == "choice" else "open_ended"
    return Question(
        id=row["id"], source="s", subject="s", group="g", question="?", references=[row["answer"]], grader=grader,
        choices=row["choices"], style=style,
    )  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("grader", ["exact", "case_sensitive", "fuzzy", "set"])
def test_a_gold_answer_is_right_as_it_stands(grader: str, path: Path) -> None:
    short = [row for row in rows(path) if len(row["answer"]) <= SHORT]
    if grader == "set":  # where "|" stands between names of one item
        short = [row for row in short if "|" not in row["answer"]]
    assert [row["answer"] for row in short if grade(question(grader, row), row["answer"]) != 1] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_letter_and_each_text_is_its_own_choice(path: Path) -> None:
    wrong = []
    for row in rows(path):
        choices = row["choices"] or []
        if row["answer"] not in choices:
            continue
        asked = question("choice", row)
        for letter, choice in zip(CHOICE_LETTERS, choices, strict=False):
            is_letter = len(choice) == 1 and choice.upper() in CHOICE_LETTERS[: len(choices)]
            answers = (letter, f"({letter})", f"The answer is {letter}.", *(() if is_letter else (choice,)))
            wrong += [(a, row["answer"]) for a in answers if grade(asked, a) != (choice == row["answer"])]
    assert wrong == []


def test_fuzzy_passes_hardly_any_wrong_choice() -> None:
    count, passed = 0, []
    for path in FILES:
        for row in rows(path):
            asked = question("fuzzy", row)
            for choice in row["choices"] or ():
                if choice != row["answer"]:
                    count += 1
                    if grade(asked, choice):
                        passed.append((path.name, row["answer"], choice))
    assert count > 0
    assert len(passed) < FALSE_PASSES * count, passed


@pytest.mark.parametrize("grader", ["numeric", "math"])
def test_numbers_of_word_problems_are_right_as_they_stand(grader: str) -> None:
    numbers = [
        row for path in FILES for row in rows(path)[:500] if re.fullmatch(r"-?(\d+|\d{1,3}(,\d{3})+)", row["answer"])
    ]
    assert [row["answer"] for row in numbers if grade(question(grader, row), row["answer"]) != 1] == []
