"""The comparison that is named in advance: the tuned confidence against the best confidence of the untuned model."""

from __future__ import annotations

import numpy as np

from evaluation.best_other import untuned_candidates
from evaluation.estimators import ESTIMATORS
from evaluation.evidence import Evidence
from evaluation.schema import Primary


def primary(evidence: Evidence) -> Primary | None:
    """Brier scores on the test split, both calibrated, and their paired difference.

    Its p-value is tested by itself at 5%. All other comparisons are corrected apart from it. None where the calibration
    split has too few groups to choose a confidence on.
    """
    scores = untuned_candidates(evidence)
    if not scores:
        return None
    side = min(scores, key=lambda side: scores[side])
    confidence = evidence.confidence(side, "test", evidence.kind_of(side))
    if np.isnan(confidence).any():
        return None
    compared = evidence.compared(confidence, evidence.after("test"), "test", ("brier",))
    return Primary(
        other="/".join(side),
        label=ESTIMATORS[side[0]].label,  # type: ignore[index]
        candidates=len(scores),
        n=len(confidence),
        untuned=compared.before["brier"],
        tuned=compared.after["brier"],
        difference=compared.difference["brier"],
    )
