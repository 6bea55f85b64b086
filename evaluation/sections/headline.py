"""The claim itself: the query's confidence before and after tuning, on the same untouched questions."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation.confidence_metrics import MAIN, before_and_after, confidence_metrics, paired_difference
from evaluation.evidence import AFTER, BEFORE, Evidence


def headline(evidence: Evidence) -> dict[str, Any]:
    """By split (`test`, and `evaluation` for sets never trained on): n, `before`, `after`, their `difference`;
    beside them the model as it came with the same kind of calibrator: the part of the gain that is not tuning's."""
    return {split: _split(evidence, split) for split in ("test", "evaluation") if split in evidence.splits} | {
        "answer_token_mass": _mass(evidence)
    }


def _split(evidence: Evidence, split: str) -> dict[str, Any]:
    settings, correct, groups = evidence.config.evaluation, evidence.correct(split), evidence.groups(split)
    shared = (settings.num_bins, evidence.config.seed, settings.bootstrap_samples, groups)
    before, after = evidence.before(split), evidence.after(split)
    untuned = evidence.confidence(BEFORE, split, evidence.kind)
    others = {
        "before_calibrated": untuned,
        "after_uncalibrated": evidence.confidence(AFTER, split),
        "base_rate": np.full(len(correct), evidence.base_rate),
    }
    return {
        "n": len(correct),
        "groups": len(np.unique(groups)),
        **before_and_after(before, after, correct, *shared),
        **{name: confidence_metrics(confidence, correct, *shared, MAIN) for name, confidence in others.items()},
        "difference_calibrated": paired_difference(untuned, after, correct, *shared, MAIN),
    }


def _mass(evidence: Evidence) -> dict[str, float]:
    """Mean probability of the two answer tokens at the query position."""
    rows = evidence.splits["test"]
    return {
        state: float(np.mean([(evidence.measured.of("query", state, row) or {})["mass"] for row in rows]))
        for state in ("before", "after")
    }
