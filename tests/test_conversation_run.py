"""A whole run on questions with earlier turns, some of them, and the confidences of who loads its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from calibration_tuning.calibrated_model import CalibratedModel
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.conversation import Conversation
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.lm.shown_prompt import example_parts
from calibration_tuning.records import QueryExample, read_records
from calibration_tuning.thresholds import Threshold
from data_curation import judge

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["text", "chat"])
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    write_tiny_config: Callable[[Path], Path],
    request: pytest.FixtureRequest,
) -> RunConfig:
    from data_curation.__main__ import curate
    from evaluation.__main__ import evaluate
    from training.__main__ import train

    folder = tmp_path_factory.mktemp("conversations")
    path = write_tiny_config(folder)
    values = yaml.safe_load(path.read_text())
    rows, said = [], []
    for number in range(81):
        a, b = divmod(number, 9)
        before = [("user", f"My number is {a}."), ("assistant", f"I see, {a}.")] if number % 3 else []
        turns = [*before, ("user", f"What is {a} plus {b}?" if not before else f"What is it plus {b}?")]
        messages = [{"role": role, "content": text} for role, text in turns]
        rows.append({"id": str(number), "messages": messages, "answer": str(a + b), "group": str(number)})
        said.append({"id": str(number), "answer": str(a + b if number % 2 else a + b + 1)})
    for name, lines in (("questions.jsonl", rows), ("answers.jsonl", said)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    values["model"]["prompt_format"] = request.param
    values["curation"]["engine"] = {"kind": "recorded", "path": str(folder / "answers.jsonl")}
    values["evaluation"]["estimators"] = ["query", "sequence_likelihood"]
    path.write_text(yaml.safe_dump(values))
    config = load_run_config(path, [])
    for stage in (curate, train, evaluate):
        stage(config, False)
    return config


def held_out(config: RunConfig) -> list[QueryExample]:
    return read_records(config.curation_dir / "test.parquet")


def test_the_turns_are_curated_and_no_demonstration_has_any(finished: RunConfig) -> None:
    rows = held_out(finished)
    assert {len(row.earlier) for row in rows} == {0, 1}
    assert all(row.question.startswith("What is it plus") for row in rows if row.earlier)
    few_shot = json.loads((finished.curation_dir / "few_shot.json").read_text())
    shown = [*few_shot["query"], *(d for block in few_shot["answer"].values() for d in block)]
    assert shown
    assert not any("What is it" in demonstration["question"] for demonstration in shown)


def test_people_and_judges_see_the_turns(finished: RunConfig) -> None:
    row = next(row for row in held_out(finished) if row.earlier)
    number = row.earlier[0].question.split()[-1]
    turns = f"User: My number is {number}\nAssistant: I see, {number.replace('.', '')}."
    assert row.shown.startswith(f"{turns}\nUser: What is it plus")
    prompt = load_prompt_format(finished.model)
    inspected = "".join(part.text for part in example_parts(prompt, (), row, row.token_ids, True))
    assert f"My number is {number}" in inspected
    assert f"My number is {number}" in judge._fill("{question} {references} {answer}", row, "7")


def test_a_loaded_checkpoint_reads_conversations_as_evaluation_did(finished: RunConfig) -> None:
    model = CalibratedModel.from_pretrained(finished.checkpoint_dir)
    table = pq.read_table(finished.evaluation_dir / "per_example.parquet").to_pylist()
    expected = {row["id"]: row["confidence_after"] for row in table}
    rows = held_out(finished)
    asked, answers = [Conversation(row.text, tuple(row.earlier)) for row in rows], [row.answer for row in rows]
    judged = model.judge_batch(asked, answers)
    assert [one.confidence for one in judged] == pytest.approx([expected[row.id] for row in rows], abs=1e-6)
    without = model.judge_batch([row.text for row in rows], answers)
    moved = [abs(a.confidence - b.confidence) for a, b in zip(judged, without, strict=True)]
    assert max(moved) > 1e-5, "the turns are read"  # by a random model, whose calibrator is nearly flat
    assert max(move for move, row in zip(moved, rows, strict=True) if not row.earlier) == pytest.approx(0, abs=1e-7)


def test_the_threshold_is_for_conversations_too(finished: RunConfig) -> None:
    model = CalibratedModel.from_pretrained(finished.checkpoint_dir)
    assert model.record.has_conversations
    model.threshold = Threshold(error_rate=0.5, threshold=0.5, coverage=0.5, error=0.5)
    turns = [{"role": "user", "content": "My number is 3."}, {"role": "assistant", "content": "I see, 3."}]
    asked = [*turns, {"role": "user", "content": "What is it plus 4?"}]
    assert model.answer(messages=asked).trusted is not None
    assert model.answer(messages=[{"role": "system", "content": "Be brief."}, *asked]).trusted is None
