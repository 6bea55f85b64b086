"""`calibration-tuning score` of other tools' files, and of a model on running text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibration_tuning.config.evaluation import TextSettings
from calibration_tuning.errors import UserError
from calibration_tuning.metrics.token_calibration import TokenCalibration
from evaluation.score_files import read_pairs
from evaluation.texts import read_documents, windows
from tests.evaluation.scoring.command import run


def harness_row(number: int, logliks: list[float], acc: float, **more: Any) -> dict[str, Any]:
    """As lm-evaluation-harness 0.4 writes it: the replies are texts."""
    replies = [[str(value), "False"] for value in logliks]
    return {
        "doc_id": number,
        "doc": {"question": "?"},
        "target": "0",
        "resps": [[reply] for reply in replies],
        "filtered_resps": replies,
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "acc": acc,
        "acc_norm": 1.0 - acc,
        **more,
    }


def harness_file(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "samples_task.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_samples_of_the_harness_are_read_as_they_are(tmp_path: Path) -> None:
    """Odds of 3 to 1, then of 1 to 1 to 2."""
    path = harness_file(
        tmp_path, harness_row(0, [np.log(3) - 7, -7.0], 1.0), harness_row(1, [-400.0, -400.0, np.log(2) - 400], 0.0)
    )
    pairs = read_pairs(path, "confidence", "correct", None)
    assert pairs.confidence.tolist() == pytest.approx([0.75, 0.5])
    assert pairs.correct.tolist() == [1.0, 0.0]
    result = run(path)
    assert result.exit_code == 0, result.output
    assert "samples of lm-evaluation-harness" in result.output


def test_log_likelihoods_without_the_question_are_left_out(tmp_path: Path) -> None:
    """With `acc_mutual_info` the harness asks for each choice without the question too, after all choices with it."""
    row = harness_row(0, [np.log(3) - 7, -7.0, -1.0, -1.0], 1.0, acc_mutual_info=1.0)
    assert read_pairs(harness_file(tmp_path, row), "confidence", "correct").confidence.tolist() == pytest.approx([0.75])
    row = harness_row(0, [-7.0, -1.0], 1.0, acc_mutual_info=1.0)
    with pytest.raises(UserError, match="not the log-likelihoods of several choices"):
        read_pairs(harness_file(tmp_path, row), "confidence", "correct")


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([harness_row(0, [-1.0, -2.0], 1.0)], ["--correct", "acc_norm"], "no column 'confidence'"),
        ([harness_row(0, [-1.0, -2.0], 1.0)] * 2, [], "several rows have one doc_id"),
        ([harness_row(0, [-1.0], 1.0)], [], "row 0, filtered_resps: not the log-likelihoods of several choices"),
        ([harness_row(0, [], 1.0, filtered_resps=["Paris"])], [], "row 0, filtered_resps: not the log-likelihoods"),
        ([{"doc_id": 0, "filtered_resps": ["a"], "metrics": ["exact_match"]}], [], "the task has no acc of choices"),
    ],
)
def test_samples_without_a_confidence_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], arguments: list[str], message: str
) -> None:
    result = run(harness_file(tmp_path, *rows), *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_results_of_uqlm_are_read_as_they_are(tmp_path: Path) -> None:
    """`UQResult.to_dict()` as JSON, with the grades added to its data."""
    path = tmp_path / "uqlm.json"
    data = {"prompts": ["a", "b"], "responses": ["x", "y"], "noncontradiction": [0.9, 0.25], "correct": [True, False]}
    path.write_text(json.dumps({"data": data, "metadata": {"num_responses": 5}}))
    pairs = read_pairs(path, "noncontradiction", "correct", None)
    assert pairs.confidence.tolist() == [0.9, 0.25]
    assert pairs.correct.tolist() == [1.0, 0.0]


def test_columns_with_keys_are_paired_by_key(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    columns = {"confidence": {"q1": 0.9, "q2": 0.1, "q3": 0.8}, "correct": {"q3": 1, "q2": 0, "q1": 0}}
    path.write_text(json.dumps(columns))
    pairs = read_pairs(path, "confidence", "correct")
    assert (pairs.confidence.tolist(), pairs.correct.tolist()) == ([0.9, 0.1, 0.8], [0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"confidence": {"a": 0.5}, "correct": {"b": 1}}', "its column 'correct' has other keys than 'confidence'"),
        ('{"confidence": {"a": 0.5}, "correct": [1]}', "neither a list of rows nor lists by column"),
        ("[1]", "a row is int, not an object"),
        ("[null]", "a row is NoneType, not an object"),
        ("3", "neither a list of rows nor lists by column"),
        ('{"confidence": [0.5], "correct": [1, 0]}', "its columns differ in length"),
        ("{", "not a readable json file"),
    ],
)
def test_json_that_holds_no_table(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_pairs(path, "confidence", "correct", None)


def texts(folder: Path, kind: str) -> Path:
    """Twelve documents, or one for a text file."""
    documents = [f"Document {i} says that {i} and {i} are {2 * i}, and more of the kind." for i in range(12)]
    path = folder / {"a file": "all.txt", "a folder": "texts", "jsonl": "texts.jsonl"}[kind]
    if kind == "a folder":
        path.mkdir()
        for number, text in enumerate(documents):
            (path / f"{number}.md").write_text(text)
    else:
        lines = [json.dumps({"body": text}) for text in documents] if kind == "jsonl" else documents
        path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["a file", "a folder", "jsonl"])
def test_a_model_on_running_text(tmp_path: Path, tiny_model_path: Path, tiny: Any, kind: str) -> None:
    path, out = texts(tmp_path, kind), tmp_path / "out"
    arguments = ("--model", tiny_model_path, "--column", "body", "--tokens", 300, "--window", 16, "--output", out)
    result = run(path, *arguments)
    assert result.exit_code == 0, result.output
    found = json.loads((out / "metrics.json").read_text())
    count = 1 if kind == "a file" else 12
    assert found["documents"] == count
    assert ("No intervals" in result.output) == (count == 1)
    assert (found["full_ece"]["low"] is None) == (count == 1)
    # The same windows, read one by one without padding.
    model, tokenizer = tiny
    settings = TextSettings(path=str(path), column="body", tokens=300, window=16)
    plain = TokenCalibration()
    start = list(tokenizer("").input_ids)[:1]
    rows = windows(read_documents(settings), lambda text: tokenizer.encode(text, add_special_tokens=False), settings)
    for number, row in enumerate(rows):
        ids = [*start, *row.token_ids]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].double()
        plain.update(logits, torch.tensor(ids[1:]), np.full(len(ids) - 1, number))
    assert found["n"] == plain.positions
    assert found["nll"]["value"] == pytest.approx(plain.compute()["nll"], abs=1e-5)
    assert found["full_ece"]["value"] == pytest.approx(plain.compute()["full_ece"], abs=1e-4)


def test_text_that_cannot_be_scored_is_refused_in_one_sentence(tmp_path: Path, tiny_model_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    text = texts(tmp_path, "a file")
    for arguments, message in (
        ((text,), "text needs --model"),
        ((tmp_path / "none.txt", "--model", tiny_model_path), "no such file"),
        ((tmp_path / "empty", "--model", tiny_model_path), "holds no text file"),
        ((texts(tmp_path, "jsonl"), "--model", tiny_model_path), "no JSON object with a column 'text'"),
        ((text, "--model", tiny_model_path, "--binning", "wide"), "--binning wide: not a binning"),
        ((text, "--model", tmp_path / "no-model"), "no-model"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())
        assert len(result.stderr.strip().splitlines()) == 1
