"""Smooth ECE on many resamples at once: relplot's numbers (tested), whose convolutions are done for all of them."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, rfft

from calibration_tuning.metrics.draws import Resamples

Array = np.ndarray
EPSILON, HALVINGS = 0.001, 10
"""Of relplot's search for the bandwidth that equals the error."""
FLOOR = 0.0001
"""That relplot adds to a density."""


def smooth_ece(draws: Resamples) -> Array:
    """[B]: the error at the bandwidth that equals it (Błasiok and Nakkiran 2023)."""
    residuals = draws.weight * (draws.confidence - draws.correct)
    spectra: dict[int, tuple[Array, Array]] = {}

    def errors(bandwidths: Array) -> Array:
        found = np.empty(len(bandwidths))
        for bandwidth in np.unique(bandwidths).tolist():
            points = max(2000, round(20 / bandwidth)) // 2 + 1
            if points not in spectra:
                residual, weight = (_spectrum(draws.confidence, v, points) for v in (residuals, draws.weight))
                spectra[points] = residual, weight
            rows = bandwidths == bandwidth
            residual, weight = (spectrum[rows] for spectrum in spectra[points])
            found[rows] = _errors_at(bandwidth, points, residual, weight)
        return found

    # As relplot does: the bandwidth is less than the error up to `low`, and not from `high` on.
    high, low = np.ones(len(residuals)), np.zeros(len(residuals))
    beyond = errors(high) > 1
    for _ in range(HALVINGS):
        middle = (high + low) / 2
        less = (middle < EPSILON) | (middle < errors(middle))
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return errors(np.where(beyond, 1.0, high))


def _spectrum(places: Array, values: Array, points: int) -> Array:
    """Of `values` [B, n] at `places` [n] in [0, 1], shared between the points beside on a grid over [0, 1] that is
    reflected at both ends."""
    from scipy.sparse import csr_array

    n = len(places)
    below = (places * (points - 1)).astype(int).clip(0, points - 2)
    share = places * (points - 1) - below
    rows = np.tile(np.arange(n), 2)
    grid = np.asarray(values @ csr_array((np.r_[1 - share, share], (rows, np.r_[below, below + 1])), (n, points)))
    return np.asarray(rfft(np.concatenate([grid, grid[:, -2:0:-1]], axis=1), axis=1))


def _errors_at(bandwidth: float, points: int, residual: Array, weight: Array) -> Array:
    """[B]: the mean smoothed residual, without its sign, by the smoothed density; of their spectra."""
    from relplot.config import smECE_mesh_pts
    from relplot.kernels import ReflectedGaussianKernel

    period = 2 * (points - 1)
    kernel = np.zeros(period)
    kernel[(np.arange(points) - points // 2) % period] = ReflectedGaussianKernel(bandwidth).kernel_ev(points)
    mesh = np.linspace(0, 1, max(round(10 / bandwidth), smECE_mesh_pts))
    below = (mesh * (points - 1)).astype(int).clip(0, points - 2)
    share = mesh * (points - 1) - below

    def smoothed(spectrum: Array) -> Array:
        values = irfft(spectrum * rfft(kernel), period, axis=1)
        return np.asarray(values[:, below] * (1 - share) + values[:, below + 1] * share)

    return np.abs(smoothed(residual)).sum(1) / (smoothed(weight) + FLOOR).sum(1)
