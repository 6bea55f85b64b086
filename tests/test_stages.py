"""The three stages in this process, on a tiny random model: the whole story in seconds."""

import json
from pathlib import Path

import pytest

from calibration_tuning.config.run import load_run_config
from calibration_tuning.errors import UserError
from data_curation.__main__ import curate
from evaluation.__main__ import evaluate
from tests.forked import completed
from training.__main__ import train

pytestmark = pytest.mark.slow


def test_questions_in_a_report_out_of_a_chat(tiny_config_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_run_config(tiny_config_path, ["model.prompt_format=chat"])
    for stage in (curate, train, evaluate):
        stage(config, False)
    metrics = json.loads((config.evaluation_dir / "metrics.json").read_text())["headline"]["test"]
    assert metrics["n"] == 16
    assert metrics["before"]["brier"]["value"] != metrics["after"]["brier"]["value"]
    assert "Brier score" in capsys.readouterr().out


def test_training_learns_a_rule_it_can_see(tiny_config_path: Path) -> None:
    """One answer is made right and another wrong, whatever the question: the tuned model must tell them apart."""
    from calibration_tuning.records import read_records, write_records

    config = load_run_config(
        tiny_config_path,
        ["training.epochs=20", "training.learning_rate=1e-2", "training.lora.r=8", "training.objective.kl_weight=0"],
    )
    curate(config, False)
    for split in ("train", "validation", "calibration", "test"):
        path = config.curation_dir / f"{split}.parquet"
        rows = read_records(path)
        verdicts = [{"correct": 1.0, "token_ids": [70, 71]}, {"correct": 0.0, "token_ids": [80, 81]}]
        write_records(path, [row.model_copy(update=verdicts[i % 2]) for i, row in enumerate(rows)])
    (config.curation_dir / "SHA256SUMS").unlink()
    train(config, False)
    evaluate(config, False)
    metrics = json.loads((config.evaluation_dir / "metrics.json").read_text())["headline"]["test"]
    assert metrics["after"]["auroc"]["value"] > 0.95
    assert metrics["after"]["brier"]["value"] < 0.5 * metrics["before"]["brier"]["value"]


def test_stages_ask_for_what_comes_before_them(tiny_config_path: Path) -> None:
    config = load_run_config(tiny_config_path, [])
    with pytest.raises(UserError, match="curate CONFIG"):
        train(config, False)
    curate(config, False)
    with pytest.raises(UserError, match="train CONFIG"):
        evaluate(config, False)
    (config.checkpoint_dir).mkdir()
    with pytest.raises(UserError, match="not a finished"):
        train(config, False)


def test_a_run_on_a_set_curated_elsewhere_has_settings_of_its_own(tiny_config_path: Path) -> None:
    other = load_run_config(tiny_config_path, [])
    curate(other, False)
    overrides = ["name=second", f"curated={other.curation_dir}"]
    result = completed("data_curation", tiny_config_path, *overrides)
    assert result.returncode == 0, result.stderr
    assert "is used as it is" in result.stdout
    assert (load_run_config(tiny_config_path, overrides).run_dir / "config.yaml").is_file()
