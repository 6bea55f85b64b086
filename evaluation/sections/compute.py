"""What more computing at the time of answering buys: more samples, or more tokens of reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calibration_tuning.metrics.confidence_metrics import confidence_metrics
from calibration_tuning.metrics.cross_fitting import apply
from calibration_tuning.records import GradedAnswer
from evaluation.agreement import majority
from evaluation.evidence import Evidence

SHOWN = ("accuracy", "brier", "ece", "auroc", "mean_confidence")


def curves(evidence: Evidence) -> dict[str, Any] | None:
    """`samples`: the majority answer of 1, 2, 4, ... samples, its share being the confidence. `reasoning`: the answer
    after each budget of reasoning, rated by the mean probability of its tokens and by the tuned query. Each point with
    the mean number of tokens that were generated for an answer. None where neither was measured."""
    found = {"samples": _samples(evidence), "reasoning": _reasoning(evidence)}
    return found if any(found.values()) else None


def _samples(evidence: Evidence) -> list[dict[str, Any]]:
    rows = [
        (row, seen["samples"])
        for row in evidence.splits["test"]
        if (seen := evidence.findings.of("samples", "before", row)) and seen["samples"]
    ]
    if not rows:
        return []
    most = min(len(samples) for _, samples in rows)
    points = []
    for count in [k for k in (1, 2, 4, 8, 16, 32, 64) if k < most] + [most]:
        voted = [majority(row, samples[:count]) for row, samples in rows]
        spent = float(np.mean([sum(s["tokens"] for s in samples[:count]) for _, samples in rows]))
        rated = _rated(evidence, [row for row, _ in rows], *(np.array(v) for v in zip(*voted, strict=True)))
        points.append({"samples": count, "tokens": spent, "n": len(rows), "vote_share": rated})
    return points


def _reasoning(evidence: Evidence) -> list[dict[str, Any]]:
    seen = [(row, evidence.findings.of("reasoning", "after", row)) for row in evidence.splits["test"]]
    rows = [(row, found["budgets"]) for row, found in seen if found]
    points = []
    for number in range(len(rows[0][1]) if rows else 0):
        own = [budgets[number] for _, budgets in rows]
        correct = np.array([one["correct"] for one in own])
        asked = [row for row, _ in rows]
        query = apply(evidence.record.calibrator, np.array([one["query_logit"] for one in own]))
        points.append(
            {
                "budget": own[0]["budget"],
                "tokens": float(np.mean([one["tokens"] for one in own])),
                "n": len(rows),
                "token_probability": _rated(
                    evidence, asked, correct, np.array([one["token_probability"] for one in own])
                ),
                "query": _rated(evidence, asked, correct, query),
            }
        )
    return points


def _rated(
    evidence: Evidence, rows: Sequence[GradedAnswer], correct: np.ndarray, confidence: np.ndarray
) -> dict[str, Any]:
    settings = evidence.config.evaluation
    groups = np.array([row.group for row in rows])
    return confidence_metrics(
        confidence, correct, settings.num_bins, evidence.config.seed, settings.bootstrap_samples, groups, SHOWN
    )
