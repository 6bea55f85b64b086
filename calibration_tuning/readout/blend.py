"""A blend of signals: a logistic regression without negative weights, so that more of a signal never lowers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize
from scipy.special import expit

Array = np.ndarray
Signals = Mapping[str, Array]
"""Log-odds [n] by the signal's name; NaN where an answer has none (an empty answer has no likelihood)."""
RIDGE = 0.01
"""Penalty on the squared weights of standardised signals; it decides how similar signals share their weight."""


class Blend(BaseModel):
    """log-odds = bias + sum of weight x signal. Numbers that are fitted once and kept in a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signals: tuple[str, ...]
    weights: tuple[float, ...]
    """Not negative, in log-odds of the blend for log-odds of the signal."""
    bias: float
    lowest: tuple[float, ...]
    """The least value of each signal in the answers it was fitted on, which stands in for a missing one."""
    n: int
    """Readings of answers that it was fitted on."""

    def __call__(self, signals: Signals) -> Array:
        """Log-odds [n]. Raises KeyError where a signal is missing altogether."""
        return _filled(signals, self.signals, self.lowest) @ np.array(self.weights) + self.bias


def fit_blend(signals: Signals, names: Sequence[str], correct: Array, ridge: float = RIDGE) -> Blend:
    """The blend of the signals `names` that has the least ridge-penalised NLL of `correct` [n] in [0, 1]."""
    lowest = tuple(float(np.nanmin(signals[name], initial=0.0)) for name in names)
    features = _filled(signals, names, lowest)
    mean, spread = features.mean(0), features.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    z, k = (features - mean) / spread, len(names)

    def loss(at: Array) -> tuple[float, Array]:
        weights, logit = at[:k], z @ at[:k] + at[k]
        residual = expit(logit) - correct
        value = np.mean(np.logaddexp(0.0, logit) - correct * logit) + ridge / 2 * weights @ weights
        return float(value), np.append(z.T @ residual / len(z) + ridge * weights, residual.mean())

    share = np.clip(np.mean(correct), 1e-3, 1 - 1e-3)
    start = np.append(np.full(k, 0.1), np.log(share / (1 - share)))
    bounds = [*[(0.0, None)] * k, (-20.0, 20.0)]
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-12}).x
    weights = best[:k] / spread
    return Blend(
        signals=tuple(names),
        weights=tuple(map(float, weights)),
        bias=float(best[k] - weights @ mean),
        lowest=lowest,
        n=len(correct),
    )


def _filled(signals: Signals, names: Sequence[str], lowest: Sequence[float]) -> Array:
    columns = [np.nan_to_num(np.asarray(signals[name], np.float64), nan=low, posinf=700.0, neginf=-700.0)
               for name, low in zip(names, lowest, strict=True)]  # fmt: skip
    return np.stack(columns, axis=1)
