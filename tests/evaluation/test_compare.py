"""Two runs side by side, paired by question."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from calibration_tuning.errors import UserError
from calibration_tuning.runs.files import write_json
from evaluation.compare import compare, main
from evaluation.evidence import Evidence
from evaluation.metrics_json import metrics_of
from evaluation.per_example import write_per_example

pytestmark = pytest.mark.slow

app = typer.Typer()
app.command()(main)
METRICS: dict[str, Any] = {}
"""Of some evidence; a comparison takes the number of bins, the seed and the resamples from it."""


@pytest.fixture(scope="module", autouse=True)
def settings(evidence: Evidence) -> None:
    METRICS.update(metrics_of(evidence).as_json())


def saved(folder: Path, name: str, evidence: Evidence) -> Path:
    path = folder / name / "evaluation"
    path.mkdir(parents=True)
    write_per_example(path / "per_example.parquet", evidence)
    write_json(path / "metrics.json", METRICS)
    return folder / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, make_evidence: Callable[..., Evidence]) -> tuple[Path, Path]:
    """Run b's tuned query is blind; it was asked ten questions fewer, and answered one more rightly."""
    tmp_path, a = tmp_path_factory.mktemp("runs"), make_evidence((0.0, 5.0))
    own = list(a.splits["test"][10:])
    wrong = next(i for i, row in enumerate(own) if not row.correct)
    own[wrong] = own[wrong].model_copy(update={"correct": 1.0})
    b = make_evidence((0.0, 0.0), splits={"calibration": a.splits["calibration"], "test": own})
    return saved(tmp_path, "a", a), saved(tmp_path, "b", b)


def test_differences_are_of_the_questions_in_common(runs: tuple[Path, Path]) -> None:
    found = compare(*runs)
    assert (found.a, found.b, found.n) == ("a", "b", 70)
    after = found.confidences["confidence_after"]
    assert after.n == 70
    assert after.difference["brier"].verdict == "worse"
    assert after.difference["brier"].value == pytest.approx(after.b["brier"].value - after.a["brier"].value)
    # Each by its own answers.
    assert after.difference["accuracy"].value == pytest.approx(1 / 70, abs=1e-9)
    assert {"confidence_before", "query_zero_shot_after_calibrated"} <= {*found.confidences}
    for entry in found.confidences.values():
        assert entry.difference["brier"].p_holm >= entry.difference["brier"].p


def test_a_run_with_itself(runs: tuple[Path, Path]) -> None:
    found = compare(runs[0], runs[0])
    for entry in found.confidences.values():
        assert {change.value for change in entry.difference.values()} == {0.0}
        assert {change.verdict for change in entry.difference.values()} <= {"unclear", ""}


def test_the_command_prints_and_writes(runs: tuple[Path, Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(runs[0]), str(runs[1]), "--output", str(tmp_path / "x.json")])
    assert result.exit_code == 0, result.output
    assert "AUROC, 70 questions of both runs" in result.output
    assert "Where it differs, compare skill and AUROC" in result.output
    assert "worse" in result.output
    words = " ".join(result.output.split())
    assert "after: the checkpoint's" in words
    assert "query zero shot, tuned, calibrated" in words
    assert "_calibrated" not in words, "columns are shown in words"
    assert json.loads((tmp_path / "x.json").read_text())["n"] == 70


def test_runs_that_cannot_be_compared(
    runs: tuple[Path, Path], tmp_path: Path, make_evidence: Callable[..., Evidence]
) -> None:
    evidence = make_evidence(settings={"estimators": ["query"]})

    def refused(message: str, *more: Any) -> None:
        with pytest.raises(UserError, match=message):
            compare(*more)

    refused("does not exist; run `calibration-tuning evaluate CONFIG`", runs[0], tmp_path / "none")
    refused("share no evaluation question", *runs, "evaluation")
    rows = [row.model_copy(update={"id": f"x{row.id}"}) for row in evidence.splits["test"]]
    other = saved(tmp_path, "c", replace(evidence, splits={**evidence.splits, "test": rows}))
    refused("share no test question", runs[0], other)
    few = saved(tmp_path, "f", replace(evidence, splits={**evidence.splits, "test": evidence.splits["test"][:13]}))
    refused("share only 3 test questions, too few for 10 bins", runs[1], few)
    rows = [row.model_copy(update={"question": "Why?"}) for row in evidence.splits["test"]]
    twisted = saved(tmp_path, "d", replace(evidence, splits={**evidence.splits, "test": rows}))
    refused("has another text", runs[0], twisted)
    (twisted / "evaluation/per_example.parquet").write_bytes(b"PAR1")
    refused("not a readable parquet file", runs[0], twisted)
    result = CliRunner().invoke(app, [str(runs[0]), str(tmp_path / "none")])
    assert result.exit_code == 2


def test_intervals_come_from_the_groups(tmp_path: Path, evidence: Evidence) -> None:
    # Twenty groups of four that are right or wrong together, against the same answers each on its own.
    widths = {}
    for name, size in (("grouped", 4), ("single", 1)):
        rows = [
            row.model_copy(update={"group": str(i // size), "correct": float(i // 4 % 2)})
            for i, row in enumerate(evidence.splits["test"])
        ]
        run = saved(tmp_path, name, replace(evidence, splits={**evidence.splits, "test": rows}))
        entry = compare(run, run).confidences["confidence_before"].a["accuracy"]
        assert entry.value == 0.5
        widths[name] = entry.high - entry.low
    assert widths["grouped"] > 1.6 * widths["single"]
