"""`accelerate launch -m training CONFIG` trains a LoRA adapter on the curated examples and fits its calibrator."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import CuratedSet, curation_folder
from calibration_tuning.lm.identity import training_identity
from calibration_tuning.runs.files import whole_folder, write_text
from calibration_tuning.runs.locks import lock_folder
from calibration_tuning.runs.processes import is_first_process, leave, process_count, wait_for_everyone
from calibration_tuning.runs.stage import already_made, run_stage
from calibration_tuning.tracking import tracked
from calibration_tuning.tracking.artifacts import checkpoint, dataset


def train(config: RunConfig, force: bool) -> None:
    curated = CuratedSet.read(curation_folder(config))
    identity = training_identity(config, curated.fingerprint)
    work = config.training_dir
    # A forced training that was interrupted resumes like any other, whether or not --force is given again.
    forced = work / "forced"
    is_forced = forced.is_file() and forced.read_text() == identity
    # Several processes must wait for each other here. A single process need not load torch yet.
    accelerator = build_accelerator(config) if process_count() > 1 else None
    wait = accelerator.wait_for_everyone if accelerator else wait_for_everyone
    if already_made(config.checkpoint_dir, "calibration.json", identity, force or is_forced, wait):
        if is_first_process():
            shutil.rmtree(work, ignore_errors=True)  # a process was killed after it finished the checkpoint
        return

    from training.overview import show_overview
    from training.resume import resumed
    from training.setup import build_run, load_inputs

    lock = lock_folder(work) if is_first_process() else None
    if is_first_process() and ((force and not is_forced) or config.training.resume == "never"):
        start_over(work)
        if force:
            write_text(forced, identity)
    inputs = load_inputs(config, curated)
    accelerator = accelerator or build_accelerator(config)
    state, checkpoint_found = resumed(config, accelerator, identity)
    with tracked(config, "train", state.wandb_id, state.step) as tracker:
        tracker.use_artifact(dataset(config, curated.fingerprint))
        run = build_run(config, inputs, accelerator, state, checkpoint_found, tracker)
        if is_first_process():
            show_overview(run, work)
        steps_and_checkpoint(config, run, inputs, curated.fingerprint)
        tracker.log_artifact(checkpoint(config, identity))
    if lock is not None:
        lock.close()  # network file systems do not remove a folder in which a file is open
        shutil.rmtree(work, ignore_errors=True)
    accelerator.end_training()


def build_accelerator(config: RunConfig) -> Any:
    from training.setup import uses_bf16
    from training.strategy import make_accelerator

    return make_accelerator(uses_bf16(config))


def steps_and_checkpoint(config: RunConfig, run: Any, inputs: Any, curation_fingerprint: str) -> None:
    from training.checkpoints import TRAINED, best_checkpoint
    from training.finish import fit_confidence, save_checkpoint, write_validation
    from training.loop import run_steps
    from training.setup import with_reference
    from training.stopping import stop_requests
    from training.validation import worse_than_untuned

    run = with_reference(config, run)
    with stop_requests() as run.asked_to_stop:
        run_steps(run)
    best = {}
    if run.step_order.steps:
        best = best_checkpoint(config.training_dir, run.state).tensors(TRAINED)
        run.strategy.load_values(best)
    fitted = fit_confidence(config, run, inputs)
    if is_first_process():
        write_validation(config, run)
        with whole_folder(config.checkpoint_dir) as folder:
            save_checkpoint(config, folder, run, inputs, best, fitted, curation_fingerprint)
        print(
            f"checkpoint: {config.checkpoint_dir} (step {run.state.best_step}, validation {config.training.select_by} "
            f"{run.state.best_score:.3f}; {config.training.readout} readout, {fitted.calibrator.kind} calibrator: NLL "
            f"{fitted.calibrated_on['nll_without']:.3f} -> {fitted.calibrated_on['nll_with']:.3f})"
        )
        # A probe knows nothing before it is trained, so only the adapter of lora_prompt can be worse than before.
        if config.training.method == "lora_prompt" and (
            worse := worse_than_untuned(run.state, config.training.select_by)
        ):
            print(f"warning: {worse}", file=sys.stderr)
    run.strategy.accelerator.wait_for_everyone()


def start_over(work: Any) -> None:
    for folder in work.glob("*-*"):
        shutil.rmtree(folder)


if __name__ == "__main__":
    try:
        run_stage(train, "Train a LoRA adapter on the curated examples; fit the readout and its calibrator.")
    except SystemExit as end:
        if process_count() == 1:
            raise
        leave(end.code if isinstance(end.code, int) else int(end.code is not None))
