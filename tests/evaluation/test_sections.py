"""Sections of the report on made-up evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from scipy.special import expit

from calibration_tuning.metrics.abstention import find_threshold
from evaluation.evidence import Evidence
from evaluation.findings import key
from evaluation.sections.answers import answers
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


def test_shares_near_their_ends_keep_an_interval(make_evidence: Callable[..., Evidence]) -> None:
    """Of 40 groups of two not one answer changes: that share is not known to be 0."""
    made = make_evidence()
    for row in made.splits["test"]:
        for state in ("before", "after"):
            made.findings.values["reanswered"][key(state, row)] = {"answer": "x", "correct": 1.0}  # type: ignore[index]
    found = answers(made)
    assert found is not None
    # Wilson's upper end of 0 in n is t^2 / (n + t^2), t of 39 degrees of freedom being 2.023; so with 1, from below.
    assert (found.changed.low, found.changed.high) == (0, pytest.approx(2.023**2 / (40 + 2.023**2), abs=1e-4))
    assert found.accuracy_adapter_on.low == pytest.approx(40 / (40 + 2.023**2), abs=1e-4)
    assert (found.accuracy_difference.low, found.accuracy_difference.high) == (0, 0)


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
