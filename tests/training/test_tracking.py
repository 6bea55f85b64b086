"""What a training leaves in W&B's offline file, read back record by record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.training.conftest import Command

pytestmark = pytest.mark.slow


def test_everything_logged_offline_is_there(
    training: Command, wandb_records: Callable[[Path], list[Any]], wandb_history: Callable[[Path], list[dict[str, Any]]]
) -> None:
    training.finish("offline", "tracking.wandb=offline", "training.evaluations=3", engine="ddp_8gpu")
    (path,) = (training.run_dir("offline") / "wandb").glob("offline-run-*/run-*.wandb")
    rows = wandb_history(path)
    steps = [row for row in rows if "train/loss" in row]
    assert [row["train/step"] for row in steps] == [1, 2, 3]
    for name in ("query", "kl", "mass", "mass_nll", "grad_norm", "learning_rate", "tokens_per_second"):
        assert all(isinstance(row[f"train/{name}"], float | int) for row in steps), name
    assert not any("train/batch_ece" in row for row in steps), "eight examples do not fill ten bins"
    validations = [row for row in rows if "validation/brier" in row]
    assert [row["train/step"] for row in validations] == [0, 1, 2, 3]
    state = json.loads((training.run_dir("offline") / "checkpoint/calibration.json").read_text())
    assert [row["validation/brier"] for row in validations] == pytest.approx(
        [scores["brier"] for scores in state["validation"]]
    )
    last = validations[-1]
    assert last["validation/reliability"]["_type"] == "image-file"
    media = path.parent / "files"
    assert (media / last["validation/reliability"]["path"]).stat().st_size > 1000
    table = json.loads((media / last["validation/examples"]["path"]).read_text())
    assert table["columns"] == ["question", "proposed answer", "correct", "confidence before", "confidence now"]
    assert len(table["data"]) == 8, "the whole validation split, as it has fewer than 50"
    assert any(row[3] != row[4] for row in table["data"])
    logged = [record.artifact for record in wandb_records(path) if record.WhichOneof("record_type") == "artifact"]
    (checkpoint,) = [artifact for artifact in logged if artifact.type == "model"]
    assert "adapter_model.safetensors" in {entry.path for entry in checkpoint.manifest.contents}
    assert len(list((training.run_dir("offline") / "wandb").glob("offline-run-*"))) == 1, (
        "only the first process writes"
    )


def test_an_unreachable_server_costs_one_warning(training: Command) -> None:
    output = training.finish(
        "unreachable",
        "tracking.wandb=online",
        WANDB_BASE_URL="http://127.0.0.1:9",
        WANDB_API_KEY="0" * 40,
        WANDB_INIT_TIMEOUT="5",
    )
    assert output.count("warning: W&B is not reachable") == 1
    assert list((training.run_dir("unreachable") / "wandb").glob("offline-run-*/run-*.wandb"))
    assert (training.run_dir("unreachable") / "checkpoint/calibration.json").is_file()
