"""Post-hoc calibrators: maps from the query's log-odds to a probability, fitted on the calibration split only."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize
from scipy.special import expit

MAX_SCALE = 20.0
PARAMETERS = {"temperature": 1, "platt": 2}


class Calibrator(BaseModel):
    """confidence = sigmoid(scale * log-odds + bias); temperature scaling (Guo et al. 2017) has scale 1/T and bias 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["none", "temperature", "platt"] = "none"
    scale: float = 1.0
    bias: float = 0.0

    @property
    def temperature(self) -> float:
        return 1.0 / self.scale

    def __call__(self, logit: np.ndarray) -> np.ndarray:
        return expit(self.scale * np.asarray(logit, dtype=np.float64) + self.bias)


def fit(kind: Literal["temperature", "platt"], logit: np.ndarray, correct: np.ndarray) -> Calibrator:
    """Minimise the negative log-likelihood of `correct` [n] in [0, 1] given log-odds `logit` [n].

    Separable or constant data has no finite optimum; the scale then ends at 0.05 or 20 and the bias within +-20.
    """

    def nll(parameters: np.ndarray) -> float:
        bias = parameters[1] if kind == "platt" else 0.0
        z = np.exp(parameters[0]) * logit + bias
        return float(np.mean(np.logaddexp(0.0, z) - correct * z))

    bounds = [(-np.log(MAX_SCALE), np.log(MAX_SCALE)), (-20.0, 20.0)]
    count = PARAMETERS[kind]
    found = minimize(nll, np.zeros(count), bounds=bounds[:count], method="L-BFGS-B")
    bias = float(found.x[1]) if kind == "platt" else 0.0
    return Calibrator(kind=kind, scale=float(np.exp(found.x[0])), bias=bias)
