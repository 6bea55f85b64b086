"""Subjects, and question sets in and out of the training distribution, side by side."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from calibration_tuning.metrics.bootstrap import FEWEST, LEVEL, draws_of, percentile_interval
from evaluation.evidence import Evidence

SHOWN = ("brier", "ece", "auroc", "accuracy", "mean_confidence")


def subjects(evidence: Evidence) -> dict[str, Any]:
    """By source and subject of the test split: `n`, metrics before and after, `gap`: mean confidence minus accuracy.

    `worst`: the subject with the largest gap after tuning, in absolute value, of those with at least ten groups of
    questions (`rated` of them); its interval is wide enough to hold for all of these at once (Bonferroni), and `clear`
    says whether it excludes 0."""
    names = np.array([row.topic for row in evidence.splits["test"]])
    table = {name: _rated(evidence, "test", names == name) for name in sorted(set(names))}
    gaps = {name: entry["after"]["gap"]["value"] for name, entry in table.items() if "after" in entry}
    if not gaps:
        return {"table": table, "worst": None}
    worst = max(gaps, key=lambda name: abs(gaps[name]))
    gap = _gap(evidence, "test", names == worst, "after", 1 - (1 - LEVEL) / len(gaps))
    clear = gap["low"] is not None and not gap["low"] <= 0 <= gap["high"]
    return {"table": table, "worst": {"name": worst, "rated": len(gaps), "clear": clear, "gap": gap}}


def sources(evidence: Evidence) -> dict[str, Any]:
    """By question set, `in_domain` (its other questions were trained on) or not: metrics before and after with the
    paired difference, and every confidence's Brier score and AUROC there, with calibrators fitted at home."""
    found = {}
    for split in ("test", "evaluation"):
        names = np.array([row.source for row in evidence.splits.get(split, ())])
        for name in sorted(set(names)):
            own = names == name
            entry = {"in_domain": split == "test", **_rated(evidence, split, own)}
            if "after" in entry:
                entry["estimators"] = _estimators(evidence, split, own)
            found[name] = entry
    return found


def _rated(evidence: Evidence, split: str, own: np.ndarray) -> dict[str, Any]:
    counted = {"n": int(own.sum()), "accuracy": float(evidence.correct(split)[own].mean())}
    if len(np.unique(evidence.groups(split)[own])) < FEWEST:
        return counted
    found = evidence.compared(evidence.before(split), evidence.after(split), split, SHOWN, own)
    for side in ("before", "after"):
        found[side]["gap"] = _gap(evidence, split, own, side)
    return counted | found


def _gap(evidence: Evidence, split: str, own: np.ndarray, side: str, level: float = LEVEL) -> dict[str, Any]:
    confidence = evidence.before(split) if side == "before" else evidence.after(split)
    gaps = (confidence - evidence.correct(split))[own]
    settings, groups = evidence.config.evaluation, evidence.groups(split)[own]
    draws = draws_of(partial(_mean, gaps), groups, settings.bootstrap_samples, evidence.config.seed)
    return percentile_interval(float(gaps.mean()), draws.get("gap", ()), level)


def _mean(gaps: np.ndarray, indices: np.ndarray) -> dict[str, float | None]:
    return {"gap": float(gaps[indices].mean())}


def _estimators(evidence: Evidence, split: str, own: np.ndarray) -> dict[str, Any]:
    found = {}
    for side in evidence.scores:
        confidence = evidence.confidence(side, split, evidence.kind)
        there = own & ~np.isnan(confidence)
        if len(np.unique(evidence.groups(split)[there])) >= FEWEST:
            found["/".join(side)] = evidence.rated(confidence, split, ("brier", "auroc"), there)
    return found
