"""Confidence about other models' answers: does the tuned model know when *they* are right?"""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.calibrators import fit
from evaluation.confidence_metrics import before_and_after, confidence_metrics
from evaluation.evidence import AFTER, BEFORE, Evidence
from evaluation.other_answers import split_of

SHOWN = ("brier", "ece", "auroc", "accuracy", "mean_confidence")


def other_models(evidence: Evidence) -> dict[str, Any] | None:
    """By model, `own` being the one that was tuned: n, metrics of the query `before` tuning and `after` with the
    checkpoint's calibrator, their difference, and `leave_one_out`: after tuning, with a calibrator fitted on the
    calibration answers of all *other* models together, as one would have to judge a model never seen. None where no
    other model's answers were given."""
    names = [other.name for other in evidence.config.evaluation.other_answers]
    if not names:
        return None
    return {name: _model(evidence, name, ["own", *names]) for name in ["own", *names]}


def _model(evidence: Evidence, name: str, everyone: list[str]) -> dict[str, Any]:
    settings, test = evidence.config.evaluation, _split("test", name)
    correct = evidence.correct(test)
    shared = (settings.num_bins, evidence.config.seed, settings.bootstrap_samples, evidence.groups(test), SHOWN)
    before, after = evidence.confidence(BEFORE, test, evidence.kind), evidence.after(test)
    found: dict[str, Any] = {"n": len(correct), **before_and_after(before, after, correct, *shared)}
    others = [_split("calibration", other) for other in everyone if other != name]
    logit = np.concatenate([evidence.scores[AFTER][split] for split in others])
    if len(logit) >= 2:
        calibrator = fit(evidence.kind, logit, np.concatenate([evidence.correct(split) for split in others]))  # type: ignore[arg-type]
        left_out = calibrator(evidence.scores[AFTER][test])
        found["leave_one_out"] = confidence_metrics(left_out, correct, *shared)
    return found


def _split(split: str, model: str) -> str:
    return split if model == "own" else split_of(split, model)
