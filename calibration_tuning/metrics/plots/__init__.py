"""Plots of confidences: `prepare_*` returns the data where there is something to compute, `plot_*` draws it."""

from __future__ import annotations

from calibration_tuning.metrics.plots.reliability import plot_reliability, prepare_reliability

__all__ = ["plot_reliability", "prepare_reliability"]
