"""When to answer: the risk-coverage curve, and thresholds for wanted error rates found on the calibration split."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation.decisions import answered_above, find_threshold, unavoidable_abstention
from evaluation.estimators import ESTIMATORS
from evaluation.evidence import AFTER, BEFORE, Evidence, Side
from evaluation.posthoc import FOLDS, cross_fitted
from evaluation.ranking import risk_coverage
from evaluation.scoring_rules import brier

POINTS = 200


def decisions(evidence: Evidence) -> dict[str, Any]:
    """`accuracy` of the test answers; for each wanted error rate the abstention that no confidence could avoid, then
    for each confidence the threshold that the calibration split vouches for, and what it does on the test split.
    `curves`: the risk-coverage curve of each confidence, thinned to 200 points, and that of a perfect one.

    The confidences, all calibrated: the query `before` and `after` tuning, and `best_other`, the one with the lowest
    Brier score cross-fitted within the calibration split (its name stands under `best_other`)."""
    settings, correct, known = evidence.config.evaluation, evidence.correct("test"), evidence.correct("calibration")
    sides: dict[str, Side] = {"before": BEFORE, "after": AFTER}
    best = _best_other(evidence)
    if best is not None:
        sides["best_other"] = best
    confidences = {
        name: {split: evidence.confidence(side, split, evidence.kind) for split in ("calibration", "test")}
        for name, side in sides.items()
    }
    accuracy = float((correct >= 0.5).mean())
    rates = []
    for rate in settings.error_rates:
        entry: dict[str, Any] = {
            "error_rate": rate,
            "unavoidable_abstention": unavoidable_abstention(accuracy, rate),
        }
        for name, own in confidences.items():
            threshold = find_threshold(own["calibration"], known, rate, settings.error_rate_confidence)
            entry[name] = {"threshold": threshold, **answered_above(own["test"], correct, threshold)}
        rates.append(entry)
    perfect = np.sort(correct)[::-1]
    curves = {name: _curve(own["test"], correct) for name, own in confidences.items()}
    return {
        "accuracy": accuracy,
        "confidence": settings.error_rate_confidence,
        "n_calibration": len(known),
        "best_other": best and f"{ESTIMATORS[best[0]].label}, {best[1]}",  # type: ignore[index]
        "rates": rates,
        "curves": curves | {"perfect": _curve(perfect, perfect)},
    }


def _best_other(evidence: Evidence) -> Side | None:
    """None where no other confidence is there for every answer, or there are too few to cut into folds."""
    correct, groups = evidence.correct("calibration"), evidence.groups("calibration")
    if len(np.unique(groups)) < FOLDS:
        return None
    found = {
        side: brier(
            cross_fitted(evidence.kind, score["calibration"], correct, groups, seed=evidence.config.seed), correct
        )
        for side, score in evidence.scores.items()
        if side[0] != "query" and not any(np.isnan(score[split]).any() for split in ("calibration", "test"))
    }
    return min(found, key=lambda side: found[side]) if found else None


def _curve(confidence: np.ndarray, correct: np.ndarray) -> dict[str, list[float]]:
    coverage, risk = risk_coverage(confidence, correct)
    kept = np.unique(np.linspace(0, len(risk) - 1, min(POINTS, len(risk))).round().astype(int))
    return {"coverage": coverage[kept].tolist(), "risk": risk[kept].tolist()}
