"""What an evaluation leaves in a tracker's files, read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.tracking import tracked
from evaluation.evidence import Evidence
from evaluation.metrics_json import metrics_of
from evaluation.report import confidently_wrong, write_report
from evaluation.schema import Text
from evaluation.tracking_log import _scalars, log_evaluation


@pytest.mark.slow
def test_running_text_is_among_the_scalars(evidence: Evidence) -> None:
    metrics = metrics_of(evidence)
    assert not [name for name, _ in _scalars(metrics) if name.startswith("text/")]
    read = Text(path="docs", documents=2, windows=3, tokens=metrics.tokens.log)
    scalars = dict(_scalars(metrics.model_copy(update={"text": read})))
    assert scalars["text/after/full_ece"] == metrics.tokens.log.after["full_ece"].value
    assert scalars["text/difference/full_ece_low"] == metrics.tokens.log.difference["full_ece"].low


@pytest.mark.slow
def test_numbers_tables_and_plots_are_there(
    evidence: Evidence,
    tmp_path: Path,
    wandb_records: Callable[[Path], list[Any]],
    wandb_history: Callable[[Path], list[dict[str, Any]]],
) -> None:
    tracking = evidence.config.tracking.model_copy(update={"wandb": "offline"})
    config = evidence.config.model_copy(update={"tracking": tracking, "output_dir": tmp_path})
    metrics, folder = metrics_of(evidence), tmp_path / "evaluation"
    folder.mkdir()
    write_report(folder, metrics, evidence)
    with tracked(config, "evaluate") as run:
        log_evaluation(run, metrics, folder, confidently_wrong(evidence))
    (path,) = (config.run_dir / "wandb").glob("offline-run-*/run-*.wandb")
    (row,) = wandb_history(path)
    test = metrics.headline.test
    assert row["before/brier"] == pytest.approx(test.before["brier"].value)
    assert row["after/ece_high"] == pytest.approx(test.after["ece"].high)
    assert row["difference/auroc_low"] == pytest.approx(test.difference["auroc"].low)
    assert row["tokens/after/full_ece"] == pytest.approx(metrics.tokens.equal_width.after["full_ece"].value)
    files = path.parent / "files"
    plots = {p.stem for p in (folder / "plots").glob("*.png")}
    assert {name.removeprefix("plots/") for name in row if name.startswith("plots/")} == plots
    for name in plots:
        assert (files / row[f"plots/{name}"]["path"]).read_bytes().startswith(b"\x89PNG"), name
    tables = {
        name.removeprefix("tables/"): json.loads((files / value["path"]).read_text())
        for name, value in row.items()
        if name.startswith("tables/")
    }
    assert {*tables} == {
        *("before_and_after", "confidences", "calibrators", "most_confidently_wrong"),
        *("subjects", "question_sets", "decisions", "temperature"),
    }
    assert [r[:2] for r in tables["subjects"]["data"]] == [["s/t0", 40], ["s/t1", 40]]
    assert {r[2] for r in tables["decisions"]["data"]} >= {"before", "after"}
    assert [r[0] for r in tables["temperature"]["data"]] == ["before", "after"]
    assert ["Brier score", "better"] in [[r[0], r[-1]] for r in tables["before_and_after"]["data"]]
    assert len(tables["most_confidently_wrong"]["data"]) == 20
    assert {r[1] for r in tables["calibrators"]["data"]} >= {"none", "temperature", "platt", "isotonic"}
    summaries = [r.summary for r in wandb_records(path) if r.WhichOneof("record_type") == "summary"]
    said = [json.loads(item.value_json) for one in summaries for item in one.update if item.key == "verdict"]
    assert said
    assert said[-1].startswith("Confidence improved on 80 held-out questions")


@pytest.mark.slow
def test_tensorboard_has_the_same(evidence: Evidence, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracking = evidence.config.tracking.model_copy(update={"to": "tensorboard"})
    config = evidence.config.model_copy(update={"tracking": tracking, "output_dir": tmp_path})
    metrics, folder = metrics_of(evidence), tmp_path / "evaluation"
    folder.mkdir()
    write_report(folder, metrics, evidence)
    with tracked(config, "evaluate") as tracker:
        log_evaluation(tracker, metrics, folder, confidently_wrong(evidence))
    events = EventAccumulator(str(config.run_dir / "tensorboard/evaluate"))
    events.Reload()
    (brier,) = events.Scalars("after/brier")
    assert brier.value == pytest.approx(metrics.headline.test.after["brier"].value)
    assert {*events.Tags()["images"]} == {f"plots/{path.stem}" for path in (folder / "plots").glob("*.png")}
    (table,) = events.Tensors("tables/subjects/text_summary")
    lines = table.tensor_proto.string_val[0].decode().splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [["| s/t0", "40"], ["| s/t1", "40"]]
    (verdict,) = events.Tensors("verdict/text_summary")
    assert verdict.tensor_proto.string_val[0].startswith(b"Confidence improved on 80 held-out questions")
