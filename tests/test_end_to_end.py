"""The commands a user types, on a tiny random model, and the files they leave.

One whole run and what is refused start processes anew, as users do. Where the command line itself is not what is
tested, they are forked.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.forked import completed

CLI = [sys.executable, "-m", "calibration_tuning.cli"]
TOKEN_METRICS = {"full_ece", "full_ece_nk", "vocabulary_brier", "nll", "top1_ece", "top1_ace", "accuracy"}


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1", "WANDB_SILENT": "true"} | environment,
    )


def forked(*arguments: object) -> subprocess.CompletedProcess[str]:
    return completed("calibration_tuning.cli", *arguments, NO_COLOR="1", WANDB_SILENT="true")


slow = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[[Path], Path]
) -> tuple[Path, Path, str]:
    """(settings file, run folder, output) of one whole run."""
    folder = tmp_path_factory.mktemp("run")
    config = write_tiny_config(folder)
    result = command("run", config)
    assert result.returncode == 0, result.stdout + result.stderr
    return config, folder / "runs" / "tiny", result.stdout


@slow
def test_prints_its_commands_the_table_and_the_report(finished: tuple[Path, Path, str]) -> None:
    config, run, output = finished
    for module in ("data_curation", "training", "evaluation"):
        assert f"$ python -m {module} {config}" in output
    assert "Brier score" in output
    assert f"report: {run / 'evaluation' / 'report.html'}" in output


@slow
def test_leaves_the_folder_that_is_promised(finished: tuple[Path, Path, str]) -> None:
    _, run, _ = finished
    expected = {
        "config.yaml",
        *(f"curation/{name}" for name in ("manifest.json", "README.md", "few_shot.json")),
        *(f"curation/{split}.parquet" for split in ("train", "validation", "calibration", "test")),
        *(f"checkpoint/{name}" for name in ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json")),
        "checkpoint/calibration.json",
        *(f"evaluation/{name}" for name in ("metrics.json", "report.html", "report.md", "per_example.parquet")),
        "evaluation/calibrators.json",
        "evaluation/plots/reliability_before.png",
        "evaluation/plots/reliability_after.png",
    }
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert expected <= found
    # What the model was asked in evaluation is kept for other reports; nothing else is left over.
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == [".findings"]
    assert "<svg" in (run / "evaluation/report.html").read_text()
    assert "| train | 24 |" in (run / "curation/README.md").read_text()


@slow
def test_no_question_is_on_two_sides(finished: tuple[Path, Path, str]) -> None:
    _, run, _ = finished
    few_shot = json.loads((run / "curation/few_shot.json").read_text())
    sides = [
        set(pq.read_table(run / f"curation/{split}.parquet")["question"].to_pylist())
        for split in ("train", "validation", "calibration", "test")
    ]
    shown = {d["question"] for block in [few_shot["query"], *few_shot["answer"].values()] for d in block}
    assert [len(side) for side in sides] == [24, 8, 10, 16]
    assert len(set().union(*sides, shown)) == sum(map(len, sides)) + len(shown)


@slow
def test_metrics_have_their_stated_shape(finished: tuple[Path, Path, str]) -> None:
    _, run, _ = finished
    metrics = json.loads((run / "evaluation/metrics.json").read_text())
    test = metrics["headline"]["test"]
    assert (metrics["schema_version"], test["n"]) == (4, 16)
    for side in ("before", "after", "difference"):
        assert {"brier", "ece", "ace", "nll", "auroc", "accuracy"} <= set(test[side])
        assert {"value", "low", "high"} <= set(test[side]["brier"])
        assert set(metrics["query_tokens"][side]) == TOKEN_METRICS
        for binning in ("equal_width", "log", "equal_mass"):
            assert set(metrics["tokens"][binning][side]) == TOKEN_METRICS
    assert test["before"]["brier"]["value"] != test["after"]["brier"]["value"]
    assert test["difference"]["accuracy"]["value"] == 0
    assert {"p", "p_holm", "verdict"} <= set(test["difference"]["brier"])
    assert 0 < metrics["headline"]["answer_token_mass"]["after"]["value"] < 1


@slow
def test_per_example_rows_give_the_metrics_back(finished: tuple[Path, Path, str]) -> None:
    _, run, _ = finished
    metrics = json.loads((run / "evaluation/metrics.json").read_text())
    rows = pq.read_table(run / "evaluation/per_example.parquet").to_pydict()
    correct = np.array(rows["correct"])
    for side in ("before", "after"):
        brier = np.mean((np.array(rows[f"confidence_{side}"]) - correct) ** 2)
        assert metrics["headline"]["test"][side]["brier"]["value"] == pytest.approx(brier)


@slow
def test_training_changed_the_confidences_and_only_through_the_adapter(finished: tuple[Path, Path, str]) -> None:
    _, run, _ = finished
    rows = pq.read_table(run / "evaluation/per_example.parquet").to_pydict()
    moved = np.abs(np.array(rows["confidence_before"]) - np.array(rows["query_after"]))
    assert moved.max() > 1e-3


@slow
def test_checkpoint_loads_with_plain_peft(finished: tuple[Path, Path, str], tiny_model_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, run, _ = finished
    config = json.loads((run / "checkpoint/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_model_path)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model_path), run / "checkpoint")
    assert any(p.abs().sum() > 0 for n, p in model.named_parameters() if "lora_B" in n)
    assert AutoTokenizer.from_pretrained(run / "checkpoint").encode("Answer: ii")


@slow
def test_calibrated_model_gives_the_reports_confidences(finished: tuple[Path, Path, str]) -> None:
    from calibration_tuning import CalibratedModel

    _, run, _ = finished
    model = CalibratedModel.from_pretrained(run / "checkpoint")
    rows = pq.read_table(run / "evaluation/per_example.parquet").to_pylist()
    test = pq.read_table(run / "curation/test.parquet").to_pylist()
    logits, _ = model._logits([r["question"] for r in test], [r["token_ids"] for r in test])
    assert model._calibrated(logits) == pytest.approx([r["confidence_after"] for r in rows], abs=1e-5)
    said = model.answer("What is 1 plus 1?")
    assert 0 <= said.confidence <= 1
    assert said == model.answer("What is 1 plus 1?")
    assert 0 <= model.confidence("What is 1 plus 1?", "2") <= 1
    batch = model.confidence_batch(["What is 1 plus 1?", "Why?"], ["2", "because of the rain"])
    assert batch[0] == pytest.approx(model.confidence("What is 1 plus 1?", "2"), abs=1e-5)


@slow
def test_compare_and_score_through_the_command(finished: tuple[Path, Path, str], tmp_path: Path) -> None:
    _, run, _ = finished
    compared = forked("compare", run, run, "--output", tmp_path / "same.json")
    assert compared.returncode == 0, compared.stderr
    assert json.loads((tmp_path / "same.json").read_text())["n"] == 16
    path = run / "evaluation/per_example.parquet"
    scored = forked("score", path, "--confidence", "confidence_after", "--group", "group", "--bootstrap", "100")
    assert scored.returncode == 0, scored.stderr
    value = json.loads((run / "evaluation/metrics.json").read_text())["headline"]["test"]["after"]["brier"]["value"]
    assert f"{value:.3f}" in scored.stdout
    assert forked("compare", run, tmp_path).returncode == 2
    assert forked("score", tmp_path / "no.csv").returncode == 2


@slow
def test_a_second_run_does_nothing_and_other_settings_are_refused(finished: tuple[Path, Path, str]) -> None:
    config, run, _ = finished
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file() and p.name not in ("config.yaml", "lock")}
    again = forked("run", config)
    assert again.returncode == 0
    assert again.stdout.count("is up to date") == 3
    refused = forked("curate", config, "seed=1")
    assert refused.returncode == 2
    assert "was made with other settings" in refused.stderr
    after = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file() and p.name not in ("config.yaml", "lock")}
    assert after == before


@slow
def test_a_checkpoint_of_another_curated_set_is_refused(finished: tuple[Path, Path, str], tmp_path: Path) -> None:
    import shutil

    config, run, _ = finished
    shutil.copytree(run, tmp_path / "tiny")
    manifest = tmp_path / "tiny/curation/manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"fingerprint": "0" * 16}))
    (manifest.parent / "SHA256SUMS").unlink()
    result = forked("evaluate", config, f"output_dir={tmp_path}")
    assert result.returncode == 2
    assert "was trained on another curated set" in result.stderr


@slow
def test_same_seed_same_files(finished: tuple[Path, Path, str], tmp_path: Path) -> None:
    config, run, _ = finished
    assert forked("run", config, f"output_dir={tmp_path}").returncode == 0
    for name in ("curation/train.parquet", "curation/few_shot.json", "evaluation/metrics.json"):
        assert (tmp_path / "tiny" / name).read_bytes() == (run / name).read_bytes(), name


@slow
def test_offline_tracking_is_written(
    tmp_path: Path, tiny_config_path: Path, wandb_records: Callable[[Path], list[Any]]
) -> None:
    result = forked("run", tiny_config_path, "tracking.wandb=offline", "training.epochs=0.4")
    assert result.returncode == 0, result.stdout + result.stderr
    run = tmp_path / "runs/tiny"
    files = list((run / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 3
    kinds: dict[str, tuple[str, str, str, str]] = {}
    for path in files:
        records = wandb_records(path)
        (of,) = [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
        logged = [record.artifact for record in records if record.WhichOneof("record_type") == "artifact"]
        (made,) = [artifact for artifact in logged if artifact.type != "run_table"]  # which W&B makes of a table
        kinds[of.job_type] = (of.display_name, of.run_group, made.type, made.name)
        assert {"manifest.json", "calibration.json", "metrics.json"} & {entry.path for entry in made.manifest.contents}
    assert kinds == {
        "curate": ("tiny-curate", "tiny", "dataset", "tiny-curation"),
        "train": ("tiny-train", "tiny", "model", "tiny-checkpoint"),
        "evaluate": ("tiny-evaluate", "tiny", "evaluation", "tiny-evaluation"),
    }


@pytest.mark.slow
def test_wrong_settings_exit_with_2_before_anything_is_made(tmp_path: Path, tiny_config_path: Path) -> None:
    result = command("run", tiny_config_path, "training.epoch=2", "model.dtype=int8")
    assert result.returncode == 2
    assert "training.epoch: unknown setting; did you mean 'epochs'?" in result.stderr
    assert "model.dtype" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_missing_files_exit_with_2(tiny_config_path: Path) -> None:
    assert command("run", "no.yaml").returncode == 2
    missing = command("curate", tiny_config_path, "questions.0.path=no.jsonl")
    assert missing.returncode == 2
    assert "questions.sums.path: no.jsonl does not exist" in missing.stderr
    early = forked("evaluate", tiny_config_path)
    assert early.returncode == 2
    assert "run `calibration-tuning curate CONFIG` first" in early.stderr
    model = forked("curate", tiny_config_path, "model.path=./no-such-model")
    assert model.returncode == 2
    assert "model.path: ./no-such-model: no such folder" in model.stderr


@slow
def test_an_unwritable_output_is_one_sentence_and_debug_shows_why(tmp_path: Path, tiny_config_path: Path) -> None:
    blocker = tmp_path / "runs"
    blocker.write_text("a file where the run folder should be")
    result = forked("curate", tiny_config_path)
    assert result.returncode == 2
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in forked("curate", tiny_config_path, "--debug").stderr


@pytest.mark.slow
def test_every_command_has_help_with_an_example() -> None:
    for name in ("run", "curate", "train", "evaluate", "compare", "score"):
        shown = command(name, "--help")
        assert shown.returncode == 0
        assert f"calibration-tuning {name} " in shown.stdout


@slow
def test_settings_files_are_resolved_into_the_run_folder(finished: tuple[Path, Path, str]) -> None:
    _, run, _ = finished
    resolved = yaml.safe_load((run / "config.yaml").read_text())
    assert resolved["training"]["objective"]["kl"] == "forward_kl"
