"""`calibration-tuning score` of logits, and what it refuses."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from calibration_tuning.metrics.token_calibration import TokenCalibration
from tests.evaluation.scoring.command import logits, pairs, run, written


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
    assert "already exists" in result.stderr
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
