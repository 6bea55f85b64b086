"""`score FILE` through the command: confidences and logits from elsewhere, and files that are none."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from safetensors.torch import save_file
from typer.testing import CliRunner

from calibration_tuning.config.evaluation import TextSettings
from calibration_tuning.errors import UserError
from calibration_tuning.metrics.confidence import confidence_metrics
from calibration_tuning.metrics.token_calibration import TokenCalibration
from evaluation.score import main
from evaluation.score_files import read_pairs
from evaluation.texts import read_documents, windows

app = typer.Typer()
app.command()(main)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments] + ["--bootstrap", "100"])


def pairs(n: int = 120) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    p = generator.random(n)
    return pd.DataFrame({"p": p, "right": (generator.random(n) < p).astype(int), "who": np.arange(n) // 4})


def written(folder: Path, kind: str, frame: pd.DataFrame) -> Path:
    path = folder / f"pairs.{kind}"
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "json": lambda: frame.to_json(path, orient="records"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }[kind]()
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_tables_of_every_kind(tmp_path: Path, kind: str) -> None:
    frame = pairs()
    found = read_pairs(written(tmp_path, kind, frame), "p", "right", "who")
    assert found.confidence == pytest.approx(frame["p"].to_numpy())
    assert found.correct.tolist() == frame["right"].tolist()
    assert found.groups is not None
    assert len(np.unique(found.groups)) == 30


@pytest.mark.slow
def test_numbers_and_diagram(tmp_path: Path) -> None:
    frame = pairs()
    path = written(tmp_path, "csv", frame)
    result = run(path, "--confidence", "p", "--correct", "right", "--group", "who", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "120 answers in 30 groups" in result.output
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    groups = frame["who"].astype(str).to_numpy()
    expected = confidence_metrics(frame["p"].to_numpy(), frame["right"].to_numpy(), 10, 0, 100, groups)
    assert found["as it is"] == {name: number.as_dict() for name, number in expected.items()}
    assert (tmp_path / "out/reliability.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_calibrated_out_of_fold(tmp_path: Path) -> None:
    frame = pairs(400)
    frame["p"] = frame["p"] ** 3  # far too low
    path = written(tmp_path, "csv", frame)
    arguments: Sequence[object] = (path, "--confidence", "p", "--correct", "right", "--calibrate", "beta")
    result = run(*arguments, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["beta"]["ece"]["value"] < 0.5 * found["as it is"]["ece"]["value"]
    assert found["difference"]["ece"]["verdict"] == "better"


def test_words_are_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("confidence,correct\n0.5,True\n0.4,no\n0.3,FALSE\n0.9,yes\n1,0.5\n")
    assert read_pairs(path, "confidence", "correct", None).correct.tolist() == [1.0, 0.0, 0.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("confidence,correct\n0.5,1\n1.5,0\n", "row 1, confidence: 1.5 is not in [0, 1]"),
        ("confidence,correct\n0.5,1\n,0\n", "row 1, confidence: missing; remove the row"),
        ("confidence,correct\n0.5,2\n", "row 0, correct: 2 is not in [0, 1]"),
        ("confidence,correct\nhigh,1\n", "row 0, confidence: 'high' is not a number"),
        ("confidence,correct\n0.5,NA\n", "row 0, correct: missing"),
        ("confidence,correct,correct\n0.5,1,0\n", "the header names 'correct' twice"),
        ("confidence,correct\n0.5,1,0\n", "not a readable csv file"),
        ("confidence,corect\n0.5,1\n", "no column 'correct'; did you mean 'corect'?"),
        ("confidence,correct\n", "holds no rows"),
        ("", "not a readable csv file"),
    ],
)
def test_bad_tables_are_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    result = run(path)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert len(result.stderr.strip().splitlines()) == 1


NAMES = ["001", "01", "1", "1.0", "NA", "None", "nan", "1e3", "true", "2024-01-01"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("column", ["doc", "date"])
def test_groups_stay_text(tmp_path: Path, kind: str, column: str) -> None:
    frame = pd.DataFrame({"p": [0.5] * 10, "right": [1, 0] * 5, column: NAMES})
    groups = read_pairs(written(tmp_path, kind, frame), "p", "right", column).groups
    assert groups is not None
    assert groups.tolist() == NAMES


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("csv", "p,right,doc\n0.5,1,a\n0.5,1,\n"),
        ("jsonl", '{"p": 0.5, "right": 1, "doc": "a"}\n{"p": 0.5, "right": 1, "doc": null}\n'),
        ("json", '[{"p": 0.5, "right": 1, "doc": "a"}, {"p": 0.5, "right": 1}]'),
    ],
)
def test_a_row_without_a_group_is_named(tmp_path: Path, kind: str, content: str) -> None:
    path = tmp_path / f"pairs.{kind}"
    path.write_text(content)
    with pytest.raises(UserError, match="row 1, doc: missing; every row needs a group"):
        read_pairs(path, "p", "right", "doc")


@pytest.mark.slow
def test_auroc_within_subjects_needs_their_column(tmp_path: Path) -> None:
    # The confidence is the subject's accuracy, in 001 the right way round by a little and in 1 the wrong way.
    frame = pd.DataFrame(
        {
            "p": [0.8, 0.81, 0.82, 0.83, 0.23, 0.22, 0.21, 0.20] * 5,
            "right": [0, 1, 1, 1, 0, 0, 0, 1] * 5,
            "topic": (["001"] * 4 + ["1"] * 4) * 5,
        }
    )
    path = written(tmp_path, "csv", frame)
    columns = ["--confidence", "p", "--correct", "right"]
    for more, expected in (([], None), (["--subject", "topic"], 0.5)):
        assert run(path, *columns, *more, "--output", str(tmp_path / f"out{len(more)}")).exit_code == 0
        numbers = json.loads((tmp_path / f"out{len(more)}" / "metrics.json").read_text())["as it is"]
        assert numbers["auroc_within_subjects"]["value"] == expected
        assert numbers["auroc"]["value"] == pytest.approx(0.75)
    assert run(path, *columns, "--subject", "topics").exit_code == 2


def test_few_and_one_class_are_said(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("confidence,correct\n0.5,1\n0.6,1\n0.7,1\n")
    result = run(path)
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "fewer examples than bins" in said
    assert "all answers are correct, or all" in said
    assert run(path, "--calibrate", "platt").exit_code == 2


def logits(n: int = 600, k: int = 20) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, k, generator=generator) * 2
    targets = torch.multinomial(z.softmax(-1), 1, generator=generator).squeeze(1)
    return z, targets, torch.arange(n) // 5


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
@pytest.mark.parametrize("binning", ["equal_width", "log", "equal_mass"])
def test_logits(tmp_path: Path, kind: str, binning: Any) -> None:
    z, targets, ids = logits()
    path = tmp_path / f"logits.{kind}"
    if kind == "safetensors":
        save_file({"logits": z.bfloat16(), "targets": targets, "sequence_ids": ids}, path)
        z = z.bfloat16()
    else:
        np.savez(path, logits=z.numpy(), targets=targets.numpy(), sequence_ids=ids.numpy())
    result = run(path, "--binning", binning, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "600 token positions in 120 sequences" in " ".join(result.output.split())
    whole = TokenCalibration(10, binning)
    whole.update(z, targets, ids.numpy())
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["full_ece"]["value"] == pytest.approx(whole.compute()["full_ece"], abs=1e-12)


def scored(folder: Path, z: torch.Tensor, targets: torch.Tensor, ids: torch.Tensor) -> tuple[dict[str, Any], str]:
    """metrics.json, and what was warned of."""
    path = folder / "x.safetensors"
    save_file({"logits": z.contiguous(), "targets": targets, "sequence_ids": ids}, path)
    shutil.rmtree(folder / "out", ignore_errors=True)
    result = run(path, "--output", folder / "out")
    assert result.exit_code == 0, result.output
    return json.loads((folder / "out/metrics.json").read_text()), " ".join(result.stderr.split())


NUMBERS = ("full_ece", "vocabulary_brier", "nll", "top1_ece", "accuracy")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("made_of", "words"),
    [
        (lambda z: z, ""),
        (lambda z: z.abs(), ""),
        (lambda z: -z.abs(), ""),
        (lambda z: z.softmax(-1), "the logits are probabilities already"),
        (lambda z: z.log_softmax(-1), "the logits are log-probabilities already"),
    ],
)
def test_probabilities_given_as_logits_are_warned_of(tmp_path: Path, made_of: Any, words: str, dtype: Any) -> None:
    z, targets, ids = logits()
    numbers, warned = scored(tmp_path, made_of(z).to(dtype), targets, ids)
    assert words in warned
    assert bool(warned) == bool(words)
    assert len(numbers["warnings"]) == bool(words)


def test_ignored_targets_are_skipped_and_counted(tmp_path: Path) -> None:
    z, targets, ids = logits()
    kept = torch.arange(len(targets)) % 3 != 1
    expected, _ = scored(tmp_path, z[kept], targets[kept], ids[kept])
    z[~kept] = 0.05  # padded rows: what stands there does not count
    numbers, warned = scored(tmp_path, z, torch.where(kept, targets, -100), ids)
    assert "200 positions with the target -100 are skipped" in warned
    assert (numbers["n"], numbers["skipped"]) == (400, 200)
    assert [numbers[name] for name in NUMBERS] == [expected[name] for name in NUMBERS]


def test_logits_of_minus_infinity_are_probability_0(tmp_path: Path) -> None:
    z, targets, ids = logits()
    z[:, 15:] = -1e4  # so far down that float64 has 0 for it
    targets = targets % 15
    expected, _ = scored(tmp_path, z, targets, ids)
    z[:, 15:] = -torch.inf
    numbers, warned = scored(tmp_path, z, targets, ids)
    assert warned == ""
    for name in NUMBERS:
        assert numbers[name]["value"] == pytest.approx(expected[name]["value"], abs=1e-9), name
    targets[7] = 19
    numbers, warned = scored(tmp_path, z, targets, ids)
    assert "1 targets have a logit of -inf, so the NLL is infinite" in warned
    assert numbers["nll"]["value"] is None
    assert "infinite" in numbers["nll"]["undefined"]
    assert numbers["full_ece"]["value"] > 0


def test_logits_without_sequences(tmp_path: Path) -> None:
    z, targets, _ = logits(50)
    save_file({"logits": z, "targets": targets}, tmp_path / "x.safetensors")
    result = run(tmp_path / "x.safetensors")
    assert result.exit_code == 0
    assert "No intervals: they are over sequences" in result.output
    assert "[" not in next(line for line in result.output.splitlines() if "Full-ECE" in line)


def bad_tensors(folder: Path) -> dict[str, Path]:
    z, targets, _ = logits(10)
    nan, far = z.clone(), targets.clone()
    nan[3, 4] = float("nan")
    far[2] = 99
    impossible, upward, negative = z.clone(), z.clone(), targets.clone()
    impossible[4], upward[3, 4], negative[2] = -torch.inf, torch.inf, -1
    made = {
        "all logits of a row are -inf": {"logits": impossible, "targets": targets},
        "rows from 0: logits hold NaN or infinite": {"logits": upward, "targets": targets},
        "targets must lie in [0, 20), found -1": {"logits": z, "targets": negative},
        "every target is -100; there is nothing to score": {"logits": z, "targets": torch.full_like(targets, -100)},
        "NaN or infinite": {"logits": nan, "targets": targets},
        "targets must lie in [0, 20), found": {"logits": z, "targets": far},
        "holds no targets; it has logits": {"logits": z},
        "7 rows of logits, but targets of shape (10,)": {"logits": z[:7].contiguous(), "targets": targets},
        "10 rows of logits, but targets of shape (7,)": {"logits": z, "targets": targets[:7].contiguous()},
        "10 rows of logits, but sequence_ids of shape (3,)": {
            "logits": z,
            "targets": targets,
            "sequence_ids": torch.arange(3),
        },
        "targets are float32, not whole numbers": {"logits": z, "targets": targets.float()},
        "logits must be [N, K], not of shape (10,)": {"logits": z[:, 0].contiguous(), "targets": targets},
    }
    paths = {}
    for number, (message, tensors) in enumerate(made.items()):
        paths[message] = folder / f"{number}.safetensors"
        save_file(tensors, paths[message])
    paths["not a readable safetensors file"] = folder / "text.safetensors"
    paths["not a readable safetensors file"].write_text("no tensors")
    paths["npz file without pickles (Object arrays"] = folder / "pickled.npz"
    np.savez(
        paths["npz file without pickles (Object arrays"],
        logits=np.array([{"a": 1}], dtype=object),
        targets=np.zeros(1),
    )
    np.savez(folder / "whole.npz", logits=z.numpy(), targets=targets.numpy())
    paths["not a readable npz file"] = folder / "half.npz"
    paths["not a readable npz file"].write_bytes((folder / "whole.npz").read_bytes()[:300])
    return paths


def test_bad_tensors_are_one_sentence(tmp_path: Path) -> None:
    for message, path in bad_tensors(tmp_path).items():
        result = run(path)
        assert result.exit_code == 2, message
        assert message in " ".join(result.stderr.split()), message


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "x.npz"
    path.write_bytes(pickle.dumps(Trap()))
    assert run(path).exit_code == 2
    assert not (tmp_path / "sprung").exists()


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", pairs().rename(columns={"p": "confidence", "right": "correct"}))
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years of work")
    result = run(path, "--output", precious)
    assert result.exit_code == 2
    assert "is there already" in result.stderr
    assert (precious / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.csv"], "no such file"),
        (["README.md"], "known endings are csv"),
    ],
)
def test_wrong_files(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_wrong_names(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", pairs())
    assert (
        "known: temperature, platt" in run(path, "--confidence", "p", "--correct", "right", "--calibrate", "x").stderr
    )
    save_file({"logits": torch.zeros(2, 3), "targets": torch.zeros(2, dtype=torch.long)}, tmp_path / "x.safetensors")
    assert "known: equal_width, log" in run(tmp_path / "x.safetensors", "--binning", "cubic").stderr


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
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
