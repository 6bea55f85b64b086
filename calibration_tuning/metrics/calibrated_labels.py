"""Labels as they would be if each confidence were exactly right: what chance alone makes of a calibration error."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr

Array = np.ndarray
LEAST_IN_BIN, MOST_BINS = 10, 10
"""Of the bins of equal numbers of answers in which residuals of fractions are centred."""


def labels_if_calibrated(
    confidence: Array, correct: Array, units: Array | int, count: int, seed: int
) -> Iterator[Array]:
    """`count` draws of labels [n] by which each confidence is exactly right; one at a time, as all are many.

    Where `correct` [n] is 0 or 1, so are the labels. Answers of one group are right or wrong together as far as they
    are in the data: standard normals with the correlation of the residuals within groups (that of binary variables, 0
    at least) decide, a Gaussian copula. Where some are fractions, which vary less, labels are the confidence and the
    residual of the data, as `_with_residuals` says; they may lie outside [0, 1].
    """
    if ((correct > 0) & (correct < 1)).any():
        return _with_residuals(confidence, correct, units, count, seed)
    return _drawn(confidence, correct, units, count, seed)


def _drawn(confidence: Array, correct: Array, units: Array | int, count: int, seed: int) -> Iterator[Array]:
    generator = np.random.default_rng(seed)
    n = len(confidence)
    if isinstance(units, int):
        for _ in range(count):
            yield (generator.random(n) < confidence).astype(np.float64)
        return
    _, groups = np.unique(units, return_inverse=True)
    shared = np.sqrt(_correlation_within(confidence, correct, groups))
    size = int(groups.max()) + 1
    # The groups' numbers of all draws come first, then those of the answers: a second generator is led up to these.
    answers = np.random.default_rng(seed)
    for _ in range(count):
        answers.normal(size=size)
    for _ in range(count):
        common = generator.normal(size=size)[groups]
        latent = shared * common + np.sqrt(1 - shared**2) * answers.normal(size=n)
        yield (ndtr(latent) < confidence).astype(np.float64)


def _correlation_within(confidence: Array, correct: Array, groups: Array) -> float:
    """Latent correlation of two answers of one group, by the moments of their residuals, in [0, 1]."""
    spread = np.sqrt(np.clip(confidence * (1 - confidence), 1e-4, None))
    residual = np.clip((correct - confidence) / spread, -10, 10)
    sums, squares = np.bincount(groups, weights=residual), np.bincount(groups, weights=residual**2)
    sizes = np.bincount(groups)
    pairs = float((sizes * (sizes - 1)).sum())
    binary = float((sums**2 - squares).sum() / pairs) if pairs else 0.0
    return float(np.sin(np.pi / 2 * np.clip(binary, 0, 1)))  # exact for the sign of normals


def _with_residuals(confidence: Array, correct: Array, units: Array | int, count: int, seed: int) -> Iterator[Array]:
    """Confidence and residual, its sign drawn for each group: the wild cluster bootstrap (Cameron, Gelbach and Miller
    2008). Residuals are first centred in bins of equally many answers, so that the confidences are right there."""
    n = len(confidence)
    groups = np.arange(n) if isinstance(units, int) else np.unique(units, return_inverse=True)[1]
    residual = correct - confidence
    for part in np.array_split(np.argsort(confidence, kind="stable"), max(1, min(MOST_BINS, n // LEAST_IN_BIN))):
        centred = residual[part] - residual[part].mean()
        residual[part] = centred * np.sqrt(len(part) / max(1, len(part) - 1))
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield confidence + generator.choice((-1.0, 1.0), int(groups.max()) + 1)[groups] * residual
