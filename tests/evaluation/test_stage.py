"""The whole stage on the tiny model with everything switched on: its files, its restart, its processes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from calibration_tuning import CalibratedModel
from calibration_tuning.config.evaluation import EstimatorName
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.errors import UserError
from calibration_tuning.records import read_records
from calibration_tuning.runs.files import read_json, write_json
from evaluation.__main__ import evaluate
from evaluation.calibrators_json import read_calibrators
from evaluation.schema import read_metrics
from evaluation.sections import SECTIONS
from tests.forked import Forked, Program, completed
from tests.training.conftest import free_port

pytestmark = pytest.mark.slow

COLOURS = ["red", "green", "blue", "grey"]


def questions(folder: Path) -> list[dict[str, Any]]:
    choices = [
        {"id": f"c{i}", "question": f"Which colour has number {i}?", "choices": COLOURS, "answer": COLOURS[i % 4]}
        for i in range(40)
    ]
    products = [{"id": f"p{i}", "question": f"What is {i} times 3?", "answer": str(3 * i)} for i in range(30)]
    for name, rows in (("colours", choices), ("products", products)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        {"source": "colours", "path": str(folder / "colours.jsonl"), "grader": "choice", "style": "cloze"},
        {"source": "products", "path": str(folder / "products.jsonl"), "grader": "numeric", "role": "evaluation"},
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[[Path], Path]) -> Path:
    """Settings of a run that has been curated and trained, and will be evaluated with everything there is."""
    from data_curation.__main__ import curate
    from training.__main__ import train

    folder = tmp_path_factory.mktemp("stage")
    path = write_tiny_config(folder)
    values = yaml.safe_load(path.read_text())
    values["questions"] += questions(folder)
    sizes = {"train": 24, "validation": 10, "calibration": 24, "test": 30}
    values["curation"] |= {"sizes": sizes, "samples": 1, "second_grader": {"grader": "exact", "sample": 40}}
    values["training"] |= {"readout": "stacked", "token_temperature": "adaptive"}
    others = folder / "others.jsonl"
    values["evaluation"] |= {
        "estimators": list(get_args(EstimatorName)),
        "samples": 2,
        "reasoning_tokens": [0, 3],
        "written_questions": 24,
        "other_answers": [{"name": "other", "path": str(others)}],
        "batch_size": 8,
        "text": {"path": str(folder / "texts.jsonl"), "tokens": 300, "window": 16},
    }
    texts = [f"Document {i} says that {i} and {i} are {2 * i}, and more of the kind." for i in range(20)]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    path.write_text(yaml.safe_dump(values))
    others.write_text("")
    config = load_run_config(path, [])
    curate(config, False)
    train(config, False)
    rows = [
        {"id": row["id"], "answer": row["references"][0] if number % 2 else "99"}
        for split in ("calibration", "test", "evaluation")
        for number, row in enumerate(pq.read_table(config.curation_dir / f"{split}.parquet").to_pylist())
    ]
    others.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def evaluated(trained: Path) -> RunConfig:
    config = load_run_config(trained, [])
    evaluate(config, False)
    return config


def metrics(config: RunConfig) -> dict[str, Any]:
    return json.loads((config.evaluation_dir / "metrics.json").read_text())


def test_every_confidence_is_measured(evaluated: RunConfig) -> None:
    found = metrics(evaluated)["estimators"]
    assert {*found} == {"test", "evaluation"}
    # A random model says no percentages and no words, and these sets are small: what is there is there on both sides.
    for name in ("query", "query_zero_shot", "average_token_probability", "sequence_likelihood", "p_true"):
        assert {*found["test"][name]["states"]} == {"before", "after"}
    rows = pq.read_table(evaluated.evaluation_dir / "per_example.parquet").to_pylist()
    assert {f"{name}_before" for name in get_args(EstimatorName)} <= {*rows[0]}
    for row in rows:
        is_cloze = row["source"] == "colours"
        assert (row["choice_probability_before"] is not None) == is_cloze
        assert (row["self_consistency_before"] is None) or not is_cloze
        assert 0 < row["confidence_after"] < 1
    assert {row["split"] for row in rows} == {"test", "evaluation"}


def test_every_section_has_something_to_say(evaluated: RunConfig) -> None:
    found = metrics(evaluated)
    assert [name for name in SECTIONS if found[name] is None] == ["code"]
    assert "verbalised, in percent, before" in found["unrated"], "a random model writes no percentages"
    assert found["sources"]["products"]["in_domain"] is False
    assert found["headline"]["evaluation"]["n"] == 29  # and one that was shown as a demonstration
    assert {*found["other_models"]} == {"own", "other"}
    assert found["other_models"]["other"]["after"]["accuracy"]["value"] == pytest.approx(0.5, abs=0.02)
    assert "leave_one_out" in found["other_models"]["own"]
    assert found["grader"]["n"] > 0
    assert [point["budget"] for point in found["compute"]["reasoning"]] == [0, 3]
    text = found["text"]
    assert text["documents"] == 19  # first windows of 16 tokens, 300 wanted: 18 whole ones and 12 tokens
    assert text["tokens"]["n"] == 300 - 19, "the first token of a window is read only"
    assert text["tokens"]["difference"]["full_ece"]["p_holm"] is not None
    assert [point["samples"] for point in found["compute"]["samples"]] == [1, 2]
    assert found["temperature"]["before"]["difference"]["accuracy"]["value"] == 0
    adaptive = found["temperature"]["before"]["adaptive"]
    assert {*adaptive} == {"test", "evaluation"}
    assert adaptive["test"]["plain"]["nll"]["value"] == found["tokens"]["equal_width"]["before"]["nll"]["value"]
    assert adaptive["test"]["difference"]["nll"]["value"] != 0
    assert adaptive["test"]["difference"]["accuracy"]["value"] == 0, "no greedy token changes"
    assert "adaptive" not in found["temperature"]["after"]
    assert found["tokens"]["equal_width"]["before"]["full_ece_nk"]["value"] == pytest.approx(
        found["tokens"]["equal_width"]["before"]["full_ece"]["value"] / found["tokens"]["equal_width"]["vocabulary"]
    )


def test_calibrators_are_kept_and_load(evaluated: RunConfig) -> None:
    fits = read_calibrators(evaluated.evaluation_dir / "calibrators.json")
    stored = json.loads((evaluated.checkpoint_dir / "calibration.json").read_text())["calibrator"]
    assert dataclasses.asdict(fits["stacked/after"]["temperature"]) == stored
    assert {*fits["query/before"]} == {"temperature", "platt", "beta", "isotonic", "histogram"}


def test_who_shows_the_examples_of_a_subject_gets_the_reports_confidences(evaluated: RunConfig) -> None:
    """A loaded checkpoint shows the same demonstrations before every question, unless it is given others."""
    blocks = CuratedSet.read(evaluated.curation_dir).few_shot
    table = {row["id"]: row for row in pq.read_table(evaluated.evaluation_dir / "per_example.parquet").to_pylist()}
    rows = [row for row in read_records(evaluated.curation_dir / "test.parquet") if row.source == "sums"]
    assert {row.subject for row in rows} == {"odd", "even"}
    as_loaded = CalibratedModel.from_pretrained(evaluated.checkpoint_dir)
    for subject in ("odd", "even"):
        asked = [row for row in rows if row.subject == subject]
        block = [{"question": shown.question, "answer": shown.answer} for shown in blocks.before(asked[0])]
        model = CalibratedModel.from_pretrained(evaluated.checkpoint_dir, examples=block)
        for found, name in ((model, "confidence_after"), (as_loaded, "confidence_as_loaded")):
            logits, _ = found._logits([row.text for row in asked], [row.token_ids for row in asked])
            assert found._calibrated(logits) == pytest.approx([table[row.id][name] for row in asked], abs=1e-5), name
    assert any(abs(table[row.id]["confidence_after"] - table[row.id]["confidence_as_loaded"]) > 1e-4 for row in rows)


def test_what_is_written_is_what_the_schema_says(evaluated: RunConfig) -> None:
    path = evaluated.evaluation_dir / "metrics.json"
    assert read_metrics(path).as_json() == json.loads(path.read_text())


def test_another_report_asks_the_model_nothing(trained: Path, evaluated: RunConfig, monkeypatch: Any) -> None:
    monkeypatch.setattr("evaluation.run_passes.build_context", lambda *_: pytest.fail("the model was loaded"))
    other = load_run_config(trained, ["evaluation.bootstrap_samples=150", "evaluation.error_rates=[0.3]"])
    evaluate(other, True)
    assert metrics(other)["bootstrap_samples"] == 150
    assert [rate["error_rate"] for rate in metrics(other)["decisions"]["rates"]] == [0.3]
    evaluate(evaluated, True)


def test_killed_before_the_thresholds_are_written_it_writes_them(
    evaluated: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # run.json comes last: without it thresholds and tracking may lack the numbers.
    monkeypatch.setattr("evaluation.run_passes.build_context", lambda *_: pytest.fail("the model was loaded"))
    (evaluated.evaluation_dir / "run.json").unlink()
    thresholds = evaluated.checkpoint_dir / "thresholds.json"
    text = thresholds.read_text()
    thresholds.unlink()
    evaluate(evaluated, False)
    assert thresholds.read_text() == text
    assert (evaluated.evaluation_dir / "run.json").is_file()


def test_what_a_setting_changes_is_measured_anew_and_nothing_else(trained: Path, evaluated: RunConfig) -> None:
    def folders() -> dict[str, str]:
        return {p.name.rpartition("-")[0]: p.name for p in evaluated.findings_dir.iterdir() if p.is_dir()}

    first = folders()
    other = load_run_config(trained, ["evaluation.reasoning_tokens=[0]"])
    evaluate(other, True)
    second = folders()
    assert {name for name in first if first[name] != second[name]} == {"reasoning"}
    assert len(list(evaluated.findings_dir.glob("reasoning-*"))) == 1, "the outdated one is gone"
    evaluate(evaluated, True)
    assert folders() == first


def arguments(trained: Path, output: Path) -> list[str]:
    return [str(trained), f"output_dir={output}"]


@pytest.fixture
def copied(trained: Path, evaluated: RunConfig, tmp_path: Path) -> Path:
    """The trained run in a place of its own, not evaluated."""
    for folder in ("curation", "checkpoint"):
        shutil.copytree(evaluated.run_dir / folder, tmp_path / "tiny" / folder)
    return tmp_path


def finish(trained: Path, output: Path) -> str:
    result = completed("evaluation", *arguments(trained, output))
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_killed_it_goes_on_and_ends_alike(trained: Path, copied: Path, evaluated: RunConfig) -> None:
    kills = 0
    for wanted in (20, 120, 260):
        process = Forked(Program("evaluation", arguments(trained, copied), Path(os.devnull)))
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            written = (copied / "tiny" / ".findings").rglob("*.jsonl")
            if sum(path.read_bytes().count(b"\n") for path in written) >= wanted:
                process.kill()
                kills += 1
                break
            time.sleep(0.005)
        process.wait()
    assert kills == 3
    assert not (copied / "tiny" / "evaluation").exists()
    assert "measurements already exist" in finish(trained, copied)
    for name in ("metrics.json", "calibrators.json", "report.md"):
        found, expected = copied / "tiny" / "evaluation" / name, evaluated.evaluation_dir / name
        assert found.read_bytes() == expected.read_bytes(), name


def test_two_processes_share_the_work(trained: Path, copied: Path, evaluated: RunConfig) -> None:
    launch = ["--config_file", "launch/accelerate/ddp_8gpu.yaml", "--num_processes", "2", "--mixed_precision", "no"]
    launch += ["--main_process_port", free_port(), "-m", "evaluation"]
    result = completed("accelerate.commands.launch", *launch, *arguments(trained, copied), OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr[-3000:]
    written = {
        writer: sum(p.read_bytes().count(b"\n") for p in (copied / "tiny" / ".findings").rglob(f"{writer}.jsonl"))
        for writer in (0, 1)
    }
    assert min(written.values()) > 0.3 * sum(written.values())
    one = json.loads((copied / "tiny" / "evaluation" / "metrics.json").read_text())
    for side in ("before", "after"):
        for name, entry in one["headline"]["test"][side].items():
            expected = metrics(evaluated)["headline"]["test"][side][name]["value"]
            assert entry["value"] == pytest.approx(expected, abs=1e-4), name


def test_a_second_evaluation_at_once_is_refused(evaluated: RunConfig, trained: Path) -> None:
    from calibration_tuning.runs.locks import lock_folder

    lock = lock_folder(evaluated.findings_dir)
    with pytest.raises(UserError, match="another process is at work here"):
        evaluate(evaluated, True)
    lock.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"others.jsonl, line 1: not JSON"),
        ('{"id": "x"}', r"others.jsonl, line 1, answer: missing, or not text"),
        ('{"id": 3, "answer": "x"}', r"others.jsonl, line 1, id: missing, or not text"),
        ("[1]", r"others.jsonl, line 1, id: missing, or not text"),
        ('{"id": "nobody", "answer": "x"}', "answers none of the test questions"),
        ("", "answers none of the test questions"),
    ],
)
def test_other_answers_that_cannot_be_read(evaluated: RunConfig, tmp_path: Path, content: str, message: str) -> None:
    from calibration_tuning.config.evaluation import OtherAnswers
    from calibration_tuning.lm.models import load_tokenizer
    from calibration_tuning.lm.prompts import PromptFormat
    from evaluation.other_answers import other_splits

    path = tmp_path / "others.jsonl"
    path.write_text(content)
    prompt_format = PromptFormat.of(load_tokenizer(evaluated.model), "text")
    splits = {"test": read_records(evaluated.curation_dir / "test.parquet")}
    with pytest.raises(UserError, match=message):
        other_splits([OtherAnswers(name="o", path=path)], splits, prompt_format)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        other_splits([OtherAnswers(name="o", path=path)], splits, prompt_format)
    with pytest.raises(UserError, match="holds no curated set"):
        other_splits([OtherAnswers(name="o", path=tmp_path)], splits, prompt_format)


def test_other_answers_may_hold_any_character_and_a_mark_at_the_beginning(tmp_path: Path) -> None:
    from calibration_tuning.config.evaluation import OtherAnswers
    from evaluation.other_answers import other_answers_of

    path = tmp_path / "others.jsonl"
    rows = '{"id": "a", "answer": "one\u2028two"}\n{"id": "b", "answer": "half \\ud83d"}\n'
    path.write_text(rows, encoding="utf-8-sig")
    assert other_answers_of(OtherAnswers(name="o", path=path)) == {"a": "one\u2028two", "b": "half ?"}


def test_another_runs_set_is_a_file_of_answers(evaluated: RunConfig) -> None:
    from calibration_tuning.config.evaluation import OtherAnswers
    from calibration_tuning.lm.models import load_tokenizer
    from calibration_tuning.lm.prompts import PromptFormat
    from evaluation.other_answers import other_splits

    splits = {"test": read_records(evaluated.curation_dir / "test.parquet")}
    prompt_format = PromptFormat.of(load_tokenizer(evaluated.model), "text")
    found = other_splits([OtherAnswers(name="o", path=evaluated.curation_dir)], splits, prompt_format)
    pairs = list(zip(splits["test"], found["test@o"], strict=True))
    assert [row.answer.strip() for row, _ in pairs] == [other.answer for _, other in pairs]
    assert [row.correct for row, _ in pairs] == [other.correct for _, other in pairs]
    assert all(row.id != other.id for row, other in pairs)


def test_settings_that_do_not_fit_are_refused(trained: Path) -> None:

    with pytest.raises(UserError, match=r"evaluation.samples: 0, but self_consistency needs sampled answers"):
        load_run_config(trained, ["evaluation.samples=0"])
    other = "{name: a, path: x}"
    with pytest.raises(UserError, match="two models have the same name"):
        load_run_config(trained, [f"evaluation.other_answers=[{other}, {other}]"])
    with pytest.raises(UserError, match=r"evaluation.estimators.0: .*\(got 'quer'\)"):
        load_run_config(trained, ["evaluation.estimators=[quer]"])
    assert load_run_config(trained, ["evaluation.estimators=[p_true]"]).evaluation.estimators == ("query", "p_true")


def test_thresholds_that_went_with_the_checkpoint_are_made_again(tiny_run: Path, tmp_path: Path) -> None:
    """A checkpoint that is trained again comes without them, and may have the very same weights."""
    config = finished(tiny_run, tmp_path)
    thresholds = config.checkpoint_dir / "thresholds.json"
    before = thresholds.read_text()
    thresholds.unlink()
    evaluate(config, False)
    assert thresholds.read_text() == before


def test_other_weights_are_another_report(tiny_run: Path, tmp_path: Path) -> None:
    """Other GPUs train others from the same settings, and so under the same fingerprint."""
    from calibration_tuning.checkpoint import read_record
    from evaluation.__main__ import inputs_of

    config = finished(tiny_run, tmp_path)
    trained = read_record(config.checkpoint_dir)
    before = inputs_of(config, trained)
    path = config.checkpoint_dir / "adapter_model.safetensors"
    save_file({name: value + 1 for name, value in load_file(path).items()}, path)
    assert inputs_of(config, trained) != before
    with pytest.raises(UserError, match="--force"):
        evaluate(config, False)


def test_settings_that_are_not_those_of_the_training_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    config = finished(tiny_run, tmp_path)
    written = (config.run_dir / "config.yaml").read_text()
    arguments = [str(tiny_run / "config.yaml"), f"output_dir={tmp_path / 'runs'}", "training.lora.r=64"]
    result = completed("evaluation", *arguments)
    assert result.returncode == 2
    assert "was trained with other settings (training.lora)" in result.stderr
    assert (config.run_dir / "config.yaml").read_text() == written


def test_a_set_that_was_curated_under_other_prompts_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    config = finished(tiny_run, tmp_path)
    manifest = read_json(config.curation_dir / "manifest.json", "curate")
    manifest["settings"]["model"]["prompt_format"] = "chat"
    write_json(config.curation_dir / "manifest.json", manifest)
    (config.curation_dir / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=r"was curated with model\.prompt_format=chat, but the run has text"):
        evaluate(config, False)


def finished(run: Path, folder: Path) -> RunConfig:
    """A finished run in another folder, to be changed."""
    shutil.copytree(run.parent, folder / "runs")
    return load_run_config(run / "config.yaml", [f"output_dir={folder / 'runs'}"])
