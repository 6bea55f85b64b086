"""Calibration metrics as a library: confidences in answers, and token probabilities of language models.

Confidences need numpy and scipy only:

    from calibration_tuning.metrics import confidence_metrics
    confidence_metrics([0.9, 0.8, 0.3], [1, 1, 0], num_bins=2)["brier"].value

`reliability_diagram` needs matplotlib besides (extra `plots`), `full_ece` and `TokenCalibration` need torch (extra
`logits`). Names are imported when they are used, so nothing is loaded that is not needed. docs/metrics.md has examples.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from calibration_tuning.extras import missing, pip_install

if TYPE_CHECKING:
    from calibration_tuning.metrics.abstention import find_threshold
    from calibration_tuning.metrics.bootstrap import Difference, Interval
    from calibration_tuning.metrics.calibrators import CALIBRATORS, fit, log_odds
    from calibration_tuning.metrics.comparison import holm_corrected
    from calibration_tuning.metrics.confidence import (
        METRICS,
        BeforeAfter,
        before_and_after,
        confidence_metrics,
        paired_difference,
        point_metrics,
    )
    from calibration_tuning.metrics.cross_fitting import calibrate
    from calibration_tuning.metrics.drift import BinDrift, Drift, calibration_drift
    from calibration_tuning.metrics.plots.reliability import reliability_diagram
    from calibration_tuning.metrics.token_calibration import TOKEN_METRICS, TokenCalibration, full_ece
    from calibration_tuning.metrics.trainer_metrics import TrainerMetrics

_MODULES = {
    "abstention": ("find_threshold",),
    "bootstrap": ("Difference", "Interval"),
    "calibrators": ("CALIBRATORS", "fit", "log_odds"),
    "comparison": ("holm_corrected",),
    "confidence": (
        *("METRICS", "BeforeAfter", "before_and_after", "confidence_metrics", "paired_difference", "point_metrics"),
    ),
    "cross_fitting": ("calibrate",),
    "drift": ("BinDrift", "Drift", "calibration_drift"),
    "plots.reliability": ("reliability_diagram",),
    "token_calibration": ("TOKEN_METRICS", "TokenCalibration", "full_ece"),
    "trainer_metrics": ("TrainerMetrics",),
}
_EXTRAS = {"plots.reliability": "plots", "token_calibration": "logits", "trainer_metrics": "logits"}
"""The extra that a module needs."""
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "CALIBRATORS",
    "METRICS",
    "TOKEN_METRICS",
    "BeforeAfter",
    "BinDrift",
    "Difference",
    "Drift",
    "Interval",
    "TokenCalibration",
    "TrainerMetrics",
    "before_and_after",
    "calibrate",
    "calibration_drift",
    "confidence_metrics",
    "find_threshold",
    "fit",
    "full_ece",
    "holm_corrected",
    "log_odds",
    "paired_difference",
    "point_metrics",
    "reliability_diagram",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _HOME[name]
    try:
        value = getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError:
        extra = _EXTRAS.get(module)
        if extra is None or (package := missing(extra)) is None:
            raise
        raise ModuleNotFoundError(f"{name} needs {package}: {pip_install(extra)}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
