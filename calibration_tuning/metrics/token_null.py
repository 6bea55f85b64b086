"""What calibration errors token probabilities have by chance alone, if every token is drawn from them.

Positions are then uncorrelated, those of one sequence too: each is drawn given what came before it. The bins of one
position are not: a token that is in one bin is in no other.
"""

from __future__ import annotations

import numpy as np

from calibration_tuning.metrics.token_bins import joined
from calibration_tuning.metrics.token_sums import Sums

Array = np.ndarray
NULL_DRAWS = 2000


def covariances(total: Sums, bin_of: Array, adaptive: Array, num_bins: int) -> dict[str, Array]:
    """Covariance [M, M] of the gaps of the bins, by metric; `bin_of` [C] and `adaptive` [257] are the bins of cells.

    Where sums hold the diagonal only (`equal_mass`), joined cells are taken for uncorrelated: an upper bound.
    """
    cells = total.mass.shape[-1]
    if total.covariance.shape[-1] == cells:
        full = np.diag(joined(total.covariance.clip(min=0), bin_of, num_bins))
    else:
        full = total.covariance.reshape(cells, cells)
    return {
        "full_ece": full,
        "top1_ece": np.diag(total.top1_variance.clip(min=0)),
        "top1_ace": np.diag(joined(total.grid_variance.clip(min=0), adaptive, num_bins)),
    }


def expected_error(covariance: Array) -> float:
    """Mean of sum_m |gap_m| for normal gaps."""
    return float(np.sqrt(2 / np.pi) * np.sqrt(np.diag(covariance).clip(min=0)).sum())


def errors_by_chance(covariance: Array, seed: int) -> Array:
    """2,000 draws of sum_m |gap_m| for normal gaps; what rounding leaves of the covariance below 0 is taken for 0."""
    values, vectors = np.linalg.eigh(covariance)
    root = np.sqrt(values.clip(min=0))[:, None] * vectors.T
    noise = np.random.default_rng(seed).normal(size=(NULL_DRAWS, len(covariance)))
    return np.asarray(np.abs(noise @ root).sum(1))
