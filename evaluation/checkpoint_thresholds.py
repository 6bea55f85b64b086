"""The thresholds of the tuned query as a file of the checkpoint, for whoever loads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibration_tuning.runs.files import write_json
from calibration_tuning.thresholds import FILE, Threshold, Thresholds


def write_thresholds(checkpoint: Path, metrics: Mapping[str, Any]) -> None:
    decisions = metrics["decisions"]
    found = Thresholds(
        inputs_fingerprint=metrics["inputs_fingerprint"],
        confidence=decisions["confidence"],
        n_calibration=decisions["n_calibration"],
        rates=[
            Threshold(
                error_rate=entry["error_rate"],
                **{name: entry["after"][name] for name in ("threshold", "coverage", "error")},
            )
            for entry in decisions["rates"]
        ],
    )
    write_json(checkpoint / FILE, found.model_dump(mode="json"))
