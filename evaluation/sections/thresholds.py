"""When to answer: the risk-coverage curve, and thresholds for wanted error rates found on the calibration split."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from calibration_tuning.metrics.abstention import (
    answered_above,
    find_threshold,
    unavoidable_abstention,
)
from calibration_tuning.metrics.ranking import risk_coverage
from evaluation.best_other import best_other
from evaluation.estimators import ESTIMATORS
from evaluation.evidence import BEFORE, Evidence, Side
from evaluation.schema import Curve, Decisions, Rate, ThresholdResult

POINTS = 200


def decisions(evidence: Evidence) -> Decisions:
    """Thresholds for the wanted error rates, and risk-coverage curves.

    `accuracy` is that of the test answers. Each error rate has the abstention that no confidence could avoid. For each
    confidence it has the `threshold` that the calibration data supports, in the raw confidence and, if its calibrator
    keeps the order, `calibrated`, and the result on the test split. `curves` has the risk-coverage curve of each
    confidence, thinned to 200 points, and that of a perfect confidence.

    The confidences are the query `before` tuning, the checkpoint's `after`, and `best_other` (named under
    `best_other`). The guarantee of `best_other` is corrected for its choice among all confidences. The checkpoint's
    confidence is computed as in a loaded checkpoint, because its thresholds are for that. Thresholds apply to raw
    scores, because the calibrators were fitted on the same answers; answers of a group may be right or wrong together.
    """
    settings = evidence.config.evaluation
    right = (evidence.correct("test") >= 0.5).astype(np.float64)
    correct, groups = evidence.correct("calibration"), evidence.groups("calibration")
    sides: dict[str, Side] = {"before": BEFORE, "after": evidence.readout}
    best = best_other(evidence)
    if best is not None:
        sides["best_other"] = best
    scores = {name: evidence.scores[side] for name, side in sides.items()} | {"after": evidence.scores_as_loaded}
    candidates = len(evidence.scores)
    doubt = 1 - settings.error_rate_confidence
    rates = []
    for rate in settings.error_rates:
        results: dict[str, ThresholdResult] = {}
        for name, side in sides.items():
            score = scores[name]
            sure = 1 - doubt / (candidates if name == "best_other" else 1)
            known = ~np.isnan(score["calibration"])
            threshold = find_threshold(score["calibration"][known], correct[known], groups[known], rate, sure)
            results[name] = ThresholdResult(
                threshold=None if threshold is None else float(expit(threshold)),
                calibrated=_calibrated(evidence, name, side, threshold),
                **answered_above(score["test"], right, evidence.groups("test"), threshold),  # type: ignore[arg-type]
            )
        unavoidable = unavoidable_abstention(float(right.mean()), rate)
        rates.append(Rate(error_rate=rate, unavoidable_abstention=unavoidable, **results))  # type: ignore[arg-type]
    curves = {name: _curve(score["test"], right) for name, score in scores.items()}
    return Decisions(
        accuracy=float(right.mean()),
        confidence=settings.error_rate_confidence,
        n_calibration=len(correct),
        n_groups=len(np.unique(groups)),
        best_other=best and f"{ESTIMATORS[best[0]].label}, {best[1]}",  # type: ignore[index]
        rates=rates,
        curves=curves | {"perfect": _curve(right, right)},
    )


def _calibrated(evidence: Evidence, name: str, side: Side, threshold: float | None) -> float | None:
    if threshold is None or evidence.kind in ("isotonic", "histogram"):  # maps with steps make scores equal
        return None
    as_loaded = name == "after"
    calibrator = evidence.calibrator_as_loaded if as_loaded else evidence.fits[side][evidence.kind_of(side)]
    return float(calibrator(np.array([threshold]))[0])


def _curve(score: np.ndarray, right: np.ndarray) -> Curve:
    coverage, risk = risk_coverage(score, right)
    points = np.unique(np.linspace(0, len(risk) - 1, min(POINTS, len(risk))).round().astype(int))
    return Curve(coverage=coverage[points].tolist(), risk=risk[points].tolist())
