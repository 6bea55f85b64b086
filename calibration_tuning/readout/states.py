"""A linear probe on the hidden states of an answer's tokens, and how familiar an answer's states are.

Middle layers, averaged over the answer's tokens, know best whether an answer is correct (Azaria and Mitchell 2023;
Orgad et al. 2025). What a probe says of states unlike those it was fitted on is worth little, so each answer also gets
its familiarity: how far its states lie outside the subspace of the training answers' states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration_tuning.readout.penalties import LEAST, Folds, balanced_folds, fit_with_best_penalty

Array = np.ndarray
DEPTHS = (0.4, 0.5, 0.6)
"""Layers that are read, as shares of all layers."""
COMPONENTS = 64
"""Dimensions, at most, of the subspace of familiar states; at most an eighth of those of the states."""
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse strengths of the ridge penalty on standardised states that are tried."""
WIDE = 4096
"""Of wider states, the probe is fitted on the principal components, which takes a fraction of the time."""
PRINCIPAL = 512
"""How many of them, at most. With 512 of 1,728 no Brier score moved by 0.001 (docs/performance.md)."""


def layers_read(layers: int) -> tuple[int, ...]:
    """The layers, counted from 1, whose states are read of a model with so many."""
    return tuple(sorted({max(1, round(depth * layers)) for depth in DEPTHS}))


@dataclass(frozen=True)
class StateProbe:
    """Fitted on the training answers' states [n, W]; all arrays are float32."""

    mean: Array
    """[W]"""
    spread: Array
    """[W]"""
    weights: Array
    """[W], of standardised states."""
    bias: float
    components: Array
    """[k, W]: an orthonormal basis of the subspace of familiar, standardised states."""
    distances: Array
    """Squared distances from that subspace of answers that were not fitted on, rising."""

    def logit(self, states: Array) -> Array:
        """Log-odds [n] of being correct, by the states [n, W] alone."""
        return (self._standard(states) @ self.weights).astype(np.float64) + self.bias

    def familiar(self, states: Array) -> Array:
        """Share [n], in [0, 1], of held-out answers at least as far from the familiar subspace as these (a conformal
        p-value): about uniform for answers to questions like those of training, and 0 for quite other ones."""
        nearer = np.searchsorted(self.distances, self.distance(states), side="left")
        return 1.0 - nearer / len(self.distances)

    def distance(self, states: Array) -> Array:
        """Squared distances [n] from the subspace of familiar states."""
        z = self._standard(states)
        return ((z**2).sum(1) - ((z @ self.components.T) ** 2).sum(1)).astype(np.float64)

    def _standard(self, states: Array) -> Array:
        return (states.astype(np.float32) - self.mean) / self.spread


def fit_probe(states: Array, correct: Array, groups: Array, held_out: Array) -> StateProbe | None:
    """Logistic regression on standardised states [n, W], its ridge penalty chosen by grouped cross-validation (NLL).

    `held_out` [m, W] are states of other answers, by which familiarity is measured. None where there are fewer than
    ten correct answers, wrong answers or groups, or where no folds can be cut that have both.
    """
    right = correct >= 0.5
    folds = balanced_folds(right, groups)
    if folds is None or len(held_out) < LEAST:
        return None
    mean, spread = states.mean(0), states.std(0)
    spread = np.where(spread > 1e-6, spread, 1.0)
    z = ((states - mean) / spread).astype(np.float32)
    familiar = max(1, min(COMPONENTS, len(z) // 4, z.shape[1] // 8))
    if z.shape[1] > WIDE:
        components = _principal(z, min(PRINCIPAL, len(z)), iterations=1)
        weights, bias = _logistic_regression(z @ components.T, right, folds)
        weights = weights @ components
    else:
        components = _principal(z, familiar)
        weights, bias = _logistic_regression(z, right, folds)
    probe = StateProbe(
        mean.astype(np.float32),
        spread.astype(np.float32),
        weights.astype(np.float32),
        bias,
        components[:familiar].astype(np.float32),
        np.zeros(1),
    )
    return StateProbe(**(vars(probe) | {"distances": np.sort(probe.distance(held_out))}))


def _principal(z: Array, count: int, iterations: int | str = "auto") -> Array:
    """The first principal directions [count, W] of z [n, W], the largest first."""
    from sklearn.utils.extmath import randomized_svd

    return np.asarray(randomized_svd(z, count, n_iter=iterations, random_state=0)[2])


def _logistic_regression(z: Array, right: Array, folds: Folds) -> tuple[Array, float]:
    """Weights [W] and bias."""
    from sklearn.linear_model import LogisticRegression

    model = fit_with_best_penalty(LogisticRegression(max_iter=300), "C", PENALTIES, z, right, folds)
    return model.coef_[0], float(model.intercept_[0])
