"""Files that were damaged on disk: they are noticed, by name, or made again; never used."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.test_disk import one_sentence

if TYPE_CHECKING:
    from tests.faults.conftest import Outcomes, Stages

pytestmark = pytest.mark.slow


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    """A bit in the middle of the file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def older(path: Path) -> None:
    values = json.loads(path.read_text())
    values["schema_version"] = 0
    path.write_text(json.dumps(values))
    (path.parent / "SHA256SUMS").unlink()


DAMAGE: dict[str, Callable[[Path], None]] = {"truncated": truncated, "emptied": emptied, "one bit flipped": flipped}
READ_BY = {
    "curation/train.parquet": "training",
    "curation/calibration.parquet": "training",
    "curation/few_shot.json": "training",
    "curation/manifest.json": "training",
    "curation/test.parquet": "evaluation",
    "checkpoint/adapter_model.safetensors": "evaluation",
    "checkpoint/adapter_config.json": "evaluation",
    "checkpoint/calibration.json": "evaluation",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", READ_BY)
def test_finished_files(stages: Stages, outcomes: Outcomes, file: str, damage: str) -> None:
    stage = READ_BY[file]
    stages.restore(f"before-{stage}")
    DAMAGE[damage](stages.run_dir / file)
    code = stages.run(stage)
    if code == 0:
        assert stages.digests(stage) == stages.expected[stage], "it was used as it is"
        outcomes.add(f"{damage}", file, "made no difference")
        return
    assert code in (1, 2), stages.said
    assert Path(file).parent.name in one_sentence(stages), stages.said
    outcomes.add(f"{damage}", file, "one sentence that names it")


@pytest.mark.parametrize("file", ["curation/manifest.json", "checkpoint/calibration.json"])
def test_older_schema(stages: Stages, outcomes: Outcomes, file: str) -> None:
    stage = READ_BY[file]
    stages.restore(f"before-{stage}")
    older(stages.run_dir / file)
    assert stages.run(stage) == 2, stages.said
    assert "version" in one_sentence(stages)
    outcomes.add("of an older version", file, "one sentence that names it")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("pattern", ["step-*/trained.safetensors", "step-*/optimizer.safetensors", "step-*/state.json"])
def test_training_checkpoints(stages: Stages, outcomes: Outcomes, pattern: str, damage: str) -> None:
    stages.restore("before-training")
    assert stages.run("training", at=stages.operations["training"] - 8, signal=signal.SIGKILL) == -signal.SIGKILL
    newest = max((stages.run_dir / ".training").glob(pattern))
    DAMAGE[damage](newest)
    assert stages.run("training") == 0, stages.said
    assert stages.digests("training") == stages.expected["training"]
    outcomes.add(damage, f".training/{pattern}", "an older checkpoint was taken; the same bytes")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("stage", "pattern"),
    [("data_curation", ".curation-*/**/*.jsonl"), ("evaluation", ".findings/**/*.jsonl")],
)
def test_finished_work(stages: Stages, outcomes: Outcomes, stage: str, pattern: str, damage: str) -> None:
    """What a killed stage has kept for the next one."""
    stages.restore(f"before-{stage}")
    assert stages.run(stage, at=stages.operations[stage] - 10, signal=signal.SIGKILL) == -signal.SIGKILL
    found = sorted(stages.run_dir.glob(pattern))
    assert found, sorted(stages.run_dir.rglob("*"))
    for path in found:
        DAMAGE[damage](path)
    assert stages.run(stage) == 0, stages.said
    assert stages.digests(stage) == stages.expected[stage]
    outcomes.add(damage, pattern, "what was lost was made again; the same bytes")
