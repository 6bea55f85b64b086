"""`init`: a first YAML for a file of one's own, whatever its columns are called and its answers are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from calibration_tuning.config.run import load_run_config
from calibration_tuning.errors import UserError
from data_curation.init import FEWEST, JUDGE_MODEL, first_config, main, sizes_for
from data_curation.question_sets import load_questions
from data_curation.selection import select

app = typer.Typer()
app.command()(main)
NONE: dict[str, str | None] = {"question": None, "answer": None, "context": None}
WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty", "knoll", "larch"]
PLACES = [f"{a} {b}" for a in WORDS for b in WORDS if a != b]


def write(path: Path, row: Callable[[int, str], dict[str, Any]]) -> Path:
    rows = [row(i, place) for i, place in enumerate(PLACES)]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return path


ASKED = "Who looks after the harbour called {}?"
LONG = "The harbour is looked after by the keeper of {}, who lives in the white house by the pier."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "row", "columns", "entry"),
    [
        ("words.csv", lambda i, p: {"question": ASKED.format(p), "answer": p}, {}, {"grader": "fuzzy"}),
        ("numbers.csv", lambda i, p: {"prompt": ASKED.format(p), "target": i}, {}, {"grader": "numeric"}),
        ("texts.csv", lambda i, p: {"question": ASKED.format(p), "answer": LONG.format(p)}, {}, {"grader": "judge"}),
        (
            "choices.jsonl",
            lambda i, p: {"question": ASKED.format(p), "choices": [p, "nobody"], "answer": p},
            {},
            {"grader": "choice", "style": "choice"},
        ),
        (
            "columns.csv",
            lambda i, p: {"Ticket": ASKED.format(p), "Our reply": p, "Passage": LONG.format(p)},
            {"question": "Ticket", "answer": "Our reply"},
            {"grader": "fuzzy", "context": "{{ row['Passage'] }}"},
        ),
        (
            "document.csv",
            lambda i, p: {"question": ASKED.format(p), "answer": p, "page": LONG.format(p)},
            {"context": "page"},
            {"context": "{{ page }}"},
        ),
    ],
    ids=["words", "numbers", "texts", "choices", "columns", "document"],
)
def test_the_yaml_curates_the_file(
    tmp_path: Path, name: str, row: Any, columns: dict[str, str], entry: dict[str, str]
) -> None:
    text, said = first_config(tmp_path / "mine", write(tmp_path / name, row), "org/model", NONE | columns)
    assert f"{len(PLACES)} rows" in said
    path = tmp_path / "run.yaml"
    path.write_text(text)
    config = load_run_config(path, [])
    written = config.questions[0]
    assert {name: getattr(written, name) for name in entry} == entry
    assert (config.curation.judge is not None) == (written.grader == "judge")
    assert config.curation.judge is None or config.curation.judge.model.path == JUDGE_MODEL != config.model.path
    question = load_questions(written, None).questions[0]
    assert PLACES[0] in question.text
    selection = select(config, lambda question, shown: True)  # raises where the sizes ask for more than there is
    assert len(selection.asked) >= config.curation.sizes.total >= FEWEST


FOUR = ["lime", "plum", "pear", "fig"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "columns", "entry", "asked"),
    [
        (
            lambda i, p: {"question": ASKED.format(p), "answer": p if i else None, **({"note": 1} if i else {})},
            {},
            {"question": "{{ question }}", "grader": "fuzzy"},
            ASKED.format(PLACES[1]),
        ),
        (
            lambda i, p: {
                "context": LONG.format(p), "question": ASKED.format(p), "short": p,
                "answers": {"text": [LONG.format(p)], "answer_start": [0]},
            },
            {"answer": "short"},
            {"context": "{{ context }}", "answer": "{{ short }}"},
            f"{LONG.format(PLACES[0])}\n{ASKED.format(PLACES[0])}",
        ),
        (
            lambda i, p: {"row": i, "the question": ASKED.format(p), "answer": p},
            {"question": "the question"},
            {"question": "{{ row['the question'] }}"},
            ASKED.format(PLACES[0]),
        ),
        (
            lambda i, p: {"question": ASKED.format(p), "choices": FOUR, "answer": 1 + i % 4},
            {},
            {"label": "{{ answer - 1 }}", "grader": "choice", "style": "choice"},
            f"{ASKED.format(PLACES[0])}\nA. lime\nB. plum\nC. pear\nD. fig",
        ),
    ],
    ids=["first row without an answer", "squad", "a column named row", "labels from 1"],
)  # fmt: skip
def test_rows_that_are_not_plain(
    tmp_path: Path, rows: Any, columns: dict[str, str], entry: dict[str, str], asked: str
) -> None:
    (tmp_path / "run.yaml").write_text(
        first_config(tmp_path / "mine", write(tmp_path / "x.jsonl", rows), "org/model", NONE | columns)[0]
    )
    written = load_run_config(tmp_path / "run.yaml", []).questions[0]
    assert {name: getattr(written, name) for name in entry} == entry
    assert load_questions(written, None).questions[0].text == asked


@pytest.mark.parametrize(
    ("askable", "expected"),
    [
        (67, None),  # 0.97 * 61 = 59.2
        (68, {"train": 32, "test": 15, "calibration": 9, "validation": 4}),  # 0.97 * 62 = 60.1
        (1006, {"train": 511, "test": 242, "calibration": 145, "validation": 72}),  # 0.97 * 1000 = 970
        (10**6, {"train": 8000, "test": 2000, "calibration": 800, "validation": 400}),
    ],
)
def test_sizes_are_those_of_the_file_and_no_more_than_usual(askable: int, expected: dict[str, int] | None) -> None:
    sizes = sizes_for(askable)
    assert sizes == expected


@pytest.mark.parametrize(
    ("name", "row", "columns", "words"),
    [
        ("x.csv", lambda i, p: {"ask": p, "answer": p}, {}, "no column is known to hold the question; give --question"),
        (
            "x.csv",
            lambda i, p: {"question": p, "reply": p},
            {},
            "hold the answer; give --answer, one of question, reply",
        ),
        ("x.csv", lambda i, p: {"question": p, "answer": p}, {"context": "contxt"}, "--context contxt: "),
        ("x.csv", lambda i, p: {"question": "Why?", "answer": "So"}, {}, f"1 distinct); at least {FEWEST} are needed"),
        ("x.txt", lambda i, p: {"question": p, "answer": p}, {}, "is none of"),
    ],
)
def test_what_cannot_be_a_run_is_one_sentence(
    tmp_path: Path, name: str, row: Any, columns: dict[str, str], words: str
) -> None:
    with pytest.raises(UserError, match=r"^[^\n]*$") as error:
        first_config(tmp_path, write(tmp_path / name, row), "org/model", NONE | columns)
    assert words in str(error.value)


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    data = write(tmp_path / "x.csv", lambda i, p: {"question": ASKED.format(p), "answer": p})
    arguments = [str(tmp_path / "my run!"), "--data", str(data)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    target = tmp_path / "my run!/run.yaml"
    assert load_run_config(target, []).name == "my-run"
    target.write_text("mine")
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "already exists" in refused.stderr
    assert target.read_text() == "mine"
    assert CliRunner().invoke(app, [*arguments, "--force"]).exit_code == 0
    assert load_run_config(target, []).questions[0].path == str(data)
