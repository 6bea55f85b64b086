"""Subjects, and question sets in and out of the training distribution, side by side."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from evaluation.bootstrap import draws_of, percentile_interval
from evaluation.confidence_metrics import before_and_after, confidence_metrics
from evaluation.evidence import BEFORE, Evidence

SHOWN = ("brier", "ece", "auroc", "accuracy", "mean_confidence")
LEAST = 10
"""Groups with fewer questions are counted, not rated."""


def subjects(evidence: Evidence) -> dict[str, Any]:
    """By source and subject of the test split: `n`, metrics before and after, `gap`: mean confidence minus accuracy.
    `worst`: the subject with the largest gap after tuning, in absolute value, and whether its interval excludes 0."""
    names = np.array([row.topic for row in evidence.splits["test"]])
    table = {name: _rated(evidence, "test", names == name) for name in sorted(set(names))}
    rated = {name: entry["after"]["gap"] for name, entry in table.items() if "after" in entry}
    if not rated:
        return {"table": table, "worst": None}
    worst = max(rated, key=lambda name: abs(rated[name]["value"]))
    gap = rated[worst]
    return {"table": table, "worst": {"name": worst, "clear": not gap["low"] <= 0 <= gap["high"], "gap": gap}}


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
    correct, groups = evidence.correct(split)[own], evidence.groups(split)[own]
    if len(correct) < LEAST:
        return {"n": len(correct), "accuracy": float(correct.mean())}
    settings, seed = evidence.config.evaluation, evidence.config.seed
    shared = (settings.num_bins, seed, settings.bootstrap_samples, groups, SHOWN)
    before, after = evidence.before(split)[own], evidence.after(split)[own]
    found = before_and_after(before, after, correct, *shared)
    for name, confidence in (("before", before), ("after", after)):
        gaps = confidence - correct
        draws = draws_of(partial(_mean, gaps), groups, settings.bootstrap_samples, seed)
        found[name]["gap"] = percentile_interval(float(gaps.mean()), draws["gap"])
    return {"n": len(correct), "accuracy": float(correct.mean()), **found}


def _mean(gaps: np.ndarray, indices: np.ndarray) -> dict[str, float | None]:
    return {"gap": float(gaps[indices].mean())}


def _estimators(evidence: Evidence, split: str, own: np.ndarray) -> dict[str, Any]:
    found = {}
    for side in evidence.scores:
        confidence = evidence.confidence(side, split, evidence.kind)
        there = own & ~np.isnan(confidence)
        if there.sum() >= LEAST and side != BEFORE:
            settings = evidence.config.evaluation
            found["/".join(side)] = confidence_metrics(
                confidence[there],
                evidence.correct(split)[there],
                settings.num_bins,
                evidence.config.seed,
                settings.bootstrap_samples,
                evidence.groups(split)[there],
                ("brier", "auroc"),
            )
    return found
