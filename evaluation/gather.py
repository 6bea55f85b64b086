"""Run the model over the test questions, adapter off and adapter on."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.answering import Answerer
from calibration_tuning.checkpoint import load_checkpoint
from calibration_tuning.files import read_json
from calibration_tuning.grading import grade
from calibration_tuning.models import adapter_off, default_device
from calibration_tuning.progress import progress
from calibration_tuning.records import FewShot, read_records
from calibration_tuning.run_config import RunConfig
from evaluation.measure import answers_of, measure
from evaluation.results import Evidence, Reanswered


def gather(config: RunConfig, manifest: dict[str, Any]) -> Evidence:
    folder = config.curation_dir
    test, calibration = (read_records(folder / f"{split}.parquet") for split in ("test", "calibration"))
    few_shot = FewShot.model_validate(read_json(folder / "few_shot.json", "calibration-tuning curate CONFIG"))
    checkpoint = load_checkpoint(config.checkpoint_dir, trust_remote_code=config.model.trust_remote_code)
    checkpoint = checkpoint.to(default_device())
    model, prompt_format, record = checkpoint.model, checkpoint.prompt_format, checkpoint.record
    settings = config.evaluation
    again = test[: settings.adapter_on_answers]
    with progress(4 * len(test) + len(again), "evaluating", "passes") as bar:
        measured = (model, prompt_format, few_shot, test, settings.num_bins, settings.batch_size, bar.update)
        with adapter_off(model):
            before = measure(*measured)
        after = measure(*measured, checkpoint.probe)
        reanswered = None
        if again:
            answerer = Answerer(model, prompt_format, few_shot.answer, settings.batch_size, cloze=config.curation.cloze)
            answers = answers_of(answerer, few_shot, again, record.max_new_tokens, bar.update)
            reanswered = Reanswered(
                np.array([row.answer != new.text for row, new in zip(again, answers, strict=True)]),
                np.array([grade(row, new.text) for row, new in zip(again, answers, strict=True)]),
            )
    return Evidence(
        test=test,
        calibration=calibration,
        train_accuracy=manifest["splits"]["train"]["correct"],
        before=before,
        after=after,
        calibrator=record.calibrator,
        reanswered=reanswered,
    )
