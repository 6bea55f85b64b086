"""Post-hoc calibrators: maps from log-odds to a probability, fitted on held-out answers (the calibration split).

A new one is a class with `kind` and `__call__`, a function that fits it, and a line in `CALIBRATORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, log_expit

if TYPE_CHECKING:
    from calibration_tuning.config.training import CalibratorName

Array = np.ndarray
MIN_SLOPE, MAX_SCALE = 0.001, 20.0
"""Of the log-odds that come out, for log-odds that go in divided by their spread. The lowest keeps their order, and
nothing else: a negative slope would turn the confidence into its opposite."""
MAX_BIAS = 20.0
HISTOGRAM_BINS = 10
CLIP = 1e-6


@dataclass(frozen=True)
class Calibrator:
    """confidence = sigmoid(scale * log-odds + bias); temperature scaling (Guo et al. 2017) has scale 1/T and bias 0,
    Platt scaling (Platt 1999) both."""

    kind: Literal["none", "temperature", "platt"] = "none"
    scale: float = 1.0
    bias: float = 0.0

    @property
    def temperature(self) -> float:
        return 1.0 / self.scale

    def __call__(self, logit: Array) -> Array:
        return expit(self.scale * np.asarray(logit, dtype=np.float64) + self.bias)


@dataclass(frozen=True)
class BetaCalibrator:
    """confidence = sigmoid(a log p - b log(1 - p) + c) with a, b >= 0 (Kull, Silva Filho and Flach 2017)."""

    a: float
    b: float
    c: float
    kind: Literal["beta"] = "beta"

    def __call__(self, logit: Array) -> Array:
        return expit(_beta_features(logit) @ np.array([self.a, self.b, self.c]))


@dataclass(frozen=True)
class IsotonicCalibrator:
    """A monotone map (Zadrozny and Elkan 2002), linear between its knots and constant outside of them."""

    logits: list[float]
    confidences: list[float]
    kind: Literal["isotonic"] = "isotonic"

    def __call__(self, logit: Array) -> Array:
        return np.interp(_finite(logit), self.logits, self.confidences)


@dataclass(frozen=True)
class HistogramCalibrator:
    """Histogram binning (Zadrozny and Elkan 2001): each bin says how often answers in it were correct."""

    edges: list[float]
    """Inner edges in log-odds, rising; a value on an edge belongs to the bin above it."""
    confidences: list[float]
    """Of the bins, [len(edges) + 1]."""
    kind: Literal["histogram"] = "histogram"

    def __call__(self, logit: Array) -> Array:
        return np.array(self.confidences)[np.searchsorted(self.edges, logit, side="right")]


AnyCalibrator = Calibrator | BetaCalibrator | IsotonicCalibrator | HistogramCalibrator
"""Callables from log-odds [n] to confidences [n]; `kind` tells them apart in files."""


def log_odds(confidence: Array) -> Array:
    """Log-odds of confidences in [0, 1], which are clipped to 1e-6 from its ends; NaN stays NaN."""
    p = np.clip(np.asarray(confidence, dtype=np.float64), CLIP, 1 - CLIP)
    return np.log(p) - np.log1p(-p)


def fit(kind: CalibratorName, logit: Array, correct: Array) -> AnyCalibrator:
    """The calibrator of that kind for log-odds `logit` [n] and correctness `correct` [n] in [0, 1].

    Raises ValueError for an empty input and for NaN. Separable data has no finite optimum. Slopes then end at a bound:
    0 or 20 for beta, and for temperature and Platt 0.001 or 20 over the spread of the log-odds (Platt: their standard
    deviation; temperature: their root mean square). So the fit is the same in every unit.
    """
    if not len(logit):
        raise ValueError(f"a {kind} calibrator cannot be fitted on no examples")
    if np.isnan(logit).any():
        raise ValueError(f"a {kind} calibrator cannot be fitted on NaN; leave out the examples that have no score")
    return CALIBRATORS[kind](_finite(logit), np.asarray(correct, dtype=np.float64))


def slope_at_bound(calibrator: AnyCalibrator, logit: Array) -> bool:
    """True if temperature or Platt scaling, fitted on log-odds `logit` [n], ended at the lowest slope allowed.

    Platt scaling does so where right answers have no higher log-odds on average than wrong ones. A temperature does so
    too where the log-odds would first have to be shifted, such as negative ones of answers that are mostly right.
    """
    if not isinstance(calibrator, Calibrator):
        return False
    values = _finite(logit)
    spread = _spread(values - values.mean() if calibrator.kind == "platt" else values)
    return calibrator.scale * spread <= 1.01 * MIN_SLOPE


def _temperature(logit: Array, correct: Array) -> Calibrator:
    spread = _spread(logit)
    (slope,) = _logistic(logit[:, None] / spread, correct, [(MIN_SLOPE, MAX_SCALE)], [1.0])
    return Calibrator(kind="temperature", scale=slope / spread)


def _platt(logit: Array, correct: Array) -> Calibrator:
    mean = float(logit.mean())
    spread = _spread(logit - mean)
    features = np.stack([(logit - mean) / spread, np.ones_like(logit)], 1)
    slope, level = _logistic(features, correct, [(MIN_SLOPE, MAX_SCALE), (-MAX_BIAS, MAX_BIAS)], [1.0, 0.0])
    return Calibrator(kind="platt", scale=slope / spread, bias=level - slope * mean / spread)


def _spread(logit: Array) -> float:
    """Root mean square; 1 where all are 0 but for rounding."""
    spread = float(np.sqrt(np.mean(logit**2)))
    return spread if spread > 1e-6 else 1.0


def _beta(logit: Array, correct: Array) -> BetaCalibrator:
    bounds = [(0.0, MAX_SCALE), (0.0, MAX_SCALE), (-MAX_BIAS, MAX_BIAS)]
    a, b, c = _logistic(_beta_features(logit), correct, bounds, [1.0, 1.0, 0.0])
    return BetaCalibrator(a=a, b=b, c=c)


def _isotonic(logit: Array, correct: Array) -> IsotonicCalibrator:
    values, place = np.unique(logit, return_inverse=True)
    counts = np.bincount(place)
    level = np.clip(isotonic_regression(np.bincount(place, weights=correct) / counts, weights=counts).x, 0, 1)
    # Within a level only its ends are needed.
    is_end = np.ones(len(level), dtype=bool)
    is_end[1:-1] = (level[1:-1] != level[:-2]) | (level[1:-1] != level[2:])
    return IsotonicCalibrator(logits=values[is_end].tolist(), confidences=level[is_end].tolist())


def _histogram(logit: Array, correct: Array) -> HistogramCalibrator:
    inner = np.linspace(0, 1, min(HISTOGRAM_BINS, len(logit)) + 1)[1:-1]
    # An edge at the lowest value would leave the bin below it empty.
    edges = [edge for edge in np.unique(np.quantile(logit, inner, method="higher")) if edge > logit.min()]
    index = np.searchsorted(edges, logit, side="right")
    means = np.bincount(index, weights=correct) / np.bincount(index)
    return HistogramCalibrator(edges=[float(edge) for edge in edges], confidences=means.tolist())


CALIBRATORS: dict[str, Callable[[Array, np.ndarray], AnyCalibrator]] = {
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
    "isotonic": _isotonic,
    "histogram": _histogram,
}


def _beta_features(logit: Array) -> Array:
    z = np.asarray(logit, dtype=np.float64)
    return np.stack([log_expit(z), -log_expit(-z), np.ones_like(z)], -1)


def _finite(logit: Array) -> Array:
    return np.clip(np.asarray(logit, dtype=np.float64), -700, 700)


def _logistic(
    features: Array, correct: Array, bounds: Sequence[tuple[float, float]], start: Sequence[float]
) -> list[float]:
    """Coefficients within `bounds` that minimise the negative log-likelihood of sigmoid(features @ coefficients)."""

    def nll(coefficients: Array) -> tuple[float, Array]:
        z = features @ coefficients
        gradient = features.T @ (expit(z) - correct) / len(z)
        return float(np.mean(np.logaddexp(0.0, z) - correct * z)), gradient

    best = minimize(nll, np.array(start), jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-12})
    return [float(value) for value in best.x]
