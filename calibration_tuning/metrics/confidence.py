"""How good are n confidences in [0, 1], given whether each answer was correct?

A new metric is a function `(confidence [n], correct [n], num_bins) -> float | None`, one that takes many resamples at
once (`metrics.draws`), and a line in `METRICS`. A number that the data cannot define is None with a reason, never made
up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calibration_tuning.metrics import draws, smooth_draws
from calibration_tuning.metrics.bootstrap import FEWEST, Difference, Interval, resampled_weights, units_of
from calibration_tuning.metrics.calibrated_labels import labels_if_calibrated
from calibration_tuning.metrics.calibration_error import ace, debiased_ece, ece, mce, smooth_ece, sparse_bins
from calibration_tuning.metrics.comparison import Quantity, Resampled, compared, interval
from calibration_tuning.metrics.draws import Resamples, in_blocks
from calibration_tuning.metrics.ranking import auprc, aurc, auroc, auroc_within, prr
from calibration_tuning.metrics.scoring_rules import brier, brier_parts, brier_skill, nll

Array = np.ndarray
Values = Array | Sequence[float]
SIMULATED = 5
"""One set of labels is simulated for every five resamples, and at least `LEAST_SIMULATED` sets, to measure what chance
alone would score."""
LEAST_SIMULATED = 100


@dataclass(frozen=True)
class Metric(Quantity):
    compute: Callable[[Array, Array, int], float | None] | None = field(default=None, kw_only=True)
    on_draws: Callable[[Resamples], Array] = field(kw_only=True)
    """The same metric [B] on each of B resamples or simulated labels; NaN where it is undefined."""
    binned: bool = False
    """True for metrics over bins of equal width, which may hold few answers."""
    of_pairs: bool = False
    """True for metrics of pairs of a right and a wrong answer: the rarer class limits how well they are known."""
    compute_within: Callable[[Array, Array, Array], float | None] | None = None
    """Replaces `compute` in a metric that needs the answers' subjects [n] instead of a number of bins."""

    def value(self, confidence: Array, correct: Array, num_bins: int, subjects: Array | None) -> float | None:
        if self.compute is not None:
            return self.compute(confidence, correct, num_bins)
        if self.compute_within is None or subjects is None:
            return None
        return self.compute_within(confidence, correct, subjects)


ONE_CLASS = "undefined: all answers are correct, or all are wrong"
EQUAL = "undefined: all answers are equally correct"
FEW = "undefined: fewer examples than bins"
NO_SUBJECT = "undefined: no subject has both classes, or none are given"
NO_RELPLOT = "undefined: needs relplot (pip install relplot)"

METRICS: dict[str, Metric] = {
    "brier": Metric("Brier score", compute=lambda p, c, m: brier(p, c), on_draws=draws.brier),
    "brier_skill": Metric(
        "Brier skill over the base rate",
        1,
        undefined=ONE_CLASS,
        compute=lambda p, c, m: brier_skill(p, c),
        on_draws=draws.brier_skill,
    ),
    "nll": Metric("NLL (nats)", compute=lambda p, c, m: nll(p, c), on_draws=draws.nll),
    "ece": Metric("ECE", calibration_error=True, binned=True, undefined=FEW, compute=ece, on_draws=draws.ece),
    "ace": Metric("ACE (equal mass)", calibration_error=True, undefined=FEW, compute=ace, on_draws=draws.ace),
    "debiased_ece": Metric(
        "ECE, debiased",
        calibration_error=True,
        binned=True,
        undefined=FEW,
        compute=debiased_ece,
        on_draws=draws.debiased_ece,
    ),
    "smooth_ece": Metric(
        "Smooth ECE",
        calibration_error=True,
        undefined=NO_RELPLOT,
        compute=lambda p, c, m: smooth_ece(p, c),
        on_draws=smooth_draws.smooth_ece,
    ),
    "mce": Metric(
        "MCE (worst bin)", calibration_error=True, binned=True, undefined=FEW, compute=mce, on_draws=draws.mce
    ),
    "auroc": Metric(
        "AUROC",
        1,
        share=True,
        of_pairs=True,
        undefined=ONE_CLASS,
        compute=lambda p, c, m: auroc(p, c),
        on_draws=draws.auroc,
    ),
    "auroc_within_subjects": Metric(
        "AUROC within subjects",
        1,
        share=True,
        of_pairs=True,
        undefined=NO_SUBJECT,
        compute_within=lambda p, c, s: auroc_within(p, c, s),
        on_draws=draws.auroc_within,
    ),
    "auprc": Metric("AUPRC", 1, undefined=ONE_CLASS, compute=lambda p, c, m: auprc(p, c), on_draws=draws.auprc),
    "aurc": Metric("AURC (risk-coverage)", compute=lambda p, c, m: aurc(p, c), on_draws=draws.aurc),
    "prr": Metric(
        "PRR (prediction rejection)", 1, undefined=EQUAL, compute=lambda p, c, m: prr(p, c), on_draws=draws.prr
    ),
    "brier_reliability": Metric(
        "Brier: reliability",
        calibration_error=True,
        binned=True,
        compute=lambda p, c, m: brier_parts(p, c, m)[0],
        on_draws=lambda d: draws.brier_parts(d)[0],
    ),
    "brier_resolution": Metric(  # without a verdict: noise raises it, and AUROC and Brier judge the same
        "Brier: resolution",
        0,
        raised_by_noise=True,
        binned=True,
        compute=lambda p, c, m: brier_parts(p, c, m)[1],
        on_draws=lambda d: draws.brier_parts(d)[1],
    ),
    "brier_uncertainty": Metric(
        "Brier: uncertainty",
        0,
        compute=lambda p, c, m: brier_parts(p, c, m)[2],
        on_draws=lambda d: draws.brier_parts(d)[2],
    ),
    "mean_confidence": Metric(
        "Mean confidence", 0, compute=lambda p, c, m: float(np.mean(p)), on_draws=lambda d: d.mean(d.confidence)
    ),
    "accuracy": Metric(
        "Accuracy of the answers",
        0,
        share=True,
        compute=lambda p, c, m: float(np.mean(c)),
        on_draws=lambda d: d.mean(d.correct),
    ),
}
MAIN = ("brier", "nll", "ece", "ace", "auroc", "auroc_within_subjects", "aurc", "prr")
"""What is shown where many confidences stand side by side."""


@dataclass(frozen=True)
class BeforeAfter:
    """Metrics of two sides on the same questions, and their paired differences, by the metrics' names."""

    before: dict[str, Interval]
    after: dict[str, Interval]
    difference: dict[str, Difference]


def point_metrics(
    confidence: Array,
    correct: Array,
    num_bins: int = 10,
    only: Collection[str] = tuple(METRICS),
    subjects: Array | None = None,
) -> dict[str, float | None]:
    """The metrics without intervals. `confidence` [n] and `correct` [n] in [0, 1]; None where one is undefined.

    `subjects` [n] are labels, for `auroc_within_subjects`.
    """
    return {name: METRICS[name].value(confidence, correct, num_bins, subjects) for name in only}


def confidence_metrics(
    confidence: Values,
    correct: Values,
    num_bins: int = 10,
    seed: int = 0,
    bootstrap_samples: int = 1000,
    groups: Array | Sequence[Any] | None = None,
    only: Collection[str] = tuple(METRICS),
    subjects: Array | Sequence[Any] | None = None,
) -> dict[str, Interval]:
    """Every metric of `METRICS`, each with a 95% bootstrap interval.

    With fewer than ten groups no metric has an interval. AUROC has none, either, with fewer than ten groups that hold
    an answer of the rarer class; within subjects, only answers in subjects that have both classes count for that.

    confidence: [n], the probability in [0, 1] that each answer is correct.
    correct: [n], whether it is, in [0, 1]; a fraction is part of a mark.
    num_bins: of the binned calibration errors, at least 2.
    groups: [n] labels of examples that belong together and are resampled together; each to itself by default.
    only: names of the metrics that are wanted.
    subjects: [n] labels; without them `auroc_within_subjects` is undefined.

    Raises ValueError for lists of other shapes or values, for NaN and for an empty input.
    """
    settings = (num_bins, seed, bootstrap_samples, groups, only, subjects)
    return with_intervals(resampled_metrics(confidence, correct, *settings))


def before_and_after(
    before: Values,
    after: Values,
    correct: Values,
    num_bins: int = 10,
    seed: int = 0,
    bootstrap_samples: int = 1000,
    groups: Array | Sequence[Any] | None = None,
    only: Collection[str] = tuple(METRICS),
    correct_after: Values | None = None,
    subjects: Array | Sequence[Any] | None = None,
) -> BeforeAfter:
    """Metrics of two confidences in the same n answers, as by `confidence_metrics`, and their paired differences.

    A difference is after - before on the same resamples. `correct_after` [n] is for two models that gave
    different answers. `comparison.holm_corrected` corrects p-values and verdicts of a whole table. Raises
    ValueError as `confidence_metrics` does, and where the two have different lengths.
    """
    first, _ = check(before, correct, num_bins)
    second, other_truth = check(after, correct if correct_after is None else correct_after, num_bins)
    if len(first) != len(second):
        raise ValueError(f"before has {len(first)} confidences, after {len(second)}: not of the same questions")
    settings = (num_bins, seed, bootstrap_samples, groups, only, subjects)
    return side_by_side(resampled_metrics(first, correct, *settings), resampled_metrics(second, other_truth, *settings))


def paired_difference(
    before: Values,
    after: Values,
    correct: Values,
    num_bins: int = 10,
    seed: int = 0,
    bootstrap_samples: int = 1000,
    groups: Array | Sequence[Any] | None = None,
    only: Collection[str] = tuple(METRICS),
    correct_after: Values | None = None,
    subjects: Array | Sequence[Any] | None = None,
) -> dict[str, Difference]:
    """The `difference` of `before_and_after`, which takes the same arguments and raises the same errors."""
    settings = (num_bins, seed, bootstrap_samples, groups, only, correct_after, subjects)
    return before_and_after(before, after, correct, *settings).difference


def with_intervals(metrics: Mapping[str, Resampled]) -> dict[str, Interval]:
    """Return each metric with its 95% interval, by name."""
    return {name: interval(METRICS[name], number) for name, number in metrics.items()}


def side_by_side(before: Mapping[str, Resampled], after: Mapping[str, Resampled]) -> BeforeAfter:
    """Both sides with their paired differences, where they were resampled alike."""
    difference = {name: compared(METRICS[name], before[name], after[name]) for name in before}
    return BeforeAfter(with_intervals(before), with_intervals(after), difference)


def resampled_metrics(
    confidence: Values,
    correct: Values,
    num_bins: int = 10,
    seed: int = 0,
    bootstrap_samples: int = 1000,
    groups: Array | Sequence[Any] | None = None,
    only: Collection[str] = tuple(METRICS),
    subjects: Array | Sequence[Any] | None = None,
) -> dict[str, Resampled]:
    """What intervals and differences are made of: each metric's value, and its values on resamples.

    Arguments and errors are those of `confidence_metrics`. Resamples depend on `groups` and `seed` alone, so that two
    sides are paired.
    """
    p, c = check(confidence, correct, num_bins)
    check_labels("groups", groups, len(p))
    units = len(p) if groups is None else np.asarray(groups)
    return _resampled(p, c, units, num_bins, seed, bootstrap_samples, only, _labels(subjects, len(p)))


def check(confidence: Values, correct: Values, num_bins: int = 10) -> tuple[Array, Array]:
    """Both as float64 arrays [n]. Raises ValueError where they are no lists of n numbers in [0, 1]."""
    p, c = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if num_bins < 2:
        raise ValueError(f"num_bins is {num_bins}; at least 2 bins are needed")
    if p.ndim != 1 or p.shape != c.shape:
        raise ValueError(f"confidence {p.shape} and correct {c.shape} must be two lists of the same length")
    if not len(p):
        raise ValueError("no examples: calibration of nothing is undefined")
    for name, values in (("confidence", p), ("correct", c)):
        bad = ~((values >= 0) & (values <= 1))
        if bad.any():
            where = int(np.flatnonzero(bad)[0])
            raise ValueError(f"{name}[{where}] is {values[where]}, outside [0, 1] ({int(bad.sum())} such values)")
    return p, c


def check_labels(name: str, labels: Array | Sequence[Any] | None, n: int) -> None:
    """Raises ValueError unless there are n, or none at all."""
    if labels is not None and len(labels) != n:
        raise ValueError(f"{n} confidences, but {len(labels)} {name}; give each its own")


def _labels(subjects: Array | Sequence[Any] | None, n: int) -> Array | None:
    """The labels as whole numbers, which sort faster than names on every resample. ValueError unless there are n."""
    check_labels("subjects", subjects, n)
    if subjects is None:
        return None
    return np.unique(np.asarray(subjects), return_inverse=True)[1]


def _resampled(
    p: Array,
    c: Array,
    units: Array | int,
    num_bins: int,
    seed: int,
    count: int,
    only: Collection[str],
    subjects: Array | None,
) -> dict[str, Resampled]:
    values = point_metrics(p, c, num_bins, only, subjects)
    independent = units_of(units)
    defined = [name for name in only if values[name] is not None]
    weights = resampled_weights(units, count if independent >= FEWEST else 0, seed)
    of_data: dict[str, Any] = {}
    on_resamples = _on(defined, in_blocks(weights, lambda rows: Resamples(p, c, rows, num_bins, subjects, of_data)))
    if_calibrated: dict[str, Array] = {}
    if errors := [name for name in defined if METRICS[name].calibration_error]:
        labels = labels_if_calibrated(p, c, units, max(LEAST_SIMULATED, count // SIMULATED), seed)
        of_p: dict[str, Any] = {}
        simulated = in_blocks(labels, lambda rows: Resamples(p, rows, np.ones_like(rows), num_bins, None, of_p))
        if_calibrated = _on(errors, simulated)
    sparse, known = sparse_bins(p, num_bins), dict.fromkeys(only, independent)
    for name in defined:
        if METRICS[name].of_pairs:
            known[name] = units_of_rarer_class(c, units, subjects if METRICS[name].compute_within else None)
    return {
        name: Resampled(
            values[name],
            on_resamples.get(name, ()) if known[name] >= FEWEST else (),
            if_calibrated.get(name, ()),
            known[name],
            sparse if METRICS[name].binned else None,
        )
        for name in only
    }


def _on(names: Sequence[str], blocks: Iterable[Resamples]) -> dict[str, Array]:
    """Each metric on every row of the blocks, NaN where a row does not define it; nothing without blocks."""
    parts = [{name: METRICS[name].on_draws(block) for name in names} for block in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in names} if parts else {}


def units_of_rarer_class(correct: Array, groups: Array | int, subjects: Array | None = None) -> int:
    """The number of groups that hold an answer of the rarer class. How well AUROC is known depends on this number
    alone.

    `correct` is [n] in [0, 1]; a part mark counts in part for each class, and a group at most once. `groups` are labels
    [n], or n if each answer is its own group. With `subjects` (whole numbers [n]) only answers in subjects that have
    both classes count, as no others are compared. 0 if there is a single class.
    """
    labels = np.arange(groups) if isinstance(groups, int) else np.unique(groups, return_inverse=True)[1]
    right, wrong = correct, 1 - correct
    if subjects is not None:
        is_mixed = (np.bincount(subjects, right) * np.bincount(subjects, wrong) > 0)[subjects]
        right, wrong = right * is_mixed, wrong * is_mixed
    units_by_class = (np.minimum(np.bincount(labels, side), 1).sum() for side in (right, wrong))
    return int(min(units_by_class) + 1e-9)  # part marks that add up to a whole number do so but for rounding
