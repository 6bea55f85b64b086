"""Differences with p-values and a verdict in words, and Holm's correction over a table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from calibration_tuning.metrics.bootstrap import Interval, error_interval, holm, p_value, percentile_interval, undefined

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Quantity:
    """What is known about a number that is compared."""

    label: str
    better: int = -1
    """-1 where lower is better, +1 where higher is, 0 where neither."""
    calibration_error: bool = False
    """0 at best, and pushed up by noise: see `calibration_tuning.metrics.bootstrap`."""
    undefined: str = "undefined"
    """Why there may be no number."""
    largest: float = 1.0
    """Of a calibration error."""


@dataclass(frozen=True)
class Resampled:
    """A number, its values on resamples and, of a calibration error, what a calibrated model scores by chance."""

    value: float | None
    draws: Sequence[float | None]
    null: Sequence[float] = ()


def interval(quantity: Quantity, one: Resampled) -> Interval:
    """`value`, `low`, `high`; for a calibration error with its value under perfect calibration, `if_calibrated`."""
    if one.value is None:
        return undefined(quantity.undefined)
    if not quantity.calibration_error:
        return percentile_interval(one.value, one.draws)
    found = error_interval(one.value, one.draws, one.null, min(0.0, one.value), quantity.largest)
    if len(one.null):
        found["if_calibrated"] = percentile_interval(float(np.mean(one.null)), one.null)
    return found


def compared(quantity: Quantity, before: Resampled, after: Resampled) -> Interval:
    """The difference after - before on the same resamples: `value`, `low`, `high`, `p`, `verdict`.

    The plug-in difference of two calibration errors is biased, as the better one has more noise in it: theirs is put
    together from the two intervals and the correlation of the draws (Zou 2007, "MOVER"), and its p-value is that of a
    normal with the interval's half-width on the side of 0. Without resamples there is neither p-value nor verdict.
    """
    if before.value is None or after.value is None:
        return undefined(quantity.undefined) | {"p": None, "verdict": ""}
    value = after.value - before.value
    pairs = [(b, a) for b, a in zip(before.draws, after.draws, strict=True) if b is not None and a is not None]
    changes = [a - b for b, a in pairs]
    if quantity.calibration_error and pairs and np.ptp(changes) > 1e-12:
        found = _mover(value, interval(quantity, before), interval(quantity, after), _correlation(pairs))
        width = value - found["low"] if value > 0 else found["high"] - value
        p = float(2 * norm.sf(1.96 * abs(value) / width)) if width > 1e-12 else p_value(value, changes)
    else:
        found, p = percentile_interval(value, changes), p_value(value, changes)
    return found | {"p": p, "verdict": verdict(value, p, quantity.better)}


def verdict(value: float, p: float | None, better: int) -> str:
    """better | worse | unclear (p above 0.05) | "" (neither direction is better, or too little is known)."""
    if not better or p is None:
        return ""
    if p > SIGNIFICANT:
        return "unclear"
    return "better" if value * better > 0 else "worse"


def adjust(table: Sequence[tuple[Quantity, Interval]]) -> int:
    """Put Holm's correction over all rows that can be better or worse: their `p_holm`, and the `verdict` by it.

    Returns how many these are.
    """
    rows = [(quantity, entry) for quantity, entry in table if entry["p"] is not None and quantity.better]
    for (quantity, entry), p in zip(rows, holm([entry["p"] for _, entry in rows]), strict=True):
        entry["p_holm"] = p
        entry["verdict"] = verdict(entry["value"], p, quantity.better)
    return len(rows)


def _mover(value: float, before: Interval, after: Interval, correlation: float) -> Interval:
    def away(one: float, other: float) -> float:
        return float(np.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other)))

    low = away(after["value"] - after["low"], before["high"] - before["value"])
    high = away(after["high"] - after["value"], before["value"] - before["low"])
    return {"value": value, "low": value - low, "high": value + high}


def _correlation(pairs: Sequence[tuple[float, float]]) -> float:
    one, other = np.array(pairs).T
    spread = one.std() * other.std()
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread) if spread > 1e-15 else 0.0
