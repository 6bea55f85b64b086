"""A whole run with the stacked readout, and the confidences of who loads its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from scipy.special import expit

from calibration_tuning import CalibratedModel
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.errors import UserError
from calibration_tuning.records import read_records

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[[Path], Path]) -> RunConfig:
    """Recorded answers, of which a third are wrong: enough of both for a probe."""
    from data_curation.__main__ import curate
    from data_curation.question_sets import load_questions
    from evaluation.__main__ import evaluate
    from training.__main__ import train

    folder = tmp_path_factory.mktemp("stacked")
    values = yaml.safe_load(write_tiny_config(folder).read_text())
    values["curation"] |= {
        "engine": {"kind": "recorded", "path": str(folder / "answers.jsonl")},
        "sizes": {"train": 40, "validation": 8, "calibration": 16, "test": 12},
        "query_few_shot": 0,
    }
    values["training"] |= {"readout": "stacked", "calibrator": "platt"}
    values["evaluation"]["estimators"] = ["query", "sequence_likelihood"]
    path = folder / "stacked.yaml"
    path.write_text(yaml.safe_dump(values))
    config = load_run_config(path, [])
    questions = load_questions(config.questions[0], None).questions
    rows = [{"id": q.id, "answer": "0" if k % 3 == 0 else q.references[0]} for k, q in enumerate(questions)]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for stage in (curate, train, evaluate):
        stage(config, False)
    return config


def test_who_loads_it_gets_the_reports_confidences(finished: RunConfig) -> None:
    model = CalibratedModel.from_pretrained(finished.checkpoint_dir)
    assert model.readout is not None
    assert model.readout.probe is not None
    table = pq.read_table(finished.evaluation_dir / "per_example.parquet").to_pylist()
    rows = {row.id: row for row in read_records(finished.curation_dir / "test.parquet")}
    answers = [rows[row["id"]] for row in table]
    logits, familiar = model._logits([row.text for row in answers], [row.token_ids for row in answers])
    said = model._calibrated(logits)
    assert said == pytest.approx([row["confidence_as_loaded"] for row in table], abs=1e-5)
    assert all(0 <= value <= 1 for value in familiar if value is not None)
    assert len({round(value, 6) for value in said}) > 1
    judged = model.judge_batch(["What is 1 plus 1?", "Why?"], ["2", ""])
    assert [0 <= one.confidence <= 1 for one in judged] == [True, True]
    assert judged[0].familiar is not None


def test_claims_come_with_a_warning(finished: RunConfig) -> None:
    """The query alone judges them, and it was not tuned on any."""
    model = CalibratedModel.from_pretrained(finished.checkpoint_dir)
    with pytest.warns(RuntimeWarning, match="was not tuned on claims"):
        model.claims("What is 1 plus 2?", "It is 3.")


def test_the_record_says_how_it_was_chosen(finished: RunConfig) -> None:
    record = json.loads((finished.checkpoint_dir / "calibration.json").read_text())["readout"]
    assert record["layers"] == [1]
    assert record["n_probe"] == 2 * (40 + 8)
    assert record["with_states"]["signals"][-1] == "states"
    assert "states" not in record["stateless"]["signals"]
    assert record["left_out"] == {}
    metrics = json.loads((finished.evaluation_dir / "metrics.json").read_text())
    assert metrics["readout"] == record
    assert {*metrics["estimators"]["test"]} == set()  # fewer test answers than a row is worth


def test_the_untuned_readout_stands_beside_it(finished: RunConfig) -> None:
    table = pq.read_table(finished.evaluation_dir / "per_example.parquet")
    for name in ("stacked_before_calibrated", "stacked_after_calibrated", "likelihood_blend_before", "query_after"):
        assert np.isfinite(table[name].to_numpy()).all(), name
    assert table["confidence_after"].to_pylist() == table["stacked_after_calibrated"].to_pylist()


def test_evaluation_calibrates_on_the_log_odds_of_training(finished: RunConfig) -> None:
    """Both cross-fit blends on two readings of the calibration answers. Of one reading they would have other scales,
    and the calibrators of the untuned readout and of the blended likelihoods would not fit their test scores."""
    from calibration_tuning.checkpoint import read_record
    from calibration_tuning.curated_set import CuratedSet
    from calibration_tuning.metrics.scoring_rules import nll
    from evaluation.collect import collect

    record = read_record(finished.checkpoint_dir)
    evidence = collect(finished, CuratedSet.read(finished.curation_dir), record)
    logit = evidence.scores["stacked", "after"]["calibration"]
    correct = evidence.correct("calibration")
    assert nll(expit(logit), correct) == pytest.approx(record.calibrated_on["nll_without"], rel=1e-4)
    # Answers read after what a loaded checkpoint shows have a calibrator of their own.
    stored, shown = record.calibrator_as_loaded, evidence.scores_as_loaded["calibration"]
    assert stored is not None
    assert stored != record.calibrator
    # Not equal to a new fit: familiarity is a rank among few answers here, and rounding changes ranks.
    assert nll(stored(shown), correct) < nll(record.calibrator(shown), correct)
    assert evidence.as_loaded("test").tolist() == stored(evidence.scores_as_loaded["test"]).tolist()


def test_the_users_examples_have_the_calibrator_of_answers_behind_their_own(finished: RunConfig) -> None:
    model = CalibratedModel.from_pretrained(finished.checkpoint_dir)
    logits = np.linspace(-2, 2, 5)
    assert model.record.calibrator_as_loaded is not None
    assert model._calibrated(logits) == pytest.approx(model.record.calibrator_as_loaded(logits))
    model.show([{"question": "What is 1 plus 1?", "answer": "2"}])
    assert model._calibrated(logits) == pytest.approx(model.record.calibrator(logits))
    # Checkpoints of before have one calibrator.
    model.record = model.record.model_copy(update={"calibrator_as_loaded": None})
    model.examples = model.record.answer_few_shot
    assert model._calibrated(logits) == pytest.approx(model.record.calibrator(logits))


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_readout_is_refused(finished: RunConfig, tmp_path: Path, damage: str) -> None:
    import shutil

    from calibration_tuning.runs.checksums import write_sums

    folder = tmp_path / "checkpoint"
    shutil.copytree(finished.checkpoint_dir, folder)
    arrays = folder / "readout.safetensors"
    if damage == "missing":
        arrays.unlink()
    else:
        arrays.write_bytes(arrays.read_bytes()[:-8])
    write_sums(folder)
    with pytest.raises(UserError, match="its readout cannot be read"):
        CalibratedModel.from_pretrained(folder)
