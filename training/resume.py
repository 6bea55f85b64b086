"""All processes resume from the same checkpoint and write the next checkpoints together."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import RunError
from calibration_tuning.runs.processes import is_first_process
from training.checkpoints import (
    OPTIMIZER,
    TRAINED,
    State,
    TrainingCheckpoint,
    best_folder,
    find_checkpoint,
    rotate,
    set_aside,
    step_folder,
    write_checkpoint,
)
from training.strategy import Strategy


def resumed(
    config: RunConfig, accelerator: Accelerator, inputs_fingerprint: str
) -> tuple[State, TrainingCheckpoint | None]:
    """Return the state to resume from and its checkpoint, or a new state and None. Every process calls it.

    Raises `RunError` if the processes see different checkpoints, and `UserError` if the checkpoint belongs to other
    settings, to another model or to another curated set.
    """
    accelerator.wait_for_everyone()  # the first process may be removing old checkpoints
    checkpoint = find_checkpoint(config.training_dir, inputs_fingerprint)
    steps = gather_object([checkpoint.state.step if checkpoint else 0])
    if len(set(steps)) > 1:
        raise RunError(
            f"{config.training_dir}: the processes see checkpoints of different steps {sorted(set(steps))}; output_dir "
            "must be a folder that all machines share"
        )
    if is_first_process():  # the others have looked
        set_aside(config.training_dir, steps[0])
    identifier = broadcast_object_list([uuid.uuid4().hex[:12]])[0]
    if checkpoint is None:
        fresh = State(
            inputs_fingerprint=inputs_fingerprint, step=0, processes=accelerator.num_processes, wandb_id=identifier
        )
        return fresh, None
    if is_first_process():
        before = checkpoint.state.processes
        note = (
            f" (written by {before} processes; now {accelerator.num_processes})"
            if before != accelerator.num_processes
            else ""
        )
        print(f"resuming from the checkpoint of step {checkpoint.state.step}{note}")
    return checkpoint.state.model_copy(update={"processes": accelerator.num_processes}), checkpoint


def saver(config: RunConfig, strategy: Strategy) -> Callable[[State, bool], None]:
    """Return a function that writes a checkpoint on the first process. Every process calls that function.

    The best checkpoint is written first, because later checkpoints refer to it.
    """
    work = config.training_dir

    def save(state: State, is_best: bool) -> None:
        values, moments = strategy.values(), strategy.moments()
        if is_first_process():
            if is_best:
                write_checkpoint(best_folder(work, state.step), state, {TRAINED: values})
            write_checkpoint(step_folder(work, state.step), state, {TRAINED: values, OPTIMIZER: moments})
            rotate(work, config.training.keep_checkpoints)
        strategy.accelerator.wait_for_everyone()

    return save
