"""`calibration-tuning score` of tables of confidences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.metrics import plots
from calibration_tuning.metrics.confidence import confidence_metrics
from evaluation.score_files import read_pairs
from tests.evaluation.scoring.command import pairs, run, written


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_tables_of_every_kind(tmp_path: Path, kind: str) -> None:
    frame = pairs()
    found = read_pairs(written(tmp_path, kind, frame), "p", "right", "who")
    assert found.confidence == pytest.approx(frame["p"].to_numpy())
    assert found.correct.tolist() == frame["right"].tolist()
    assert found.groups is not None
    assert len(np.unique(found.groups)) == 30


@pytest.mark.slow
def test_numbers_and_diagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pairs()
    drawn = Mock(wraps=plots.prepare_reliability)
    monkeypatch.setattr(plots, "prepare_reliability", drawn)
    path = written(tmp_path, "csv", frame)
    result = run(path, "--confidence", "p", "--correct", "right", "--group", "who", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "120 answers in 30 groups" in result.output
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    groups = frame["who"].astype(str).to_numpy()
    expected = confidence_metrics(frame["p"].to_numpy(), frame["right"].to_numpy(), 10, 0, 100, groups)
    assert found["as it is"] == {name: number.as_dict() for name, number in expected.items()}
    assert (tmp_path / "out/reliability.png").read_bytes().startswith(b"\x89PNG")
    assert (drawn.call_args.args[3] == groups).all()


@pytest.mark.slow
def test_calibrated_out_of_fold(tmp_path: Path) -> None:
    frame = pairs(400)
    frame["p"] = frame["p"] ** 3  # far too low
    path = written(tmp_path, "csv", frame)
    arguments: Sequence[object] = (path, "--confidence", "p", "--correct", "right", "--calibrate", "beta")
    result = run(*arguments, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["beta"]["ece"]["value"] < 0.5 * found["as it is"]["ece"]["value"]
    assert found["difference"]["ece"]["verdict"] == "better"


def test_words_are_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("confidence,correct\n0.5,True\n0.4,no\n0.3,FALSE\n0.9,yes\n1,0.5\n")
    assert read_pairs(path, "confidence", "correct", None).correct.tolist() == [1.0, 0.0, 0.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("confidence,correct\n0.5,1\n1.5,0\n", "row 1, confidence: 1.5 is not in [0, 1]"),
        ("confidence,correct\n0.5,1\n,0\n", "row 1, confidence: missing; remove the row"),
        ("confidence,correct\n0.5,2\n", "row 0, correct: 2 is not in [0, 1]"),
        ("confidence,correct\nhigh,1\n", "row 0, confidence: 'high' is not a number"),
        ("confidence,correct\n0.5,NA\n", "row 0, correct: missing"),
        ("confidence,correct,correct\n0.5,1,0\n", "the header names 'correct' twice"),
        ("confidence,correct\n0.5,1,0\n", "not a readable csv file"),
        ("confidence,corect\n0.5,1\n", "no column 'correct'; did you mean 'corect'?"),
        ("confidence,correct\n", "holds no rows"),
        ("", "not a readable csv file"),
    ],
)
def test_bad_tables_are_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    result = run(path)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert len(result.stderr.strip().splitlines()) == 1


NAMES = ["001", "01", "1", "1.0", "NA", "None", "nan", "1e3", "true", "2024-01-01"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("column", ["doc", "date"])
def test_groups_stay_text(tmp_path: Path, kind: str, column: str) -> None:
    frame = pd.DataFrame({"p": [0.5] * 10, "right": [1, 0] * 5, column: NAMES})
    groups = read_pairs(written(tmp_path, kind, frame), "p", "right", column).groups
    assert groups is not None
    assert groups.tolist() == NAMES


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("csv", "p,right,doc\n0.5,1,a\n0.5,1,\n"),
        ("jsonl", '{"p": 0.5, "right": 1, "doc": "a"}\n{"p": 0.5, "right": 1, "doc": null}\n'),
        ("json", '[{"p": 0.5, "right": 1, "doc": "a"}, {"p": 0.5, "right": 1}]'),
    ],
)
def test_a_row_without_a_group_is_named(tmp_path: Path, kind: str, content: str) -> None:
    path = tmp_path / f"pairs.{kind}"
    path.write_text(content)
    with pytest.raises(UserError, match="row 1, doc: missing; every row needs a group"):
        read_pairs(path, "p", "right", "doc")


@pytest.mark.slow
def test_auroc_within_subjects_needs_their_column(tmp_path: Path) -> None:
    # The confidence is the subject's accuracy, in 001 the right way round by a little and in 1 the wrong way.
    frame = pd.DataFrame(
        {
            "p": [0.8, 0.81, 0.82, 0.83, 0.23, 0.22, 0.21, 0.20] * 5,
            "right": [0, 1, 1, 1, 0, 0, 0, 1] * 5,
            "topic": (["001"] * 4 + ["1"] * 4) * 5,
        }
    )
    path = written(tmp_path, "csv", frame)
    columns = ["--confidence", "p", "--correct", "right"]
    for more, expected in (([], None), (["--subject", "topic"], 0.5)):
        printed = run(path, *columns, *more, "--output", str(tmp_path / f"out{len(more)}"))
        assert printed.exit_code == 0
        assert ("within subjects" in printed.output) == bool(more)
        assert ("within subjects" in run(path, *columns, *more, "--calibrate", "platt").output) == bool(more)
        numbers = json.loads((tmp_path / f"out{len(more)}" / "metrics.json").read_text())["as it is"]
        assert numbers["auroc_within_subjects"]["value"] == expected
        assert numbers["auroc"]["value"] == pytest.approx(0.75)
    assert run(path, *columns, "--subject", "topics").exit_code == 2


def test_few_and_one_class_are_said(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("confidence,correct\n0.5,1\n0.6,1\n0.7,1\n")
    result = run(path)
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "fewer examples than bins" in said
    assert "all answers are correct, or all" in said
    assert run(path, "--calibrate", "platt").exit_code == 2
