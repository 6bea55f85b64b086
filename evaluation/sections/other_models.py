"""Confidence about other models' answers: does the tuned model know when *they* are right?"""

from __future__ import annotations

import numpy as np

from calibration_tuning.metrics.calibrators import fit
from calibration_tuning.metrics.comparison import holm_corrected
from calibration_tuning.metrics.confidence import METRICS
from evaluation.evidence import BEFORE, Evidence
from evaluation.other_answers import THIS_MODEL, split_of
from evaluation.schema import OtherModel, with_corrected

SHOWN = ("brier", "brier_skill", "ece", "auroc", "accuracy", "mean_confidence")


def other_models(evidence: Evidence) -> dict[str, OtherModel] | None:
    """Metrics by model; `own` is the tuned model.

    `before` and `after` are the query before tuning and after tuning with the checkpoint's calibrator, with their
    difference (Holm-corrected over the models). `leave_one_out` is after tuning with a calibrator fitted on the
    calibration answers of all *other* models together, as for a model that was never seen. None if no other model's
    answers were given.
    """
    names = [other.name for other in evidence.config.evaluation.other_answers]
    if not names:
        return None
    table = {name: _model(evidence, name, [THIS_MODEL, *names]) for name in [THIS_MODEL, *names]}
    differences = [row.difference["brier"] for row in table.values()]
    corrected = holm_corrected([(METRICS["brier"], difference) for difference in differences])
    return with_corrected(table, differences, corrected)


def _model(evidence: Evidence, name: str, models: list[str]) -> OtherModel:
    test = _split("test", name)
    before, after = evidence.confidence(BEFORE, test, evidence.kind_of(BEFORE)), evidence.after(test)
    compared = evidence.compared(before, after, test, SHOWN)
    row = OtherModel(n=len(after), before=compared.before, after=compared.after, difference=compared.difference)
    other_splits = [_split("calibration", other) for other in models if other != name]
    logit = np.concatenate([evidence.scores[evidence.readout][split] for split in other_splits])
    if len(logit) < 2:
        return row
    calibrator = fit(evidence.kind, logit, np.concatenate([evidence.correct(split) for split in other_splits]))
    rated = evidence.rated(calibrator(evidence.scores[evidence.readout][test]), test, SHOWN)
    return row.model_copy(update={"leave_one_out": rated})


def _split(split: str, model: str) -> str:
    return split if model == THIS_MODEL else split_of(split, model)
