"""Confidence about other models' answers: does the tuned model know when *they* are right?"""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.metrics.calibrators import fit
from calibration_tuning.metrics.comparison import adjust
from calibration_tuning.metrics.confidence_metrics import METRICS
from evaluation.evidence import AFTER, BEFORE, Evidence
from evaluation.other_answers import OWN, split_of

SHOWN = ("brier", "brier_skill", "ece", "auroc", "accuracy", "mean_confidence")


def other_models(evidence: Evidence) -> dict[str, Any] | None:
    """By model, `own` being the one that was tuned: n, metrics of the query `before` tuning and `after` with the
    checkpoint's calibrator, their difference (Holm-corrected over the models), and `leave_one_out`: after tuning, with
    a calibrator fitted on the calibration answers of all *other* models together, as one would have to judge a model
    never seen. None where no other model's answers were given."""
    names = [other.name for other in evidence.config.evaluation.other_answers]
    if not names:
        return None
    found = {name: _model(evidence, name, [OWN, *names]) for name in [OWN, *names]}
    adjust([(METRICS["brier"], entry["difference"]["brier"]) for entry in found.values()])
    return found


def _model(evidence: Evidence, name: str, everyone: list[str]) -> dict[str, Any]:
    test = _split("test", name)
    before, after = evidence.confidence(BEFORE, test, evidence.kind), evidence.after(test)
    found: dict[str, Any] = {"n": len(after), **evidence.compared(before, after, test, SHOWN)}
    others = [_split("calibration", other) for other in everyone if other != name]
    logit = np.concatenate([evidence.scores[AFTER][split] for split in others])
    if len(logit) >= 2:
        calibrator = fit(evidence.kind, logit, np.concatenate([evidence.correct(split) for split in others]))
        found["leave_one_out"] = evidence.rated(calibrator(evidence.scores[AFTER][test]), test, SHOWN)
    return found


def _split(split: str, model: str) -> str:
    return split if model == OWN else split_of(split, model)
