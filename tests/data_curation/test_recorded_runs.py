"""Whole curation runs on answers read from a file: code that is run, and answers that are missing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.records import read_records
from data_curation import __main__ as stage
from data_curation.__main__ import curate
from data_curation.question_sets import load_questions

FIXTURE = Path(__file__).with_name("fixtures") / "humaneval.jsonl"


def prepared(
    folder: Path, write_tiny_config: Callable[[Path], Path], code: Callable[[int, str], str | None], **curation: Any
) -> RunConfig:
    """Sums answered rightly, and HumanEval's fixture with `code(row number, right answer)` as answers."""
    values = yaml.safe_load(write_tiny_config(folder).read_text())
    shared = {"set": "humaneval", "path": str(FIXTURE), "role": "evaluation", "max_new_tokens": 64}
    values["questions"].append(shared)
    engine = {"kind": "recorded", "path": str(folder / "answers.jsonl")}
    few_shot = {"answer_few_shot": 0, "query_few_shot": 0}
    values["curation"] |= {"engine": engine, "execute_code": True, **few_shot, **curation}
    path = folder / "code.yaml"
    path.write_text(yaml.safe_dump(values))
    config = load_run_config(path, [])
    sums, programs = (load_questions(entry, None).questions for entry in config.questions)
    rows: list[dict[str, str | None]] = [{"id": q.id, "answer": q.references[0]} for q in sums]
    rows += [{"id": q.id, "answer": code(i, q.references[0])} for i, q in enumerate(programs)]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows if row["answer"] is not None))
    return config


@pytest.mark.slow
def test_code_is_graded_by_running_it(tmp_path: Path, write_tiny_config: Callable[[Path], Path]) -> None:
    def code(number: int, right: str) -> str:
        return f"```python\n{right}\n```" if number == 0 else right.replace("return", "return None #")

    config = prepared(tmp_path, write_tiny_config, code)
    curate(config, False)
    rows = {row.id: row for row in read_records(config.curation_dir / "evaluation.parquet")}
    first, *others = [rows[f"humaneval/{json.loads(line)['task_id']}"] for line in FIXTURE.read_text().splitlines()]
    assert first.correct == 1
    assert [row.correct for row in others] == [0] * len(others)
    assert len(others) >= 1
    assert all(row.correct == 1 for row in read_records(config.curation_dir / "train.parquet"))
    card = (config.curation_dir / "README.md").read_text()
    assert "pretty_name: 'tiny: graded recorded answers from answers.jsonl'" in card
    assert "\nRecorded answers from answers.jsonl, graded against references," in card


def test_code_is_not_run_unless_asked_for(tmp_path: Path, write_tiny_config: Callable[[Path], Path]) -> None:
    with pytest.raises(UserError, match=r"curation\.execute_code: false"):
        prepared(tmp_path, write_tiny_config, lambda number, right: right, execute_code=False)


def test_a_run_without_any_answer_fails(tmp_path: Path, write_tiny_config: Callable[[Path], Path]) -> None:
    config = prepared(tmp_path, write_tiny_config, lambda number, right: right)
    (tmp_path / "answers.jsonl").write_text('{"id": "of another set", "answer": "4"}\n')
    with pytest.raises(UserError, match=r"answers\.jsonl: has answers for 0 of \d+ questions \(their ids are such as "):
        curate(config, False)
    assert not config.curation_dir.exists()


@pytest.mark.slow
def test_other_answers_in_the_same_file_are_another_run(
    tmp_path: Path, write_tiny_config: Callable[[Path], Path]
) -> None:
    config = prepared(tmp_path, write_tiny_config, lambda number, right: right)
    curate(config, False)
    with (tmp_path / "answers.jsonl").open("a") as file:
        file.write('{"id": "one more", "answer": "4"}\n')
    with pytest.raises(UserError, match="was made with other settings or from other files"):
        curate(config, False)


@pytest.mark.slow
def test_two_runs_in_one_folder_do_not_mix(tmp_path: Path, write_tiny_config: Callable[[Path], Path]) -> None:
    config = prepared(tmp_path, write_tiny_config, lambda number, right: right)
    code = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); "
        "print(1, flush=True); time.sleep(99)"
    )
    lock = config.run_dir / ".curation" / "lock"
    lock.parent.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        with pytest.raises(UserError, match="another process is at work here"):
            curate(config, False)
        other.kill()
    curate(config, False)
    assert not lock.parent.exists()


@pytest.mark.slow
def test_two_runs_with_other_settings_do_not_replace_each_others_set(
    tmp_path: Path, write_tiny_config: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = prepared(tmp_path, write_tiny_config, lambda number, right: right)
    other = load_run_config(tmp_path / "code.yaml", ["seed=1"])

    def answered(*arguments: Any) -> Any:
        with pytest.raises(UserError, match="another process is at work here"):
            curate(other, False)
        return whole(*arguments)

    whole = stage.answered
    monkeypatch.setattr("data_curation.__main__.answered", answered)
    curate(config, False)
    with pytest.raises(UserError, match="was made with other settings"):
        curate(other, False)
    assert {path.name for path in config.run_dir.iterdir()} == {"curation"}


@pytest.mark.slow
def test_a_set_that_other_code_made_is_kept_with_a_warning(
    tmp_path: Path, write_tiny_config: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config = prepared(tmp_path, write_tiny_config, lambda number, right: right)
    curate(config, False)
    curate(config, False)
    assert "another version" not in capsys.readouterr().err
    manifest = config.curation_dir / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"code": "0123456789abcdef"}))
    before = manifest.read_bytes()
    curate(config, False)
    said = capsys.readouterr().err
    assert f"warning: {config.curation_dir}: was made by another version of calibration-tuning" in said
    assert manifest.read_bytes() == before


@pytest.mark.slow
def test_answers_that_other_code_made_are_kept_with_a_warning(
    tmp_path: Path, write_tiny_config: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config = prepared(tmp_path, write_tiny_config, lambda number, right: right)
    answers = tmp_path / "answers.jsonl"
    whole = answers.read_text()
    answers.write_text(whole.partition("\n")[0] + "\n")  # of a single question
    for _ in range(2):
        with pytest.raises(RunError):
            curate(config, False)
    assert "another version" not in capsys.readouterr().err
    (code,) = config.run_dir.glob(".curation-*/code")
    code.write_text("0123456789abcdef")
    with pytest.raises(RunError):
        curate(config, False)
    assert (
        f"warning: {code.parent}: its answers were made by another version of calibration-tuning and are kept; delete "
        "this folder to start over"
    ) in capsys.readouterr().err
    answers.write_text(whole)
    curate(config, False)
    assert "another version" not in capsys.readouterr().err, "other answers are another run"


@pytest.mark.slow
def test_questions_without_an_answer_are_left_out_and_listed(
    tmp_path: Path, write_tiny_config: Callable[[Path], Path]
) -> None:
    config = prepared(tmp_path, write_tiny_config, lambda number, right: None if number == 0 else right)
    curate(config, False)
    record = json.loads((config.curation_dir / "manifest.json").read_text())
    assert record["dropped"]["no_answer"] == {"humaneval": 1}
    counts = record["counts"]["humaneval"]
    assert counts["asked"] - counts["graded"] == 1
