"""Subjects, and question sets in and out of the training distribution, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.metrics.bootstrap import FEWEST, LEVEL, Interval, mean_interval
from evaluation.evidence import Evidence
from evaluation.schema import GroupRow, Numbers, SourceRow, State, Subjects, WorstSubject

SHOWN = ("brier", "ece", "auroc", "accuracy", "mean_confidence")


def subjects(evidence: Evidence) -> Subjects:
    """Metrics by source and subject of the test split.

    `worst` is the subject with the largest gap after tuning (|mean confidence - accuracy|) among subjects with at least
    ten groups of questions. Its interval holds for all these subjects at once (Bonferroni).
    """
    names = np.array([row.topic for row in evidence.splits["test"]])
    table = {name: GroupRow(**_rated(evidence, "test", names == name)) for name in sorted(set(names))}
    gaps = {name: row.after["gap"].value or 0.0 for name, row in table.items() if row.after is not None}
    if not gaps:
        return Subjects(table=table, worst=None)
    worst = max(gaps, key=lambda name: abs(gaps[name]))
    gap = _gap(evidence, "test", names == worst, "after", 1 - (1 - LEVEL) / len(gaps))
    clear = gap.low is not None and gap.high is not None and not gap.low <= 0 <= gap.high
    return Subjects(table=table, worst=WorstSubject(name=worst, rated=len(gaps), clear=clear, gap=gap))


def sources(evidence: Evidence) -> dict[str, SourceRow]:
    """Metrics by question set before and after, with the paired difference, and those of every confidence there."""
    table = {}
    for split in ("test", "evaluation"):
        names = np.array([row.source for row in evidence.splits.get(split, ())])
        for name in sorted(set(names)):
            rows = names == name
            parts = _rated(evidence, split, rows)
            if "after" in parts:
                parts["estimators"] = _estimators(evidence, split, rows)
            table[name] = SourceRow(in_domain=split == "test", **parts)
    return table


def _rated(evidence: Evidence, split: str, rows: np.ndarray) -> dict[str, Any]:
    """The fields of `GroupRow` for the answers where `rows` [n] is true."""
    counted = {"n": int(rows.sum()), "accuracy": float(evidence.correct(split)[rows].mean())}
    if len(np.unique(evidence.groups(split)[rows])) < FEWEST:
        return counted
    compared = evidence.compared(evidence.before(split), evidence.after(split), split, SHOWN, rows)
    before = compared.before | {"gap": _gap(evidence, split, rows, "before")}
    after = compared.after | {"gap": _gap(evidence, split, rows, "after")}
    return counted | {"before": before, "after": after, "difference": compared.difference}


def _gap(evidence: Evidence, split: str, rows: np.ndarray, state: State, level: float = LEVEL) -> Interval:
    confidence = evidence.before(split) if state == "before" else evidence.after(split)
    gaps = (confidence - evidence.correct(split))[rows]
    settings, groups = evidence.config.evaluation, evidence.groups(split)[rows]
    return mean_interval(gaps, groups, settings.bootstrap_samples, evidence.config.seed, level)


def _estimators(evidence: Evidence, split: str, rows: np.ndarray) -> dict[str, Numbers]:
    table = {}
    for side in evidence.scores:
        confidence = evidence.confidence(side, split, evidence.kind_of(side))
        scored = rows & ~np.isnan(confidence)
        if len(np.unique(evidence.groups(split)[scored])) >= FEWEST:
            table["/".join(side)] = evidence.rated(confidence, split, ("brier", "auroc"), scored)
    return table
