"""The thresholds of the tuned confidence as a file of the checkpoint, for whoever loads it."""

from __future__ import annotations

from pathlib import Path

from calibration_tuning.runs.files import write_json
from calibration_tuning.thresholds import FILE, Threshold, Thresholds
from evaluation.schema import Metrics


def write_thresholds(checkpoint: Path, metrics: Metrics) -> None:
    decisions = metrics.decisions
    thresholds = Thresholds(
        inputs_fingerprint=metrics.inputs_fingerprint,
        confidence=decisions.confidence,
        n_calibration=decisions.n_calibration,
        rates=[
            Threshold(
                error_rate=rate.error_rate,
                threshold=rate.after.threshold,
                coverage=rate.after.coverage,
                error=rate.after.error,
            )
            for rate in decisions.rates
        ],
    )
    write_json(checkpoint / FILE, thresholds.model_dump(mode="json"))
