"""Test answers grouped by how tuning changed their confidence: no longer, still or newly overconfident, and those that
are underconfident."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.evidence import Evidence

SURE = 0.5
"""From here on, a confidence says that the answer is rather right than wrong."""
SHOWN = 6


@dataclass(frozen=True)
class Example:
    question: str
    answer: str
    reference: str
    before: float
    after: float


@dataclass(frozen=True)
class ExampleList:
    title: str
    meaning: str
    kind: str
    """`wrong` or `right`: which answers the list is of."""
    n: int
    total: int
    """All wrong answers, or all right ones."""
    examples: list[Example]


def example_lists(evidence: Evidence) -> list[ExampleList]:
    """The four lists with their counts. Each shows the answers with the clearest change or the clearest confidence."""
    before, after = evidence.before("test"), evidence.after("test")
    right = evidence.correct("test") >= 0.5
    was, now = before >= SURE, after >= SURE

    def listed(title: str, meaning: str, kind: str, members: np.ndarray, clearest: np.ndarray) -> ExampleList:
        places = np.flatnonzero(members)
        shown = places[np.argsort(-clearest[places], kind="stable")][:SHOWN]
        total = int((right if kind == "right" else ~right).sum())
        examples = [_example(evidence, int(i), before, after) for i in shown]
        return ExampleList(title, meaning, kind, len(places), total, examples)

    fixed = "Wrong answers with a confidence of 50% or more before tuning and less than 50% after."
    still = "Wrong answers with a confidence of 50% or more before tuning and after."
    newly = "Wrong answers with a confidence of less than 50% before tuning and 50% or more after."
    under = "Right answers with a confidence of less than 50% after tuning."
    return [
        listed("No longer overconfident", fixed, "wrong", ~right & was & ~now, before - after),
        listed("Still overconfident", still, "wrong", ~right & was & now, after),
        listed("Newly overconfident", newly, "wrong", ~right & ~was & now, after - before),
        listed("Underconfident", under, "right", right & ~now, -after),
    ]


def _example(evidence: Evidence, i: int, before: np.ndarray, after: np.ndarray) -> Example:
    row = evidence.splits["test"][i]
    return Example(row.shown, row.answer, row.references[0], float(before[i]), float(after[i]))
