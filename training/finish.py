"""After the last step, the post-hoc calibrator is fitted and the checkpoint folder is written."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from torch import Tensor

from calibration_tuning.checkpoint import FILE, CalibrationRecord
from calibration_tuning.config.run import RunConfig
from calibration_tuning.lm.identity import base_files, pinned
from calibration_tuning.lm.models import dtype_name
from calibration_tuning.lm.probe import Probe, save_probe
from calibration_tuning.lm.token_temperature import save_token_temperature
from calibration_tuning.metrics.calibrators import AnyCalibrator, fit
from calibration_tuning.metrics.confidence import nll
from calibration_tuning.readout.stacked import StackedReadout, save_arrays
from calibration_tuning.runs.checksums import write_sums
from calibration_tuning.runs.files import sha256_file, write_json
from calibration_tuning.runs.progress import progress
from training.choose import FILE as VALIDATION
from training.examples import query_example
from training.loop import Run
from training.readout import fit_stacked
from training.setup import TRAINING_SPLITS, Inputs
from training.token_temperature import fit_references
from training.untuned import untuned
from training.validation import score_queries


@dataclass(frozen=True)
class Fitted:
    """How the checkpoint's confidence is read, fitted on answers that the training steps have not read."""

    readout: StackedReadout | None
    """None where the confidence is that of the query alone."""
    calibrator: AnyCalibrator
    calibrator_as_loaded: AnyCalibrator | None
    """Of the same answers, read after the demonstrations that a loaded checkpoint shows."""
    calibrated_on: dict[str, float]
    """The number of answers, and the NLL without and with the calibrator on the same answers."""


def fit_confidence(config: RunConfig, run: Run, inputs: Inputs) -> Fitted:
    """Fit the readout and the post-hoc calibrator. Every process calls it."""
    rows = inputs.splits["calibration"]
    examples = [query_example(row, inputs.prompt_format) for row in rows]
    with progress(len(rows), "calibrating", "examples") as bar:
        logits = score_queries(run.strategy, run.layout, examples, config.training.tokens_per_batch, bar.update).logits
    correct = np.array([row.correct for row in rows])
    kind, readout, as_loaded = config.training.calibrator, None, None
    if config.training.readout == "stacked":
        with untuned(run.strategy.accelerator.unwrap_model(run.strategy.model)):
            before = score_queries(run.strategy, run.layout, examples, config.training.tokens_per_batch).logits
        readout, (logits, shown) = fit_stacked(config, run, inputs, inputs.few_shot.shown, logits, before)
        as_loaded = fit(kind, shown, correct)
    calibrator = fit(kind, logits, correct)
    calibrated_on = {
        "n": len(rows),
        "nll_without": nll(expit(logits), correct),
        "nll_with": nll(calibrator(logits), correct),
    }
    return Fitted(readout, calibrator, as_loaded, calibrated_on)


def save_checkpoint(
    config: RunConfig,
    folder: Path,
    run: Run,
    inputs: Inputs,
    values: dict[str, Tensor],
    fitted: Fitted,
    curation_fingerprint: str,
) -> None:
    """Write the checkpoint to `folder`. `values` are the trained parameters as whole tensors, by name in the model."""
    state, model = run.state, run.strategy.accelerator.unwrap_model(run.strategy.model)
    trained = [row for split in TRAINING_SPLITS for row in inputs.splits[split]]
    temperature = fit_references(config, run, inputs) if config.training.token_temperature == "adaptive" else None
    record = CalibrationRecord(
        model=pinned(config.model),
        base_files=base_files(config.model),
        method=config.training.method,
        prompt_style=inputs.prompt_format.style,
        answer_tokens=inputs.prompt_format.answer_tokens,
        query_few_shot=inputs.few_shot.query,
        answer_few_shot=inputs.few_shot.shown,
        has_conversations=any(row.earlier for row in inputs.splits["calibration"]),
        max_new_tokens=max(row.max_new_tokens or config.curation.max_new_tokens for row in trained),
        multiline=any(row.multiline for row in trained),
        cloze=config.curation.cloze,
        readout=None if fitted.readout is None else fitted.readout.record,
        calibrator=fitted.calibrator,
        calibrator_as_loaded=fitted.calibrator_as_loaded,
        calibrated_on=fitted.calibrated_on,
        calibrated_in=dtype_name(config.model.dtype),
        token_temperature=None if temperature is None else temperature[1],
        selected={"step": state.best_step or 0, config.training.select_by: state.best_score or 0.0},
        validation=state.history,
        inputs_fingerprint=state.inputs_fingerprint,
        curation_fingerprint=curation_fingerprint,
        splits_sha256={split: sha256_file(config.curation_dir / f"{split}.parquet") for split in TRAINING_SPLITS},
        training=config.training.model_dump(mode="json") | {"seed": config.training_seed},
        versions={p: version(p) for p in ("calibration-tuning", "torch", "transformers", "peft", "accelerate")},
    )
    save_weights(config, folder, model, values)
    if fitted.readout is not None:
        save_arrays(fitted.readout.probe, folder)
    if temperature is not None:
        save_token_temperature(temperature[0], folder)
    tokenizer = inputs.prompt_format.tokenizer
    tokenizer.init_kwargs.pop("local_files_only", None)  # how it was loaded, offline or not, is no part of it
    tokenizer.save_pretrained(folder)
    write_json(folder / FILE, record.model_dump(mode="json"))
    write_sums(folder)


def write_validation(config: RunConfig, run: Run) -> None:
    """What the kept checkpoint says on the validation split, for `training.choose`. Not in the checkpoint, so that it
    is not published."""
    rows = run.validation_rows
    columns = {
        "id": [f"{row.source}/{row.id}" for row in rows],
        "group": [row.group for row in rows],
        "correct": [row.correct for row in rows],
        "confidence": run.state.best,
    }
    write_json(config.run_dir / VALIDATION, columns)


def save_weights(config: RunConfig, folder: Path, model: Any, values: dict[str, Tensor]) -> None:
    """Write the adapter and the probe to `folder`, as far as the model has them. `values`: the trained parameters by
    their names in the model."""
    if model.has_adapter:
        # Record the name of the base model, not its folder in this machine's cache.
        adapter_config = model.lm.peft_config["default"]
        adapter_config.base_model_name_or_path = config.model.path
        if not isinstance(adapter_config.target_modules, str):  # a set, whose order differs between processes
            adapter_config.target_modules = sorted(adapter_config.target_modules)
        adapter = {name.removeprefix("lm."): value for name, value in values.items() if name.startswith("lm.")}
        model.lm.save_pretrained(folder, state_dict=adapter, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty template; publishing writes the model card
    if model.probe is not None:
        width = config.training.probe.hidden_size
        head = Probe(model.config.get_text_config().hidden_size, width)
        head.load_state_dict({n.removeprefix("probe."): v for n, v in values.items() if n.startswith("probe.")})
        save_probe(head, folder)
