"""Sections of the report on made-up evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from scipy.special import expit

from calibration_tuning.metrics.abstention import find_threshold
from evaluation.evidence import Evidence
from evaluation.sections.grader import grader
from evaluation.sections.thresholds import decisions

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["platt", "isotonic", "histogram"])
def test_the_report_vouches_by_raw_scores(make_evidence: Callable[..., Evidence], kind: str) -> None:
    """Whatever calibrator a run has, thresholds are found on scores that have not seen the calibration labels."""
    evidence = make_evidence((0.0, 5.0))
    calibrator = evidence.fits[("query", "after")][kind]
    evidence = replace(evidence, record=evidence.record.model_copy(update={"calibrator": calibrator}))
    found = decisions(evidence)
    assert found.n_calibration == len(evidence.splits["calibration"])
    assert found.n_groups == 30
    score = evidence.scores["query", "after"]
    for rate in found.rates:
        correct, groups = evidence.correct("calibration"), evidence.groups("calibration")
        expected = find_threshold(score["calibration"], correct, groups, rate.error_rate)
        threshold = rate.after.threshold
        assert threshold == (None if expected is None else pytest.approx(expit(expected)))
        # Maps with steps have no threshold of their own: scores that differ become one.
        assert (rate.after.calibrated is None) == (expected is None or kind != "platt")


def test_thresholds_are_of_the_confidence_that_a_loaded_checkpoint_gives(
    make_evidence: Callable[..., Evidence],
) -> None:
    evidence = make_evidence((0.0, 5.0), settings={"error_rates": [0.3, 0.5, 0.7]})
    own = evidence.scores["query", "after"]
    # Read behind other demonstrations, every answer looks less sure.
    evidence.__dict__["scores_as_loaded"] = {split: score - 1.5 for split, score in own.items()}
    correct, groups = evidence.correct("calibration"), evidence.groups("calibration")
    found = [
        (rate, find_threshold(own["calibration"], correct, groups, rate.error_rate))
        for rate in decisions(evidence).rates
    ]
    assert any(expected is not None for _, expected in found)
    for rate, expected in found:
        assert rate.after.threshold == (None if expected is None else pytest.approx(expit(expected - 1.5)))


def test_the_report_says_how_much_the_second_grader_speaks_for(make_evidence: Callable[..., Evidence]) -> None:
    summary = {"n": 40, "agreement": 0.9, "correct_by_first": 0.5, "correct_by_second": 0.4}
    made = make_evidence(manifest={"second_grader": {**summary, "by_grader": {"exact": summary}}})
    found = grader(made)
    assert found is not None
    assert found.covered == 1.0
    assert found.counts == {"exact": [[20, 0], [4, 16]]}
    other = make_evidence(manifest={"second_grader": {**summary, "by_grader": {"math": summary}}})
    found = grader(other)
    assert found is not None
    assert found.covered == 0.0
    assert grader(make_evidence()) is None
