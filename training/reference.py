"""The reference's hidden states, kept on disk.

The reference is the model without its adapter. It never changes, so where training takes several epochs, it reads every
answer once, before the first step, and not once in every epoch. Each process reads its share and writes one file; then
every process maps all files, so that the processes of a machine share their memory:

    <run>/.training/reference/1-of-8.safetensors   the numbers of its examples, and their states, one after another

The hidden states are those that predict the answers' tokens: P x H numbers in the model's precision. A run that resumes
takes the files that are there.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from calibration_tuning.config.training import ADAPTED, TrainingSettings
from calibration_tuning.errors import RunError
from calibration_tuning.runs.files import nearest_existing, unwritable
from calibration_tuning.runs.processes import is_first_process
from calibration_tuning.runs.progress import progress
from training.checkpoints import write_file
from training.examples import Example
from training.layout import Layout, to_device
from training.memory import GIB
from training.strategy import Strategy, evaluation_mode

FOLDER = "reference"
MOST = 8 * GIB
"""The states of 10,000 answers of 6 tokens take 0.5 GiB for a 7B model; those of long texts would fill a disk."""
SPARE = 2
"""How many times their size must be free on the disk."""


@dataclass(frozen=True)
class KeptReference:
    """`KeptReference` holds the reference's hidden states [answer tokens, H] of every training example."""

    states: list[Tensor]

    def of(self, examples: Sequence[int]) -> Tensor:
        """Return the states [P, H] of the examples, in the order in which a batch has their answer tokens."""
        return torch.cat([self.states[index] for index in examples])


def why_not_kept(
    settings: TrainingSettings, examples: Sequence[Example], lm: Any, work: Path, identity: str | None = None
) -> str | None:
    """Say why the states of `lm` for these examples are not kept in the folder `work`; None if they are.

    States of this `identity` that are there already need no more room on the disk.
    """
    if settings.method not in ADAPTED or settings.objective.kl_weight == 0:
        return "the objective needs none"
    if settings.epochs <= 1:
        return "every answer is read once"
    size = states_size(examples, lm.config.get_text_config().hidden_size, lm.dtype.itemsize)
    if size > MOST:
        return f"its states would take {size / GIB:.0f} GiB of the disk, more than {MOST / GIB:.0f}"
    if identity is not None and _is_complete(work / FOLDER, identity, len(examples)):
        return None
    parent = nearest_existing(work)
    if shutil.disk_usage(parent).free < SPARE * size:
        return f"its states take {size / GIB:.1f} GiB, and the disk of {parent} has too little room"
    return None


def states_size(examples: Sequence[Example], hidden_size: int, bytes_per_number: int) -> int:
    """Return how many bytes the reference's states of the examples take."""
    return sum(example.answer_length for example in examples) * hidden_size * bytes_per_number


def keep_reference(
    strategy: Strategy,
    layout: Layout,
    examples: Sequence[Example],
    tokens_per_batch: int,
    work: Path,
    identity: str,
) -> KeptReference:
    """Read the reference's states of all examples, or take those that an earlier process has written. Every process
    calls it.

    `identity` names the settings and the curated set; files of another identity are made again. Raises `RunError` if
    the disk is full.
    """
    folder = work / FOLDER
    if not first_process_says(_is_complete(folder, identity, len(examples))):
        if is_first_process():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        strategy.accelerator.wait_for_everyone()
        _read_share(strategy, layout, examples, tokens_per_batch, folder, identity)
        strategy.accelerator.wait_for_everyone()
    return KeptReference(_states(folder, examples))


def _read_share(
    strategy: Strategy,
    layout: Layout,
    examples: Sequence[Example],
    tokens_per_batch: int,
    folder: Path,
    identity: str,
) -> None:
    rank, device = strategy.accelerator.process_index, strategy.accelerator.device
    model = strategy.accelerator.unwrap_model(strategy.model)
    rounds = layout.rounds(examples, tokens_per_batch, strategy.processes)
    mine: list[int] = []
    states: list[Tensor] = []
    with evaluation_mode(strategy), progress(len(examples), "reference", "examples") as bar:
        for shares in rounds:
            share = shares[rank]
            batch = layout.batch([examples[i] for i in share or shares[0][:1]], 0.0, 0)
            hidden = strategy.model(to_device(batch, device), reference_only=True)
            if share:
                mine += share
                states.append(compact(hidden, model.lm.dtype).cpu())
            bar.update(sum(map(len, shares)))
    width = model.config.get_text_config().hidden_size
    tensors = {
        "examples": torch.tensor(mine, dtype=torch.long),
        "hidden": torch.cat(states).contiguous() if states else torch.empty(0, width),
    }
    content = save(tensors, metadata={"identity": identity, "examples": str(len(examples))})
    path = folder / f"{rank + 1}-of-{strategy.processes}.safetensors"
    temporary = path.with_suffix(".tmp")
    try:
        write_file(temporary, content)
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path}: {unwritable(error.strerror)}") from None


def compact(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the states in `dtype` if they lose nothing: under mixed precision, accelerate returns them as float32."""
    small = hidden.to(dtype)
    return small if torch.equal(small.to(hidden.dtype), hidden) else hidden


def first_process_says(value: bool) -> bool:
    """Return the value of the first process: processes must not decide differently."""
    return bool(broadcast_object_list([value])[0])


def _is_complete(folder: Path, identity: str, examples: int) -> bool:
    """Return true if all files of one set are there, and belong to these settings."""
    paths = sorted(folder.glob("*-of-*.safetensors"))
    counts = {path.stem.partition("-of-")[2] for path in paths}
    if len(counts) != 1 or len(paths) != int(counts.pop()):
        return False
    try:
        for path in paths:
            with safe_open(path, "pt") as file:
                if file.metadata() != {"identity": identity, "examples": str(examples)}:
                    return False
    except (OSError, SafetensorError):
        return False
    return True


def _states(folder: Path, examples: Sequence[Example]) -> list[Tensor]:
    states: dict[int, Tensor] = {}
    for path in sorted(folder.glob("*-of-*.safetensors")):
        with safe_open(path, "pt") as file:
            indices, hidden = file.get_tensor("examples").tolist(), file.get_tensor("hidden")
        lengths = [examples[index].answer_length for index in indices]
        states |= zip(indices, hidden.split(lengths), strict=True)
    if len(states) != len(examples):
        raise RunError(f"{folder}: holds {len(states)} of {len(examples)} examples; output_dir must be a shared folder")
    return [states[index] for index in range(len(examples))]
