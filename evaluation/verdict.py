"""What a report says of tuning: which difference its verdict goes by, and whether a gain counts as one."""

from __future__ import annotations

from calibration_tuning.metrics.bootstrap import Difference
from evaluation.schema import Metrics


def tuning_change(metrics: Metrics) -> Difference:
    """What tuning alone does to the Brier score of the checkpoint's confidence. Where that confidence, untuned, is the
    best of the untuned ones, this is the primary comparison, whose p-value is not corrected."""
    primary = metrics.primary
    untuned = "query/before" if metrics.readout is None else "stacked/before"
    if primary is not None and primary.other == untuned:
        return primary.difference
    return metrics.headline.test.tuning["brier"]


def only_the_subject(metrics: Metrics) -> bool:
    """Better than before, but not clearly better than the accuracy of the subject."""
    test = metrics.headline.test
    primary = "" if metrics.primary is None else metrics.primary.difference.verdict
    gained = "better" in (tuning_change(metrics).verdict, test.difference["brier"].verdict, primary)
    return gained and test.over_subject_accuracy["brier"].verdict != "better"
