"""Test answers by what tuning did to their confidence: mended, still too sure, newly too sure, wrongly doubted."""

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
    of: int
    """All wrong answers, or all right ones."""
    examples: list[Example]


def example_lists(evidence: Evidence) -> list[ExampleList]:
    """The four lists with their counts; each shows the answers whose confidence says so most clearly."""
    before, after = evidence.before("test"), evidence.after("test")
    right = evidence.correct("test") >= 0.5
    was, now = before >= SURE, after >= SURE

    def made(title: str, meaning: str, kind: str, members: np.ndarray, clearest: np.ndarray) -> ExampleList:
        places = np.flatnonzero(members)
        shown = places[np.argsort(-clearest[places], kind="stable")][:SHOWN]
        of = int((right if kind == "right" else ~right).sum())
        examples = [_example(evidence, int(i), before, after) for i in shown]
        return ExampleList(title, meaning, kind, len(places), of, examples)

    mended = "These were given 50% or more before, and are not now."
    newly = "These were doubted before, and are given 50% or more now."
    return [
        made("Mended", mended, "wrong", ~right & was & ~now, before - after),
        made("Still too sure", "These are given 50% or more, before and now.", "wrong", ~right & was & now, after),
        made("Newly too sure", newly, "wrong", ~right & ~was & now, after - before),
        made("Wrongly doubted", "These are given less than 50% now.", "right", right & ~now, -after),
    ]


def _example(evidence: Evidence, i: int, before: np.ndarray, after: np.ndarray) -> Example:
    row = evidence.splits["test"][i]
    return Example(row.shown, row.answer, row.references[0], float(before[i]), float(after[i]))
