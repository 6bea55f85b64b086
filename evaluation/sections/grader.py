"""The headline again, with the grader's own error in its intervals."""

from __future__ import annotations

import numpy as np

from calibration_tuning.metrics.grader_error import compared_with_grader_error, counts_of
from evaluation.evidence import Evidence
from evaluation.schema import Grader


def grader(evidence: Evidence) -> Grader | None:
    """The metrics before and after by what the second grader would have said, and by grader the `counts` [2][2] of the
    doubly graded answers by (first, second) verdict. Answers that the second grader graded in the first place keep
    their grade, and so do those of graders of which no answer was graded twice; `covered` is the share of the others.
    None where no sample was graded twice."""
    second = evidence.manifest.get("second_grader")
    if not second or not second["n"]:
        return None
    tables = {name: counts_of(summary) for name, summary in second["by_grader"].items() if summary["n"]}
    graders = [row.grader for row in evidence.splits["test"]]
    settings = evidence.config.evaluation
    sides = compared_with_grader_error(
        evidence.before("test"),
        evidence.after("test"),
        evidence.correct("test"),
        tables,
        graders,
        evidence.config.seed,
        settings.bootstrap_samples,
        evidence.groups("test"),
    )
    return Grader(
        counts={name: table.tolist() for name, table in tables.items()},
        covered=float(np.mean([name in tables for name in graders])),
        n=second["n"],
        agreement=second["agreement"],
        before=sides["before"],
        after=sides["after"],
        difference=sides["difference"],
    )
