"""Differences with p-values and a verdict in words, and Holm's correction over a table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration_tuning.metrics.bootstrap import (
    Difference,
    Interval,
    ResampledValues,
    bias_corrected_interval,
    error_interval,
    holm,
    p_of_width,
    p_value,
    percentile_interval,
    share_interval,
)

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Quantity:
    """What is known about a number that is compared."""

    label: str
    better: int = -1
    """-1 where lower is better, +1 where higher is, 0 where neither."""
    calibration_error: bool = False
    """0 at best, and pushed up by noise: see `metrics.bootstrap`."""
    raised_by_noise: bool = False
    """Pushed up by noise, without being an error."""
    share: bool = False
    """A share in [0, 1] of answers, or of pairs: Wilson's interval, which does not shrink to nothing near 0 and 1."""
    undefined: str = "undefined"
    """Why there may be no number."""
    largest: float = 1.0
    """Of a calibration error."""


@dataclass(frozen=True)
class Resampled:
    """A number, its values on resamples and, of a calibration error, what a calibrated model scores by chance."""

    value: float | None
    draws: ResampledValues
    null: np.ndarray | Sequence[float] = ()
    units: int | None = None
    """Number of groups that were resampled, or of those that hold the rarer class if only pairs of both classes count;
    None, which a share may not have, makes no correction for few groups."""
    warning: str | None = None
    """Why the interval may be too narrow."""


def interval(quantity: Quantity, number: Resampled) -> Interval:
    """The number with its interval; a calibration error also with what a calibrated model scores by chance."""
    if number.value is None:
        return Interval(None, undefined=quantity.undefined)
    return replace(_interval(quantity, number, number.value), warning=number.warning)


def _interval(quantity: Quantity, number: Resampled, value: float) -> Interval:
    if quantity.raised_by_noise:
        return bias_corrected_interval(value, number.draws, number.units)
    if quantity.share:
        assert number.units is not None
        return share_interval(value, number.draws, number.units)
    if not quantity.calibration_error:
        return percentile_interval(value, number.draws, units=number.units)
    smallest = min(0.0, value)
    error = error_interval(value, number.draws, number.null, smallest, quantity.largest, number.units)
    if not len(number.null):
        return error
    return replace(error, if_calibrated=percentile_interval(float(np.mean(number.null)), number.null))


def compared(quantity: Quantity, before: Resampled, after: Resampled) -> Difference:
    """The difference after - before on the same resamples.

    The plug-in difference of two calibration errors is biased, as the better one has more noise in it, and that of two
    shares near 1 is skewed: theirs is put together from the two intervals and the correlation of the draws (Zou 2007,
    "MOVER"), and its p-value is that of the interval's half-width on the side of 0. Without resamples of both sides
    there is neither interval nor p-value nor verdict. Where the sides have different numbers of units, the smaller one
    counts.
    """
    if before.value is None or after.value is None:
        return Difference(None, undefined=quantity.undefined)
    value = after.value - before.value
    if not len(before.draws) or not len(after.draws):
        return Difference(value)
    pairs = np.array([before.draws, after.draws], dtype=np.float64)
    pairs = pairs[:, ~np.isnan(pairs).any(0)]
    changes = pairs[1] - pairs[0]
    units = None if before.units is None or after.units is None else min(before.units, after.units)
    if (quantity.calibration_error or quantity.share) and len(changes) and np.ptp(changes) > 1e-12:
        low, high = _mover(value, interval(quantity, before), interval(quantity, after), _correlation(*pairs))
        width = value - low if value > 0 else high - value
        p = p_of_width(value, width, units) if width > 1e-12 else p_value(value, changes, units)
        return Difference(value, low, high, p=p, verdict=verdict(value, p, quantity.better))
    between = bias_corrected_interval if quantity.raised_by_noise else percentile_interval
    plain, p = between(value, changes, units=units), p_value(value, changes, units)
    return Difference(value, plain.low, plain.high, p=p, verdict=verdict(value, p, quantity.better))


def verdict(value: float, p: float | None, better: int) -> str:
    """better | worse | unclear (p above 0.05), or "" where neither direction is better or too little is known."""
    if not better or p is None:
        return ""
    if p > SIGNIFICANT:
        return "unclear"
    return "better" if value * better > 0 else "worse"


def holm_corrected(table: Sequence[tuple[Quantity, Difference]]) -> list[Difference]:
    """The differences of the table with Holm's correction over all that can be better or worse.

    These get `p_holm`, and the verdict that it gives; the others stay as they are. Same order, same length.
    """
    differences = [entry for _, entry in table]
    p_values = {i: entry.p for i, (quantity, entry) in enumerate(table) if entry.p is not None and quantity.better}
    for i, p in zip(p_values, holm(list(p_values.values())), strict=True):
        quantity, entry = table[i]
        differences[i] = replace(entry, p_holm=p, verdict=verdict(entry.value or 0.0, p, quantity.better))
    return differences


def _mover(value: float, before: Interval, after: Interval, correlation: float) -> tuple[float, float]:
    def away(first: float, second: float) -> float:
        return float(np.sqrt(max(0.0, first**2 + second**2 - 2 * correlation * first * second)))

    below_after, above_after = _arms(after)
    below_before, above_before = _arms(before)
    return value - away(below_after, above_before), value + away(above_after, below_before)


def _arms(entry: Interval) -> tuple[float, float]:
    """How far an interval reaches below and above its value."""
    assert entry.value is not None
    assert entry.low is not None
    assert entry.high is not None
    return entry.value - entry.low, entry.high - entry.value


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if x.std() * y.std() > 1e-15 else 0.0
