"""`monitor FILE` through the command: drift, no drift, late labels, time, and files that cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from evaluation.monitor import DRIFT, main

app = typer.Typer()
app.command()(main)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments] + ["--bootstrap", "100"])


def written(path: Path, n: int, shift: float = 0.0, late: float = 0.0, seed: int = 0) -> Path:
    """Answers of which a share `late` has no label yet; the latest come first, so that the file is not in order."""
    generator = np.random.default_rng(seed)
    confidence = generator.beta(2, 2, n)
    correct = generator.random(n) < np.clip(confidence + shift, 0, 1)
    rows: list[dict[str, Any]] = []
    for number in range(n):
        row: dict[str, Any] = {
            "asked": f"2026-05-{1 + 28 * number // n:02d}T{number % 24:02d}:00:00Z",
            "doc": f"d{number // 2}",
        }
        row |= {"confidence": float(confidence[number])}
        rows.append(row if generator.random() < late else row | {"correct": bool(correct[number])})
    path.write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)), encoding="utf-8")
    return path


@pytest.fixture
def then(tmp_path: Path) -> Path:
    return written(tmp_path / "then.jsonl", 500)


def test_no_drift_is_exit_code_0(tmp_path: Path, then: Path) -> None:
    result = run(written(tmp_path / "now.jsonl", 500, seed=1), "--evaluation", then, "--time", "asked")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert said.startswith("No drift seen: at the evaluation")
    assert "points would not be noticed" in said


@pytest.mark.parametrize("group", [(), ("--group", "doc")])
def test_drift_is_exit_code_3(tmp_path: Path, then: Path, group: tuple[str, ...]) -> None:
    now = written(tmp_path / "now.jsonl", 900, -0.2, seed=1)
    result = run(now, "--evaluation", then, "--time", "asked", *group)
    assert result.exit_code == DRIFT == 3, result.output
    assert result.output.startswith("Calibration has drifted: at the evaluation")
    assert "points too high" in result.output


def test_json_has_all_numbers(tmp_path: Path, then: Path) -> None:
    result = run(written(tmp_path / "now.jsonl", 600, -0.2, 0.25, seed=1), "--evaluation", then, "--json")
    assert result.exit_code == 3
    found = json.loads(result.output)
    assert found["has_drifted"]
    assert found["labelled"] + found["unlabelled"] == 600
    assert 100 < found["unlabelled"] < 200
    assert found["drift"]["gap_now"] == pytest.approx(
        found["metrics"]["now"]["accuracy"]["value"] - found["metrics"]["now"]["mean_confidence"]["value"]
    )
    assert {*found["metrics"]} == {"evaluation", "now"}
    assert (found["labelled_then"], found["unlabelled_then"]) == (500, 0)
    assert found["metrics"]["now"]["ece"]["if_calibrated"]["value"] > 0


def test_time_decides_the_order(tmp_path: Path) -> None:
    """Half of the answers drift, and only the earlier half: by time the alarm comes within it."""
    first, second = (written(tmp_path / f"{name}.jsonl", 400, shift) for name, shift in (("a", -0.3), ("b", 0.0)))
    rows = [json.loads(line) for path in (second, first) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["asked"] = 800 - number  # the file is backwards, so the drifted half is the earlier one
    path = tmp_path / "both.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert json.loads(run(path, "--time", "asked", "--json").output)["drift"]["alarm_at"] < 200
    in_file_order = json.loads(run(path, "--json").output)["drift"]["alarm_at"]
    assert in_file_order is None or in_file_order > 400


@pytest.mark.parametrize("missing", [None, "", "later"])
def test_answers_without_a_label_need_no_time(tmp_path: Path, missing: str | None) -> None:
    """As `ask` writes them: `labelled_at` comes with the label."""
    rows: list[dict[str, Any]] = [{"confidence": 0.4, "correct": n % 2, "labelled_at": 50 - n} for n in range(50)]
    path = tmp_path / "x.jsonl"
    waiting = {"confidence": 0.4} if missing is None else {"confidence": 0.4, "labelled_at": missing}
    path.write_text("".join(json.dumps(row) + "\n" for row in [waiting, *rows, waiting]))
    found = json.loads(run(path, "--time", "labelled_at", "--json").output)
    assert (found["labelled"], found["unlabelled"]) == (50, 2)


def test_unlabelled_answers_are_counted_and_compared(tmp_path: Path) -> None:
    rows = [{"confidence": 0.9, "correct": ""}] * 50 + [{"confidence": 0.4, "correct": n % 2} for n in range(50)]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = " ".join(run(path).output.split())
    assert "50 answers (50%) have no label yet and are left out." in said
    assert "their mean confidence is 0.90, that of the labelled ones 0.40" in said


def test_labels_that_the_evaluation_lacks_are_counted(tmp_path: Path) -> None:
    then = written(tmp_path / "then.jsonl", 200, late=0.2)
    now = written(tmp_path / "now.jsonl", 200, seed=1)
    lacking = sum("correct" not in json.loads(line) for line in then.read_text().splitlines())
    assert (
        f"{lacking} answers of the evaluation have no label and are left out." in run(now, "--evaluation", then).output
    )


def test_few_labels_say_nothing(tmp_path: Path) -> None:
    result = run(written(tmp_path / "x.jsonl", 6))
    assert result.exit_code == 0
    assert result.output.startswith("Too early to test: at these confidences, 6 labelled answers are too few")


def test_an_evaluation_of_few_answers_is_what_is_missing(tmp_path: Path) -> None:
    then = tmp_path / "then.csv"
    then.write_text("confidence,correct\n" + "0.9,1\n" * 9)
    said = run(written(tmp_path / "now.jsonl", 2000), "--evaluation", then).output
    assert said.startswith("No test is possible, however many labels arrive: the evaluation has too few answers.")


def test_confidences_of_exactly_one_can_raise_an_alarm(tmp_path: Path) -> None:
    """As an isotonic calibrator makes them: all right at the evaluation, every third wrong now."""
    then, now = tmp_path / "then.csv", tmp_path / "now.csv"
    then.write_text("confidence,correct\n" + "1.0,1\n" * 100)
    now.write_text("confidence,correct\n" + "1.0,1\n1.0,0\n1.0,1\n" * 50)
    result = run(now, "--evaluation", then)
    assert result.exit_code == DRIFT, result.output
    assert "Labels are taken in the order of the file" in result.output


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("confidence,correct\n0.5,\n0.4,\n", (), "no answer has a label yet"),
        ("confidence,correct\n0.5,1\n,0\n", (), "row 1, confidence: missing"),
        ("confidence,correct\n0.5,maybe\n", (), "row 0, correct: 'maybe' is not a number"),
        ("confidence,corect\n0.5,1\n", (), "no column 'correct'; did you mean 'corect'?"),
        ("confidence,correct,t\n0.5,,\n0.5,1,noon\n", ("--time", "t"), "row 1, t: 'noon' is neither ISO 8601 nor"),
        ("confidence,correct,t\n0.5,1,3\n0.5,1,2026-01-01\n", ("--time", "t"), "write all in one way"),
        (
            "confidence,correct,t\n0.5,1,2026-01-01T00:00Z\n0.5,1,2026-01-01T00:00\n",
            ("--time", "t"),
            "write all in one way",
        ),
        ("confidence,correct\n0.5,1\n", ("--evaluation", "nowhere"), "neither a run's folder nor a file"),
        ("confidence,correct\n0.5,1\n", ("--evaluation", "."), "evaluation/per_example.parquet: does not exist"),
        ("confidence,correct,g\n0.5,1,\n", ("--group", "g"), "row 0, g: missing; every row needs a group"),
    ],
)
def test_wrong_files_are_one_sentence(
    tmp_path: Path, content: str, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text(content)
    result = run("bad.csv", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    shutil.copy(written(tmp_path / "x.jsonl", 20), tmp_path / "x.txt")
    result = run(tmp_path / "x.txt")
    assert result.exit_code == 2
    assert "known endings are csv" in result.stderr


@pytest.mark.slow
def test_a_run_is_what_to_compare_with(tiny_run: Path, tmp_path: Path) -> None:
    result = run(written(tmp_path / "now.jsonl", 100), "--evaluation", tiny_run, "--json")
    found = json.loads(result.output)
    metrics = json.loads((tiny_run / "evaluation/metrics.json").read_text())["headline"]["test"]["after"]
    assert found["labelled_then"] == 16
    for name in ("accuracy", "mean_confidence", "brier"):
        assert found["metrics"]["evaluation"][name]["value"] == pytest.approx(metrics[name]["value"]), name
