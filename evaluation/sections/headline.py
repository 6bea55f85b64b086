"""The claim itself: the confidence before tuning, and the checkpoint's, on the same untouched questions."""

from __future__ import annotations

import numpy as np

from calibration_tuning.config.training import WITHOUT_PROBE
from calibration_tuning.metrics.bootstrap import Interval, mean_interval
from calibration_tuning.metrics.confidence import MAIN
from evaluation.evidence import Evidence
from evaluation.passes.base import BOTH, State
from evaluation.schema import Comparison, Headline


def headline(evidence: Evidence) -> Headline:
    """The test split, and the sets never trained on where there are any. Beside before and after stand the same readout
    of the untuned model with the same kind of calibrator, always saying the base rate, and the accuracy of
    each answer's subject on the calibration split, with the differences from these."""
    splits = [split for split in ("test", "evaluation") if split in evidence.splits]
    compared = {split: _split(evidence, split) for split in splits}
    return Headline(**compared, answer_token_mass=_masses(evidence))  # type: ignore[arg-type]


def _split(evidence: Evidence, split: str) -> Comparison:
    before, after = evidence.before(split), evidence.after(split)
    untuned = evidence.confidence(evidence.untuned_readout, split, evidence.kind)
    rate = np.full(len(after), evidence.base_rate)
    compared = evidence.compared(before, after, split)
    subject = evidence.subject_accuracy(split)
    tuning, over_base_rate, over_subject = (
        evidence.compared(other, after, split, MAIN) for other in (untuned, rate, subject)
    )
    return Comparison(
        n=len(after),
        groups=len(np.unique(evidence.groups(split))),
        before=compared.before,
        after=compared.after,
        difference=compared.difference,
        before_calibrated=tuning.before,
        after_uncalibrated=evidence.rated(evidence.confidence(evidence.readout, split), split, MAIN),
        base_rate=over_base_rate.before,
        subject_accuracy=over_subject.before,
        tuning=tuning.difference,
        over_base_rate=over_base_rate.difference,
        over_subject_accuracy=over_subject.difference,
    )


def _masses(evidence: Evidence) -> dict[State, Interval] | None:
    """Mean probability of the two answer tokens at the query position; None where a probe is read instead of them."""
    return {state: _mass(evidence, state) for state in BOTH} if evidence.record.method in WITHOUT_PROBE else None


def _mass(evidence: Evidence, state: State) -> Interval:
    rows, settings = evidence.splits["test"], evidence.config.evaluation
    masses = np.array([evidence.findings.need("query", state, row)["mass"] for row in rows])
    return mean_interval(masses, evidence.groups("test"), settings.bootstrap_samples, evidence.config.seed)
