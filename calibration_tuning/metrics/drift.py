"""Has calibration drifted since the evaluation? A test of a stream of labelled answers, to be looked at any time.

The residual of an answer is `correct` - `confidence`. In a bin of confidences, D is its mean now minus its mean at the
evaluation. Without drift D is normal around 0 with the sum V of both variances. With drift, suppose it to be normal
around 0 with the variance V + 0.1^2 (`SHIFT`). The ratio of the two densities is a Bayes factor in which the common
mean of both has been integrated out. It is a test martingale in the number of answers, so by Ville's inequality it
exceeds 1 / rate at any time with probability `rate` at most (Robbins 1970; for the common mean: Hendriksen, de Heide
and Grünwald 2021). Looking after every answer therefore costs no correction.

Two such factors are averaged, which keeps the guarantee: one of all answers together (calibration in the large), and
one of five bins that had equally many answers at the evaluation (the shape). The guarantee is asymptotic: a bin takes
part once five of its answers are expected to go against their confidence (be wrong where it is above 0.5, right where
it is below), if confidences are exactly right; so must five have been at the evaluation. Confidences near 0 or 1 would
never get there. Of n answers of the evaluation, none of which went against its confidence, up to 5 / n may be expected
to (with 99% certainty), so at least that share of a bin, and at least 1% (`SUREST`), is expected to, and the variance
is at least that of such a share.

An e-value depends on the answers up to its own alone, those of a group so far being one unit. Later answers therefore
never take back an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from calibration_tuning.metrics.confidence import Values, check

Array = np.ndarray
SHIFT = 0.1
"""Standard deviation of a drift's size under the alternative: ten points of probability."""
BINS = 5
EXPECTED = 5.0
"""Least number of answers of a bin that must be expected to go against their confidence."""
SUREST = 0.01
"""Least share of the answers of a bin that is expected to go against their confidence, however sure they are."""
FEWEST_GROUPS = 50
"""Groups in a bin without which the variance between them is not known well enough."""
ABSENT = 1e9
"""Variance of a bin that does not take part: its factor is 1 then."""


@dataclass(frozen=True)
class BinDrift:
    """Answers whose confidence is in [low, high); the last bin holds 1."""

    low: float
    high: float
    then: int
    """Answers at the evaluation."""
    now: int
    gap_then: float | None
    """Accuracy minus mean confidence, in [-1, 1]: negative where answers are right less often than the model says.
    None without answers."""
    gap_now: float | None


@dataclass(frozen=True)
class Drift:
    """What `calibration_drift` says of a stream of answers."""

    rate: float
    """At most this share of models without drift ever raises an alarm, at however many looks."""
    e_value: float
    """Evidence for drift after the last answer; 1 is none."""
    largest: float
    """The largest e-value so far. The alarm is at 1 / `rate`."""
    alarm_at: int | None
    """How many answers, in order, had been seen when the alarm was raised; None without an alarm."""
    tested_from: int | None
    """How many answers it took until the test could begin; None where it could not, so that nothing is known."""
    evaluation_suffices: bool
    """False where the evaluation has fewer than ten answers, or fewer than 50 groups of several answers. The test then
    never begins."""
    gap_then: float
    """Accuracy minus mean confidence at the evaluation; 0 where there is none to compare with."""
    gap_now: float
    visible: float | None
    """A common shift of less than this could not have raised the alarm by now. None before the test could begin."""
    bins: tuple[BinDrift, ...]

    @property
    def has_drifted(self) -> bool:
        return self.alarm_at is not None


@dataclass(frozen=True)
class _Sums:
    """Sums over the first t answers, for each t. A unit is an answer, or the answers of a group so far."""

    units: Array
    """[t] units so far."""
    counts: Array
    """[t, B] answers."""
    residuals: Array
    """[t, B]"""
    chance: Array
    """[t, B] sums of p (1 - p): the variance of calibrated labels that are 0 or 1, the largest of any in [0, 1]."""
    rarer: Array
    """[t, B] units that are expected to go against their confidence."""
    present: Array
    """[t, B] units that have answers in the bin."""
    rr: Array
    """[t, B, B] products of a unit's sums of residuals, summed over units; `rm` with counts, `mm` of counts."""
    rm: Array
    mm: Array


def calibration_drift(
    confidence: Values,
    correct: Values,
    then: tuple[Values, Values] | None = None,
    groups: Sequence[Any] | None = None,
    groups_then: Sequence[Any] | None = None,
    rate: float = 0.05,
) -> Drift:
    """Test for drift of the calibration of answers, [n] in the order in which their labels came, since an evaluation.

    confidence, correct: [n], in [0, 1], as for `confidence_metrics`.
    then: (confidence, correct) at the evaluation; without it the test is against confidences that are exactly right.
    groups, groups_then: labels of answers that are right or wrong together. A group counts once, by its answers so far.
    With `groups`, 50 of them are needed in a bin, even if each has a single answer.
    rate: the share of models without drift that may raise an alarm, over all looks.

    The result for the first answers of a stream is the same whatever comes later: an alarm stays raised as long as
    new answers are appended. An answer whose label comes late must therefore stand where its label came, not where it
    was asked. Confidences of exactly 0 or 1 are tested, too, as if at least 1% of them were expected to be off.

    Raises ValueError for lists of other shapes or values, for NaN and for an empty input.
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate is {rate}; it must be between 0 and 1")
    now, before = check(confidence, correct), None if then is None else check(*then)
    units = _units(groups, len(now[0]))
    old = None if before is None else (*before, _units(groups_then, len(before[0])))
    edges = np.linspace(0, 1, BINS + 1) if before is None else _edges(before[0])
    overall, parts = (_factors((*now, units), old, ends, groups is not None) for ends in (np.array([0.0, 1.0]), edges))
    e_values = (overall.factors + parts.factors) / 2
    alarms = np.flatnonzero(e_values >= 1 / rate)
    began = np.flatnonzero(overall.variances[:, 0] < ABSENT)
    return Drift(
        rate=rate,
        e_value=float(e_values[-1]),
        largest=float(max(1.0, e_values.max())),
        alarm_at=int(alarms[0]) + 1 if len(alarms) else None,
        tested_from=int(began[0]) + 1 if len(began) else None,
        evaluation_suffices=overall.evaluation_suffices,
        gap_then=0.0 if before is None else float(np.mean(before[1] - before[0])),
        gap_now=float(np.mean(now[1] - now[0])),
        visible=_visible(float(overall.variances[-1, 0]), rate) if len(began) else None,
        bins=_bins(now, before, edges),
    )


@dataclass(frozen=True)
class _Factors:
    factors: Array
    """[t]"""
    variances: Array
    """[t, B] of the differences; `ABSENT` where a bin does not take part."""
    evaluation_suffices: bool
    """In every bin."""


Answers = tuple[Array, Array, Array]
"""Confidences, correctness and numbers of units, [n] each."""


def _factors(now: Answers, before: Answers | None, edges: Array, has_groups: bool) -> _Factors:
    """The Bayes factor for drift after each answer, over the bins between `edges`."""
    sums, suffices = _sums(*now, edges), True
    if before is None:
        means, covariance, takes_part = _moments(sums, SUREST, has_groups)
    else:
        old = _sums(*before, edges)
        surest = np.clip(EXPECTED / np.maximum(old.present[-1], 1), SUREST, 0.5)
        means, covariance, takes_part = _moments(sums, surest, has_groups)
        of_old = _moments(old, surest, len(before[0]) > old.units[-1])
        old_means, old_covariance, has_enough = (values[-1:] for values in of_old)
        means, covariance, takes_part = means - old_means, covariance + old_covariance, takes_part & has_enough
        suffices = bool(has_enough.all())
    means = np.where(takes_part, means, 0.0)
    covariance = np.where(takes_part[:, :, None] & takes_part[:, None, :], covariance, 0.0)
    diagonal = np.arange(covariance.shape[1])
    covariance[:, diagonal, diagonal] = np.where(takes_part, covariance[:, diagonal, diagonal], ABSENT)
    wider = covariance + SHIFT**2 * np.eye(len(diagonal))
    distance = _squared(means, covariance) - _squared(means, wider)
    log_factor = (np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(wider)[1] + distance) / 2
    log_factor = np.where(takes_part.any(1), log_factor, 0.0)
    return _Factors(np.exp(np.minimum(log_factor, 700.0)), covariance[:, diagonal, diagonal], suffices)


def _sums(confidence: Array, correct: Array, units: Array, edges: Array) -> _Sums:
    bins = len(edges) - 1
    inside = np.eye(bins)[np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1)]
    by_answer = (np.ones(len(units)), correct - confidence, np.minimum(confidence, 1 - confidence))
    m, r, against = (_of_unit(inside * values[:, None], units) for values in by_answer)

    def total(values: Array) -> Array:
        return np.cumsum(values[1] - values[0], axis=0)

    return _Sums(
        units=np.cumsum(m[0].sum(1) == 0),
        counts=total(m),
        residuals=total(r),
        chance=np.cumsum(inside * (confidence * (1 - confidence))[:, None], axis=0),
        rarer=total(against / np.maximum(m, 1)),
        present=total(np.minimum(m, 1)),
        rr=total(r[..., :, None] * r[..., None, :]),
        rm=total(r[..., :, None] * m[..., None, :]),
        mm=total(m[..., :, None] * m[..., None, :]),
    )


def _of_unit(values: Array, units: Array) -> Array:
    """[2, n, B]: of each answer, the sums of `values` [n, B] over the earlier answers of its unit; and with itself."""
    order = np.argsort(units, kind="stable")
    earlier = np.cumsum(values[order], axis=0) - values[order]
    so_far = np.empty_like(values)
    so_far[order] = earlier - earlier[np.searchsorted(units[order], units[order])]
    return np.stack([so_far, so_far + values])


def _moments(sums: _Sums, surest: Array | float, has_groups: bool) -> tuple[Array, Array, Array]:
    """Mean residuals [t, B], their covariance [t, B, B] over units, and which bins have enough answers [t, B].

    The covariance is linearised, as for ratios. A variance is never below that of calibrated labels that are 0 or 1,
    nor below that of a share `surest` [B]: a few answers that are all right would vary too little.
    """
    n = np.maximum(sums.counts, 1.0)
    means = sums.residuals / n
    cross = means[:, None, :] * sums.rm
    centred = sums.rr - cross - cross.transpose(0, 2, 1) + means[:, :, None] * means[:, None, :] * sums.mm
    correction = sums.units / np.maximum(sums.units - 1, 1)
    covariance = centred / (n[:, :, None] * n[:, None, :]) * correction[:, None, None]
    diagonal = np.arange(n.shape[1])
    least = np.maximum(sums.chance / n, surest * (1 - surest)) / n
    covariance[:, diagonal, diagonal] = np.maximum(covariance[:, diagonal, diagonal], least)
    rarer = np.maximum(sums.rarer, surest * sums.present) + 1e-9
    enough = (rarer >= EXPECTED) & (sums.present >= (FEWEST_GROUPS if has_groups else 1))
    return means, covariance + 1e-12 * np.eye(n.shape[1]), np.logical_or.accumulate(enough, axis=0)


def _squared(means: Array, covariance: Array) -> Array:
    """means' covariance^-1 means, [t]."""
    return (means * np.linalg.solve(covariance, means[:, :, None])[:, :, 0]).sum(1)


def _visible(variance: float, rate: float) -> float:
    """The smallest |D| of all answers together by which the alarm would be raised now, if the bins say nothing."""
    share = SHIFT**2 / (variance + SHIFT**2)
    log_needed = np.log(2 / rate - 1) + np.log((variance + SHIFT**2) / variance) / 2
    return float(np.sqrt(2 * variance * log_needed / share))


def _units(groups: Sequence[Any] | None, n: int) -> Array:
    """Number of each answer's unit [n]."""
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ValueError(f"{n} confidences, but {len(groups)} groups; give each its group")
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in groups])


def _edges(confidence: Array) -> Array:
    """Edges of bins with equally many of these confidences. There are fewer bins if many confidences are equal. Many
    confidences of exactly 0 or 1 get a separate bin."""
    inner = np.quantile(confidence, np.arange(1, BINS) / BINS)
    return np.array([0.0, *np.unique(np.where(inner > 0, inner, np.nextafter(0, 1))), 1.0])


def _bins(now: tuple[Array, Array], before: tuple[Array, Array] | None, edges: Array) -> tuple[BinDrift, ...]:
    rows = []
    for number, (low, high) in enumerate(pairwise(edges)):
        gaps: list[tuple[int, float | None]] = []
        for confidence, correct in (before or (np.zeros(0), np.zeros(0)), now):
            inside = (confidence >= low) & ((confidence < high) | (number == len(edges) - 2))
            n = int(inside.sum())
            gaps.append((n, float(np.mean((correct - confidence)[inside])) if n else None))
        (then, gap_then), (count, gap_now) = gaps
        rows.append(BinDrift(float(low), float(high), then, count, gap_then, gap_now))
    return tuple(rows)
