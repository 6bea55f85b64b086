"""Every confidence on the same questions, before and after tuning, as it is and calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.metrics.calibrators import slope_at_bound
from calibration_tuning.metrics.comparison import holm_corrected
from calibration_tuning.metrics.confidence import MAIN, METRICS
from calibration_tuning.metrics.ranking import auroc
from evaluation.estimators import ESTIMATORS
from evaluation.evidence import Evidence, Side
from evaluation.schema import EstimatorRow, RatedConfidence, State, with_corrected

LEAST = 20
"""Fewer answers with a confidence than this are not worth a row."""
Table = dict[str, EstimatorRow]


def estimators(evidence: Evidence) -> dict[str, Table]:
    """Every confidence, by split and estimator. `against_query` is Holm-corrected over the split's table."""
    splits = [split for split in ("test", "evaluation") if split in evidence.splits]
    return {split: _corrected(_table(evidence, split)) for split in splits}


def unrated(evidence: Evidence) -> dict[str, int] | None:
    """The confidences that too few test answers have, with their numbers of answers. For example, the model wrote no
    confidence that could be read, or there were no choices."""
    counts = {side: int((~np.isnan(scores["test"])).sum()) for side, scores in evidence.scores.items()}
    too_few = {f"{ESTIMATORS[name].label}, {state}": n for (name, state), n in counts.items() if n < LEAST}  # type: ignore[index]
    return too_few or None


def _table(evidence: Evidence, split: str) -> Table:
    states: dict[str, dict[State, RatedConfidence]] = {}
    for side in evidence.scores:
        name, state = side
        if int((~np.isnan(evidence.scores[side][split])).sum()) >= LEAST:
            states.setdefault(name, {})[state] = _rated(evidence, side, split)
    return {
        name: EstimatorRow(label=ESTIMATORS[name].label, family=ESTIMATORS[name].family, states=rated)  # type: ignore[index]
        for name, rated in states.items()
    }


def _rated(evidence: Evidence, side: Side, split: str) -> RatedConfidence:
    scored = ~np.isnan(evidence.scores[side][split])
    n, raw = int(scored.sum()), evidence.rated(evidence.confidence(side, split), split, MAIN, scored)
    calibrated = evidence.confidence(side, split, evidence.kind_of(side))
    if np.isnan(calibrated[scored]).any():  # nothing to fit on
        return RatedConfidence(n=n, raw=raw)
    compared = evidence.compared(evidence.after(split), calibrated, split, MAIN, scored)
    against_query: dict[str, Any] = {} if side == evidence.readout else {"against_query": compared.difference}
    return RatedConfidence(n=n, raw=raw, calibrated=compared.after, **against_query, **_flat(evidence, side))


def _flat(evidence: Evidence, side: Side) -> dict[str, Any]:
    """Why the calibrator makes this confidence nearly constant, where it does."""
    logit, fitted = evidence.scores[side]["calibration"], evidence.fits[side][evidence.kind_of(side)]
    known = ~np.isnan(logit)
    skill = auroc(logit[known], evidence.correct("calibration")[known])
    if skill is None or not slope_at_bound(fitted, logit[known]):
        return {}
    return {"slope_at_bound": skill <= 0.5, "needs_bias": skill > 0.5 and fitted.kind == "temperature"}


def _corrected(table: Table) -> Table:
    sides = [side for row in table.values() for side in row.states.values()]
    differences = [side.against_query["brier"] for side in sides if side.against_query is not None]
    corrected = holm_corrected([(METRICS["brier"], difference) for difference in differences])
    return with_corrected(table, differences, corrected)
