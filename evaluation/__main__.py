"""python -m evaluation CONFIG: the base and the tuned model on untouched test questions -> metrics and a report."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from calibration_tuning.config.model import NOT_INPUTS
from calibration_tuning.config.run import RunConfig
from calibration_tuning.config.training import HOW_IT_RUNS
from calibration_tuning.curated_set import CuratedSet, curation_folder
from calibration_tuning.errors import UserError
from calibration_tuning.lm.curated_for import check_curated_for
from calibration_tuning.lm.identity import training_identity
from calibration_tuning.runs.files import (
    fingerprint,
    read_json,
    recover_folder,
    sha256_file,
    whole_folder,
    write_json,
)
from calibration_tuning.runs.locks import lock_folder
from calibration_tuning.runs.processes import is_first_process, wait_for_everyone
from calibration_tuning.runs.stage import already_made, run_stage
from calibration_tuning.runs.threads import cores_of_waiting_processes
from calibration_tuning.thresholds import FILE as THRESHOLDS
from calibration_tuning.tracking import tracked
from calibration_tuning.tracking.artifacts import checkpoint, dataset, report
from evaluation.texts import text_files

if TYPE_CHECKING:
    from calibration_tuning.checkpoint import CalibrationRecord

DONE = "run.json"
"""Written last, when thresholds and tracking have the report as well."""


def evaluate(config: RunConfig, force: bool) -> None:
    curated = CuratedSet.read(curation_folder(config))
    from calibration_tuning.checkpoint import read_record

    trained = read_record(config.checkpoint_dir)
    if trained.curation_fingerprint != curated.fingerprint:
        raise UserError(
            f"{config.checkpoint_dir}: was trained on another curated set than {config.curation_dir}; train again"
        )
    check_settings(config, trained)
    check_curated_for(curated, config.model)
    inputs = inputs_of(config, trained)
    # Held until this function returns or the process dies. `already_made` holds the other processes back until then.
    lock = lock_folder(config.findings_dir) if is_first_process() else None
    if is_first_process():
        _recover(config, inputs)
    if already_made(config.evaluation_dir, DONE, inputs, force):
        return

    from evaluation.collect import collect

    evidence = collect(config, curated, trained)
    if is_first_process():
        with cores_of_waiting_processes():
            write(config, inputs, trained, evidence)
    wait_for_everyone()
    if lock is not None:
        lock.close()


def check_settings(config: RunConfig, trained: CalibrationRecord) -> None:
    """Raise `UserError` if the checkpoint was trained with other settings or on other files of the model: the report
    would name the wrong ones. Settings that do not change the result may differ."""
    trained_with = {"model": trained.model.model_dump(mode="json"), "training": trained.training}
    changed = [
        f"{part}.{name}"
        for part, settings in config.training_inputs().items()
        for name in sorted({*settings, *trained_with[part]} - NOT_INPUTS - HOW_IT_RUNS)
        if settings.get(name) != trained_with[part].get(name)
    ]
    if changed:
        raise UserError(
            f"{config.checkpoint_dir}: was trained with other settings ({', '.join(changed)}); set them back, or train "
            "again"
        )
    if trained.inputs_fingerprint != training_identity(config, trained.curation_fingerprint):
        raise UserError(
            f"{config.checkpoint_dir}: was trained on other files of {config.model.path} than are there now, or by an "
            "earlier version of calibration-tuning; put them back (model.revision pins a model on the hub), or train "
            "again"
        )


def _recover(config: RunConfig, inputs: str) -> None:
    """Remove an incomplete report so that it is written again.

    A report is incomplete if it was killed before its thresholds and tracker were written, or if its thresholds were
    deleted when the same checkpoint was trained again. The measurements in `.findings` are kept.
    """
    folder = config.evaluation_dir
    recover_folder(folder)
    if not (folder / "metrics.json").is_file():
        return
    record = read_json(folder / DONE, made_by="evaluate") if (folder / DONE).is_file() else None
    is_lost = record is not None and record.get("inputs_fingerprint") == inputs
    if record is None or (is_lost and not (config.checkpoint_dir / THRESHOLDS).is_file()):
        shutil.rmtree(folder)


def inputs_of(config: RunConfig, trained: CalibrationRecord) -> str:
    """Fingerprint of everything that the report depends on."""
    from calibration_tuning.checkpoint import deciding_files
    from calibration_tuning.lm.models import dtype_name

    settings = config.evaluation.model_dump(mode="json", exclude={"batch_size"})
    answered = {other.name: other.path for other in config.evaluation.other_answers}
    answer_files = {
        name: [sha256_file(file) for file in ([path] if path.is_file() else sorted(path.glob("*.parquet")))]
        for name, path in answered.items()
    }
    text = config.evaluation.text
    texts = [sha256_file(file) for file in text_files(text)] if text is not None else []
    # Other GPUs train other weights from the same settings.
    weights = [sha256_file(file) for file in deciding_files(config.checkpoint_dir)]
    # `auto` is another precision on another machine.
    precision = dtype_name(config.model.dtype)
    return fingerprint([settings, answer_files, texts, config.seed, trained.inputs_fingerprint, weights, precision])


def write(config: RunConfig, inputs: str, trained: CalibrationRecord, evidence: Any) -> None:
    from evaluation.calibrators_json import FILE, as_json
    from evaluation.checkpoint_thresholds import write_thresholds
    from evaluation.metrics_json import metrics_of
    from evaluation.per_example import write_per_example
    from evaluation.report import confidently_wrong, write_report
    from evaluation.sentences import verdict_sentence
    from evaluation.story import before_and_after_sentence, next_steps
    from evaluation.tables import console_table
    from evaluation.tracking_log import log_evaluation

    metrics = metrics_of(evidence)
    with whole_folder(config.evaluation_dir) as folder:
        write_json(folder / "metrics.json", metrics.as_json())
        write_json(folder / FILE, as_json({"/".join(side): fits for side, fits in evidence.fits.items()}))
        write_per_example(folder / "per_example.parquet", evidence)
        write_report(folder, metrics, evidence)
    write_thresholds(config.checkpoint_dir, metrics)
    with tracked(config, "evaluate") as tracker:
        tracker.use_artifact(dataset(config, trained.curation_fingerprint))
        tracker.use_artifact(checkpoint(config, trained.inputs_fingerprint))
        log_evaluation(tracker, metrics, config.evaluation_dir, confidently_wrong(evidence))
        tracker.log_artifact(report(config, inputs))
    write_json(config.evaluation_dir / DONE, {"inputs_fingerprint": inputs})
    console_table(metrics)
    print(f"{verdict_sentence(metrics)} {before_and_after_sentence(metrics)}")
    print("".join(f"- {step}\n" for step in next_steps(metrics)), end="")
    print(f"report: {config.evaluation_dir / 'report.html'}")


if __name__ == "__main__":
    run_stage(evaluate, "Score the base and the tuned model on the test questions and write the report.")
