"""accelerate launch -m training CONFIG: examples -> LoRA adapter with its post-hoc calibrator."""

from __future__ import annotations

import shutil

from calibration_tuning.files import fingerprint, read_json, whole_folder
from calibration_tuning.processes import is_first_process
from calibration_tuning.run_config import RunConfig
from calibration_tuning.stage import already_made, run_stage
from calibration_tuning.tracking import tracked


def train(config: RunConfig, force: bool) -> None:
    manifest = read_json(config.curation_dir / "manifest.json", "calibration-tuning curate CONFIG")
    inputs = fingerprint([config.training_inputs(), manifest["fingerprint"]])
    if already_made(config.checkpoint_dir, "calibration.json", inputs, force):
        return

    from training.setup import build_trainer, load_inputs, work_folder

    if is_first_process():
        shutil.rmtree(work_folder(config), ignore_errors=True)  # what an interrupted run left
    loaded = load_inputs(config)
    trainer = build_trainer(config, loaded)
    with tracked(config, "train"):
        trainer.train()
        if is_first_process():
            from training.finish import fit_calibrator, save_checkpoint

            model = trainer.accelerator.unwrap_model(trainer.model)
            calibrator, calibrated_on = fit_calibrator(config, model, loaded)
            with whole_folder(config.checkpoint_dir) as folder:
                save_checkpoint(
                    config, folder, model, loaded, calibrator, calibrated_on, inputs, manifest["fingerprint"]
                )
            shutil.rmtree(work_folder(config), ignore_errors=True)
            print(f"checkpoint: {config.checkpoint_dir} ({calibrator.kind}, T = {calibrator.temperature:.2f})")
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()


if __name__ == "__main__":
    run_stage(train, "Tune a LoRA adapter on the curated examples and fit its post-hoc calibrator.")
