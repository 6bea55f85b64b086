"""The grader errs too: its error, measured on answers that were graded twice, carried into the intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration_tuning.metrics.bootstrap import FEWEST, Interval, percentile_interval, resamples, units_of
from calibration_tuning.metrics.confidence import ONE_CLASS, check, point_metrics

Array = np.ndarray
SHOWN = ("brier", "auroc", "accuracy")
PRIOR = 0.5
"""Jeffreys' prior: cells of the table that are empty are not impossible."""


def counts_of(second_grader: Mapping[str, Any]) -> Array:
    """[2, 2] numbers of answers by (first, second) verdict, 0 wrong and 1 correct, out of the manifest's summary."""
    n = second_grader["n"]
    agreed, first, second = (
        round(n * second_grader[k]) for k in ("agreement", "correct_by_first", "correct_by_second")
    )
    both_right = (agreed + first + second - n) // 2
    return np.array([[agreed - both_right, second - both_right], [first - both_right, both_right]])


def compared_with_grader_error(
    before: Array,
    after: Array,
    correct: Array,
    tables: Mapping[str, Array],
    graders: Sequence[str],
    seed: int = 0,
    bootstrap_samples: int = 1000,
    groups: Array | None = None,
) -> dict[str, dict[str, Interval]]:
    """`before`, `after` and `difference` of the metrics in `SHOWN` by the correctness that the *second* grader would
    have found, with intervals that hold the uncertainty of questions, of the tables, and of each label.

    `graders` [n] says who graded each answer first; `tables` holds counts [2, 2] by (first, second) verdict for each of
    them that was checked. In every resample of questions the tables are drawn anew from their Dirichlet posteriors, and
    each label from P(second | first) by its grader's. Assumes that a grader errs independently of the confidence.
    Values are means over resamples. Calibration errors are left out: the noise of redrawn labels alone raises them.
    """
    first, truth = check(before, correct)
    second, _ = check(after, correct)
    verdict = (truth >= 0.5).astype(int)
    names = np.array(graders)
    generator = np.random.default_rng(seed)
    draws: dict[str, dict[str, list[float | None]]] = {
        side: {name: [] for name in SHOWN} for side in ("before", "after", "difference")
    }
    units = len(truth) if groups is None else np.asarray(groups)
    for indices in resamples(units, bootstrap_samples, seed):
        labels = truth[indices].copy()
        for name, counts in tables.items():
            graded = names[indices] == name
            right = np.array([generator.beta(row[1] + PRIOR, row[0] + PRIOR) for row in counts])
            labels[graded] = generator.random(int(graded.sum())) < right[verdict[indices[graded]]]
        of_before, of_after = (point_metrics(p[indices], labels, only=SHOWN) for p in (first, second))
        for name in SHOWN:
            b, a = of_before[name], of_after[name]
            draws["before"][name].append(b)
            draws["after"][name].append(a)
            draws["difference"][name].append(None if b is None or a is None else a - b)
    independent = units_of(units)
    return {
        side: {name: _mean_interval(by_metric[name], independent) for name in SHOWN}
        for side, by_metric in draws.items()
    }


def _mean_interval(draws: list[float | None], units: int) -> Interval:
    defined = [draw for draw in draws if draw is not None]
    if not defined:
        return Interval(None, undefined=ONE_CLASS)
    return percentile_interval(float(np.mean(defined)), defined if units >= FEWEST else (), units=units)
