"""What a training leaves in W&B's offline file, read back record by record."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.training.conftest import Command

pytestmark = pytest.mark.slow

BLOCK, HEADER = 32768, 7


def records(path: Path) -> list[Any]:
    """W&B's transaction log: a header of seven bytes, then blocks of records in the format of LevelDB's log."""
    from wandb.proto import wandb_internal_pb2

    data, position, found, parts = path.read_bytes(), HEADER, [], b""
    while position + HEADER <= len(data):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + HEADER])
        position += HEADER
        parts += data[position : position + length]
        position += length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


def history(found: list[Any]) -> list[dict[str, Any]]:
    rows = []
    for record in found:
        if record.WhichOneof("record_type") == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                *parents, name = item.nested_key or [item.key]
                inner = row
                for parent in parents:
                    inner = inner.setdefault(parent, {})
                inner[name] = json.loads(item.value_json)
            rows.append(row)
    return rows


def test_everything_logged_offline_is_there(training: Command) -> None:
    training.finish("offline", "tracking.wandb=offline", "training.evaluations=3", engine="ddp_8gpu")
    (path,) = (training.run_dir("offline") / "wandb").glob("offline-run-*/run-*.wandb")
    rows = history(records(path))
    steps = [row for row in rows if "train/loss" in row]
    assert [row["train/step"] for row in steps] == [1, 2, 3]
    for name in ("query", "kl", "mass", "mass_nll", "grad_norm", "learning_rate", "batch_ece", "tokens_per_second"):
        assert all(isinstance(row[f"train/{name}"], float | int) for row in steps), name
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
    logged = [record.artifact for record in records(path) if record.WhichOneof("record_type") == "artifact"]
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
