"""Going on from a checkpoint, and writing the next one, with all processes in step."""

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
    Checkpoint,
    State,
    best_folder,
    find_checkpoint,
    rotate,
    step_folder,
    write_checkpoint,
)
from training.strategy import Strategy


def resumed(config: RunConfig, accelerator: Accelerator, inputs_fingerprint: str) -> tuple[State, Checkpoint | None]:
    """The state to resume from, and the checkpoint it is in; a new state where there is none."""
    accelerator.wait_for_everyone()  # the first one may have had old checkpoints to remove
    checkpoint = find_checkpoint(config.training_dir, inputs_fingerprint)
    steps = gather_object([checkpoint.state.step if checkpoint else 0])
    if len(set(steps)) > 1:
        raise RunError(
            f"{config.training_dir}: the processes see checkpoints of different steps {sorted(set(steps))}; output_dir "
            "must be a folder that all machines share"
        )
    identifier = broadcast_object_list([uuid.uuid4().hex[:12]])[0]
    if checkpoint is None:
        fresh = State(
            inputs_fingerprint=inputs_fingerprint, step=0, processes=accelerator.num_processes, wandb_id=identifier
        )
        return fresh, None
    if is_first_process():
        before = checkpoint.state.processes
        note = (
            f" (by {before} processes; now {accelerator.num_processes})" if before != accelerator.num_processes else ""
        )
        print(f"resuming from the checkpoint of step {checkpoint.state.step}{note}")
    return checkpoint.state.model_copy(update={"processes": accelerator.num_processes}), checkpoint


def saver(config: RunConfig, strategy: Strategy) -> Callable[[State, bool], None]:
    """Writes a checkpoint on the first process; the best one first, as later ones refer to it."""
    work = config.training_dir

    def save(state: State, is_best: bool) -> None:
        values, moments = strategy.values(), strategy.moments()
        if is_first_process():
            if is_best:
                write_checkpoint(best_folder(work, state.step), state, {TRAINED: values})
            write_checkpoint(step_folder(work, state.step), state, {TRAINED: values, OPTIMIZER: moments})
            rotate(work, config.training.keep_checkpoints, state.best_step)
        strategy.accelerator.wait_for_everyone()

    return save
