"""What a training leaves in each tracker's files, read back."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from calibration_tuning.config.run import RunConfig, load_run_config

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
    assert checkpoint.name == "offline-checkpoint"
    assert {*checkpoint.aliases} == {"latest", state["inputs_fingerprint"]}
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


def rows_of(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "training.jsonl").read_text().splitlines()]


def trained_here(curated: Path, folder: Path, to: str) -> RunConfig:
    """A training in this process, shown in `to`."""
    from training.__main__ import train

    own = [f"name={to}", f"output_dir={folder}", f"curated={curated.parent / 'runs/tiny/curation'}"]
    config = load_run_config(curated, [*own, f"tracking.to={to}", "training.batch_size=8", "training.evaluations=3"])
    train(config, False)
    return config


def test_tensorboard_has_the_curves_pictures_and_examples(curated: Path, tmp_path: Path) -> None:
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = trained_here(curated, tmp_path, "tensorboard")
    rows = rows_of(config.run_dir)
    written = {(name, row["step"]): value for row in rows for name, value in row.items() if name != "step"}
    events = EventAccumulator(str(config.run_dir / "tensorboard/train"), {"tensors": 0, "images": 0, "scalars": 0})
    events.Reload()
    found = {(tag, e.step): e.value for tag in events.Tags()["scalars"] for e in events.Scalars(tag)}
    assert found == pytest.approx(written)  # single precision
    assert {step for name, step in found if name == "train/loss"} == {1, 2, 3}
    pictures = events.Images("validation/reliability")
    assert [picture.step for picture in pictures] == [0, 1, 2, 3]
    image = Image.open(io.BytesIO(pictures[-1].encoded_image_string))
    assert len(image.getcolors(maxcolors=10**6) or []) > 3, "a drawing, not an empty page"
    tables = events.Tensors("validation/examples/text_summary")
    texts = [table.tensor_proto.string_val[0].decode() for table in tables]
    assert [len(text.splitlines()) for text in texts] == [2 + 8] * 4, "header, rule, the validation split"
    assert texts[0].startswith("| question | proposed answer | correct | confidence before | confidence now |")
    assert "What is " in texts[0]
    assert texts[0] != texts[-1]
    (settings,) = events.Tensors("settings/text_summary")
    assert b"    name: tensorboard\n" in settings.tensor_proto.string_val[0]


def test_trackio_has_the_curves_pictures_examples_and_the_checkpoint(training: Command) -> None:
    training.finish("board", "tracking.to=trackio", "training.evaluations=3")
    run_dir = training.run_dir("board")
    folder = run_dir / "trackio"
    with sqlite3.connect(folder / "calibration-tuning.db") as database:
        metrics = database.execute("select run_name, step, metrics from metrics order by id").fetchall()
        made = database.execute("select name, type from artifacts").fetchall()
        aliases = [alias for (alias,) in database.execute("select alias from artifact_aliases")]
    assert {name for name, _, _ in metrics} == {"board-train"}
    logged = [(step, json.loads(values)) for _, step, values in metrics]
    scalars = [
        {"step": step} | {name: value for name, value in values.items() if isinstance(value, float)}
        for step, values in logged
    ]
    assert scalars == rows_of(run_dir)
    last = logged[-1][1]
    assert (folder / "media" / last["validation/reliability"]["file_path"]).read_bytes().startswith(b"\x89PNG")
    examples = last["validation/examples"]["_value"]
    assert len(examples) == 8
    assert set(examples[0]) == {"question", "proposed answer", "correct", "confidence before", "confidence now"}
    assert made == [("board-checkpoint", "model")]
    assert json.loads((run_dir / "checkpoint/calibration.json").read_text())["inputs_fingerprint"] in aliases


def test_none_leaves_the_files_of_the_run_alone(curated: Path, tmp_path: Path) -> None:
    config = trained_here(curated, tmp_path, "none")
    assert {path.name for path in config.run_dir.iterdir()} == {"checkpoint", "training.jsonl", "validation.json"}
