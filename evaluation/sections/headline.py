"""The claim itself: the query's confidence before and after tuning, on the same untouched questions."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.metrics.bootstrap import Interval, draws_of, percentile_interval
from calibration_tuning.metrics.confidence_metrics import MAIN
from evaluation.evidence import AFTER, BEFORE, Evidence
from evaluation.passes.base import BOTH, State


def headline(evidence: Evidence) -> dict[str, Any]:
    """By split (`test`, and `evaluation` for sets never trained on): n, `before`, `after`, their `difference`;
    beside them the model as it came with the same kind of calibrator, and how what a user gets differs from that
    (`tuning`) and from always saying the base rate (`over_base_rate`)."""
    return {split: _split(evidence, split) for split in ("test", "evaluation") if split in evidence.splits} | {
        "answer_token_mass": _masses(evidence)
    }


def _split(evidence: Evidence, split: str) -> dict[str, Any]:
    before, after = evidence.before(split), evidence.after(split)
    untuned = evidence.confidence(BEFORE, split, evidence.kind)
    rate = np.full(len(after), evidence.base_rate)
    tuning, over_base_rate = (evidence.compared(other, after, split, MAIN) for other in (untuned, rate))
    return {
        "n": len(after),
        "groups": len(np.unique(evidence.groups(split))),
        **evidence.compared(before, after, split),
        "before_calibrated": tuning["before"],
        "after_uncalibrated": evidence.rated(evidence.confidence(AFTER, split), split, MAIN),
        "base_rate": over_base_rate["before"],
        "tuning": tuning["difference"],
        "over_base_rate": over_base_rate["difference"],
    }


def _masses(evidence: Evidence) -> dict[str, Interval] | None:
    """Mean probability of the two answer tokens at the query position; None where a probe is read instead of them."""
    return {state: _mass(evidence, state) for state in BOTH} if evidence.record.method == "lora_prompt" else None


def _mass(evidence: Evidence, state: State) -> Interval:
    rows = evidence.splits["test"]
    masses = np.array([evidence.findings.need("query", state, row)["mass"] for row in rows])
    settings = evidence.config.evaluation
    draws = draws_of(
        lambda i: {"mass": float(masses[i].mean())},
        evidence.groups("test"),
        settings.bootstrap_samples,
        evidence.config.seed,
    )
    return percentile_interval(float(masses.mean()), draws.get("mass", ()))
