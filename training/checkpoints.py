"""A training checkpoint holds everything that a run needs to resume. It is written whole or not at all.

Checkpoints are in `<run>/.training/`, and their files are the same for every strategy:

    step-00000120/trained.safetensors    the trained parameters, by their names in the model
                  optimizer.safetensors  Adam's moments of these parameters
                  state.json             step, best score so far, history
                  SHA256SUMS             the hashes of the other files
    best-00000090/                       the same without the moments, for the step with the best validation score

Data order, learning rate and dropout depend only on the seed, the step and the process, so nothing else is saved.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load, save
from torch import Tensor

from calibration_tuning.errors import RunError, UserError
from calibration_tuning.runs.checksums import SUMS, damaged, write_sums
from calibration_tuning.runs.files import write_json
from calibration_tuning.runs.processes import is_first_process

STATE, TRAINED, OPTIMIZER = "state.json", "trained.safetensors", "optimizer.safetensors"


class State(BaseModel):
    """A `State` is the content of `state.json`. It says how far a training has come."""

    model_config = ConfigDict(extra="forbid")

    inputs_fingerprint: str
    """Hash of the settings and the curated set. A run resumes only from checkpoints with its hash."""
    step: int
    """The number of optimizer steps done."""
    processes: int
    wandb_id: str
    best_step: int | None = None
    best_score: float | None = None
    history: list[dict[str, float]] = []
    """The validation scores so far, oldest first."""
    before: list[float] = []
    """Confidences on the validation split before the first step."""
    best: list[float] = []
    """Confidences on the validation split at the best step."""


@dataclass(frozen=True)
class TrainingCheckpoint:
    folder: Path
    state: State

    def tensors(self, name: str) -> dict[str, Tensor]:
        return load((self.folder / name).read_bytes())


def write_checkpoint(folder: Path, state: State, tensors: dict[str, dict[str, Tensor]]) -> None:
    """Write the files to a temporary folder, force them to disk, and rename the folder.

    Raises `RunError` if that fails, for example because the disk is full.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, values in tensors.items():
            write_file(temporary / name, save(values, metadata={"format": "pt"}))
        write_json(temporary / STATE, state.model_dump())
        write_sums(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        last = find_checkpoint(folder.parent)
        resumable = f"the checkpoint of step {last.state.step} is intact" if last else "there is no earlier checkpoint"
        raise RunError(
            f"{folder}: the checkpoint of step {state.step} cannot be written ({error.strerror}); {resumable}; free "
            "disk space and run the same command again"
        ) from None


def find_checkpoint(work: Path, inputs_fingerprint: str | None = None) -> TrainingCheckpoint | None:
    """Return the newest intact checkpoint, or None. Damaged checkpoints are skipped with a warning.

    Half-written checkpoints have other names. Raises `UserError` if the checkpoint belongs to other settings,
    to another model or to another curated set.
    """
    for folder in sorted(work.glob("step-*"), reverse=True):
        checkpoint = _read(folder)
        if checkpoint is None:
            if is_first_process():
                print(f"warning: {folder}: damaged; looking for an earlier checkpoint", file=sys.stderr)
            continue
        if inputs_fingerprint is not None and checkpoint.state.inputs_fingerprint != inputs_fingerprint:
            raise UserError(
                f"{work}: holds an unfinished training with other settings, of another model or on another curated "
                "set; --force starts over, name=NEW keeps both"
            )
        return checkpoint
    return None


def set_aside(work: Path, step: int) -> None:
    """Rename the damaged checkpoints after `step` to `damaged-...`. Otherwise they would count as the newest, and
    checkpoints written from now on would be removed."""
    for folder in work.glob("step-*"):
        if folder > step_folder(work, step):
            aside = folder.with_name(f"damaged-{folder.name}")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)


def best_checkpoint(work: Path, state: State) -> TrainingCheckpoint:
    folder = best_folder(work, state.best_step or 0)
    checkpoint = _read(folder)
    if checkpoint is None:
        raise RunError(f"{folder}: missing or damaged; run the same command again with --force")
    return checkpoint


def rotate(work: Path, keep: int) -> None:
    """Keep the `keep` newest checkpoints, and for each of them its best weights. Remove all others."""
    steps = sorted(work.glob("step-*"))
    states = [state for folder in steps[-keep:] if (state := _state(folder)) is not None]
    outdone = set(work.glob("best-*")) - {best_folder(work, state.best_step or 0) for state in states}
    for folder in [*steps[:-keep], *outdone]:
        shutil.rmtree(folder)


def step_folder(work: Path, step: int) -> Path:
    return work / f"step-{step:08d}"


def best_folder(work: Path, step: int) -> Path:
    return work / f"best-{step:08d}"


def _read(folder: Path) -> TrainingCheckpoint | None:
    state = _state(folder)
    try:
        is_whole = (folder / SUMS).is_file() and damaged(folder) is None
    except OSError:
        return None
    return TrainingCheckpoint(folder, state) if state is not None and is_whole else None


def _state(folder: Path) -> State | None:
    try:
        return State.model_validate(json.loads((folder / STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def write_file(path: Path, content: bytes) -> None:
    """Write a file and force it to disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
