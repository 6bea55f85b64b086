"""The headline again, with the grader's own error in its intervals."""

from __future__ import annotations

from typing import Any

from evaluation.evidence import Evidence
from evaluation.grader_error import compared_with_grader_error, counts_of


def grader(evidence: Evidence) -> dict[str, Any] | None:
    """`counts` [2][2] of the doubly graded answers by (first, second) verdict, their agreement, and the metrics before
    and after by what the second grader would have said; None where no sample was graded twice."""
    second = evidence.manifest.get("second_grader")
    if not second or not second["n"]:
        return None
    counts = counts_of(second)
    settings = evidence.config.evaluation
    found = compared_with_grader_error(
        evidence.before("test"),
        evidence.after("test"),
        evidence.correct("test"),
        counts,
        evidence.config.seed,
        settings.bootstrap_samples,
        evidence.groups("test"),
    )
    return {"counts": counts.tolist(), "n": second["n"], "agreement": second["agreement"], **found}
