"""Bootstrap over questions: intervals, p-values of paired differences, and Holm's correction over a table.

The same resamples serve every metric and both sides of a comparison, so differences are paired. Questions of one group
(one country, one passage) are drawn together, because their answers are right or wrong together. Fewer than ten groups
say nothing about others like them: there are no intervals then.

There are four kinds of interval. Means (Brier, NLL), AURC and PRR take percentiles of the resampled values.
Shares (accuracy, AUROC, overall and in subjects) take Wilson's interval with the resamples' variance. Resolution and
calibration errors are raised by noise, and a resample has the noise twice, so percentiles lie beside the truth (for the
ECE of a calibrated model at n = 500 they never contain it): see `bias_corrected_interval` and `error_interval`. A
bootstrap of few groups is too narrow by itself, so all take more extreme percentiles, and p-values a t distribution.
docs/evaluation.md shows how often intervals contain the truth (`python -m benchmarks coverage`, `python -m benchmarks
interval_coverage`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit  # scipy.stats takes as long to import as all the rest

Array = np.ndarray
Point = Mapping[str, float | None]
LEVEL = 0.95
ResampledValues = Array | Sequence[float | None]
"""A number's values on resamples; None or NaN where a resample does not define it."""
FEWEST = 10
"""Groups without which there is no interval; of AUROC, groups that hold the rarer class."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95% interval."""

    value: float | None
    """None where the data do not define the number; `undefined` then says why."""
    low: float | None = None
    """None where there is no interval: too few groups, or no resample defines the number."""
    high: float | None = None
    undefined: str | None = None
    if_calibrated: Interval | None = None
    """Of a calibration error: what these confidences would score by chance if each were exactly right. Mean and 95%
    range: chance alone makes an ECE larger than 0."""
    warning: str | None = None
    """Why the interval may be too narrow: bins that hold few answers."""

    def scaled(self, factor: float) -> Self:
        """The same interval in another unit; a p-value and a verdict stay as they are."""
        value, low, high = (None if x is None else x * factor for x in (self.value, self.low, self.high))
        chance = self.if_calibrated and self.if_calibrated.scaled(factor)
        return replace(self, value=value, low=low, high=high, if_calibrated=chance)

    def as_dict(self) -> dict[str, Any]:
        """JSON-like: `value`, `low`, `high`, and what else there is to say."""
        row: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high}
        if self.undefined is not None:
            row["undefined"] = self.undefined
        if self.if_calibrated is not None:
            row["if_calibrated"] = self.if_calibrated.as_dict()
        if self.warning is not None:
            row["warning"] = self.warning
        return row


@dataclass(frozen=True)
class Difference(Interval):
    """After minus before, on the same questions and resamples."""

    p: float | None = None
    """Two-sided p-value of "no difference"; None without resamples."""
    verdict: str = ""
    """better | worse | unclear (p above 0.05), or "" where neither direction is better or too little is known."""
    p_holm: float | None = None
    """The p-value corrected for all comparisons of a table (`comparison.holm_corrected`)."""

    def as_dict(self) -> dict[str, Any]:
        corrected = {} if self.p_holm is None else {"p_holm": self.p_holm}
        return super().as_dict() | {"p": self.p, "verdict": self.verdict} | corrected


def resamples(groups: Array | int, count: int, seed: int) -> Iterator[Array]:
    """`count` draws of row indices with replacement: rows [n] if `groups` is n, whole groups if it has labels [n].

    The same groups, count and seed give the same draws.
    """
    generator = np.random.default_rng(seed)
    if isinstance(groups, int):
        for _ in range(count):
            yield generator.integers(0, groups, groups)
        return
    _, labels = np.unique(groups, return_inverse=True)
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    first = np.cumsum(sizes) - sizes
    for _ in range(count):
        drawn = generator.integers(0, len(sizes), len(sizes))
        drawn_sizes = sizes[drawn]
        # The members of each drawn group, one after the other: the group's first position plus a count.
        within = np.arange(drawn_sizes.sum()) - np.repeat(np.cumsum(drawn_sizes) - drawn_sizes, drawn_sizes)
        yield order[np.repeat(first[drawn], drawn_sizes) + within]


def resampled_weights(groups: Array | int, count: int, seed: int) -> Iterator[Array]:
    """The draws of `resamples` as weights [n]: how often each row is drawn."""
    generator = np.random.default_rng(seed)
    labels = np.arange(groups) if isinstance(groups, int) else np.unique(groups, return_inverse=True)[1]
    units = int(labels.max()) + 1
    for _ in range(count):
        yield np.bincount(generator.integers(0, units, units), minlength=units)[labels].astype(np.float64)


def units_of(groups: Array | int) -> int:
    """How many units are resampled: n independent rows, or the different labels among [n]."""
    return groups if isinstance(groups, int) else len(np.unique(groups))


def draws_of(
    metrics: Callable[[Array], Point], groups: Array | int, count: int, seed: int
) -> dict[str, list[float | None]]:
    """Resampled values of every metric of `metrics(indices)`; empty where there are too few groups to resample."""
    draws: dict[str, list[float | None]] = {}
    for indices in resamples(groups, count if units_of(groups) >= FEWEST else 0, seed):
        for name, value in metrics(indices).items():
            draws.setdefault(name, []).append(value)
    return draws


def percentile_interval(
    value: float, draws: ResampledValues, level: float = LEVEL, units: int | None = None
) -> Interval:
    """Percentiles of the draws around `value`; those of draws of few `units` (groups) are expanded.

    A resample of G groups has a variance that is too small by (G - 1) / G, and its spread is itself uncertain: the tail
    on each side is Phi(-t sqrt(G / (G - 1))) with t the quantile of G - 1 degrees of freedom (Hesterberg 2015, "What
    teachers should know about the bootstrap"). Resamples on which the metric is undefined are left out; without
    any there is no interval.
    """
    defined = _defined(draws)
    if not len(defined):
        return Interval(float(value))
    tail = float(ndtr(-_quantile(units, level) * _widening(units)))
    low, high = np.percentile(defined, [100 * tail, 100 * (1 - tail)])
    return Interval(float(value), float(low), float(high))


def bias_corrected_interval(value: float, draws: ResampledValues, units: int | None = None) -> Interval:
    """An interval of a metric that noise biases to one side. Resamples contain the noise twice, so they are biased
    twice as far.

    The centre is 2 value - mean of the draws. On each side the interval reaches as far as the draws' percentile or t
    standard deviations, whichever is further. It contains the value.
    """
    plain = percentile_interval(value, draws, units=units)
    if plain.low is None or plain.high is None:
        return plain
    defined = _defined(draws)
    mean, spread = float(defined.mean()), float(defined.std()) * _widening(units) * _quantile(units, LEVEL)
    middle = 2 * value - mean
    low, high = middle - max(spread, mean - plain.low), middle + max(spread, plain.high - mean)
    return Interval(float(value), min(low, value), max(high, value))


def share_interval(value: float, draws: ResampledValues, units: int) -> Interval:
    """Wilson's interval (1927) of a share in [0, 1]; AUROC is a share of pairs.

    The number of trials is the effective one, value (1 - value) / variance of the draws, as in surveys (Korn and
    Graubard 1998). Percentiles are too narrow near 0 and 1; at 0 and 1, where draws do not vary, it is the number of
    `units`. A share between 0 and 1 whose draws do not vary, as the AUROC of equal confidences, is certain: the
    interval is [value, value]. Without draws there is no interval.
    """
    defined = _defined(draws)
    if not len(defined):
        return Interval(float(value))
    variance = float(defined.var()) * _widening(units) ** 2
    if variance <= 1e-12 and 0 < value < 1:
        return Interval(float(value), float(value), float(value))
    n = value * (1 - value) / variance if 0 < value < 1 else units
    return Interval(float(value), *wilson(float(value), n, _quantile(units, LEVEL)))


def wilson(share: float, n: float, z: float = float(ndtri((1 + LEVEL) / 2))) -> tuple[float, float]:
    """The interval (Wilson 1927) of a share in [0, 1] of n answers that reaches z standard deviations: 95% as it is.

    Part marks are allowed: share * n need not be whole.
    """
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))  # beyond by rounding, "-0.000"


def mean_interval(values: Array, groups: Array | int, count: int, seed: int, level: float = LEVEL) -> Interval:
    """The mean of `values` [n] with its bootstrap interval over `groups` (labels [n], or n for independent rows).

    Above the usual level, as for many subjects at once, it is t standard deviations of the resampled means: a thousand
    resamples do not reach into such tails.
    """
    draws = draws_of(lambda indices: {"mean": float(values[indices].mean())}, groups, count, seed).get("mean", ())
    value, units = float(values.mean()), units_of(groups)
    if level <= LEVEL or not len(draws):
        return percentile_interval(value, draws, level, units)
    half = _quantile(units, level) * _widening(units) * float(_defined(draws).std())
    return Interval(value, value - half, value + half)


def error_interval(
    value: float,
    draws: ResampledValues,
    null: Array | Sequence[float] = (),
    smallest: float = 0.0,
    largest: float = np.inf,
    units: int | None = None,
) -> Interval:
    """The interval of a calibration error; `null` are values that a perfectly calibrated model scores by chance.

    low: the basic bootstrap's, 2 value - high percentile (Davison and Hinkley 1997, eq. 5.6), and `smallest` where the
    value is no higher than chance alone makes it. high: the larger of the basic one, 2 value - low percentile, and the
    value plus what the high percentile is above the mean of the draws. Percentiles are those of `percentile_interval`.
    """
    plain = percentile_interval(value, draws, units=units)
    if plain.low is None or plain.high is None:
        return plain
    low = 2 * value - plain.high
    high = max(2 * value - plain.low, value + plain.high - float(np.mean(_defined(draws))))
    if len(null) and value <= np.percentile(null, 50 * (1 + LEVEL)):
        low = smallest
    return Interval(float(value), float(min(max(low, smallest), value)), float(max(min(high, largest), value)))


def p_value(value: float, draws: ResampledValues, units: int | None = None) -> float | None:
    """Two-sided p-value of "no difference": that of a t distribution with G - 1 degrees of freedom for G `units`
    (groups), the standard deviation that of the resampled differences times sqrt(G / (G - 1)); a normal without
    `units`.

    Counting draws, it could not be below 1 / their number, and could not be corrected for many comparisons. None
    without resamples.
    """
    defined = _defined(draws)
    if len(defined) < 2:
        return None
    spread = float(defined.std(ddof=1))
    if spread <= 1e-12:
        return 1.0 if abs(value) < 1e-12 else 1 / (len(defined) + 1)
    return _tails(abs(value) / (spread * _widening(units)), units)


def p_of_width(value: float, width: float, units: int | None = None) -> float:
    """Two-sided p-value of "no difference" for a 95% interval that reaches `width` from `value` towards 0."""
    return _tails(_quantile(units, LEVEL) * abs(value) / width, units)


def _quantile(units: int | None, level: float) -> float:
    return float(ndtri((1 + level) / 2) if units is None else stdtrit(units - 1, (1 + level) / 2))


def _tails(x: float, units: int | None) -> float:
    return float(2 * (ndtr(-x) if units is None else stdtr(units - 1, -x)))


def _widening(units: int | None) -> float:
    return 1.0 if units is None else float(np.sqrt(units / (units - 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for having looked at all of them (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    so_far = 0.0
    for rank, index in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = so_far
    return adjusted.tolist()


def _defined(draws: ResampledValues) -> Array:
    values = np.asarray(draws, dtype=np.float64)
    return values[~np.isnan(values)]
