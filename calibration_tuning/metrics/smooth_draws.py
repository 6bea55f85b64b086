"""Smooth ECE on many resamples at once: relplot's numbers (tested), whose convolutions are done for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.fft import irfft, rfft

from calibration_tuning.metrics.draws import CELLS, Resamples

Array = np.ndarray
EPSILON, HALVINGS = 0.001, 10
"""Precision of relplot's search for the bandwidth that equals the error."""
FLOOR = 0.0001
"""The constant that relplot adds to a density."""


def smooth_ece(draws: Resamples) -> Array:
    """[B]: the error at the bandwidth that equals it (Błasiok and Nakkiran 2023)."""
    sides = draws.weight * (draws.confidence - draws.correct), draws.weight
    # Nearly all bandwidths use the coarsest grid. Spectra of finer grids are large, and each is needed once or twice.
    coarsest = _points(1.0)
    coarse = [_spectrum(draws, side, coarsest) for side in sides]

    def errors(bandwidths: Array, rows: Array) -> Array:
        error = np.empty(len(rows))
        for bandwidth in np.unique(bandwidths).tolist():
            points = _points(bandwidth)
            smoothed = _smoother(bandwidth, points)
            same = np.flatnonzero(bandwidths == bandwidth)
            for part in np.array_split(same, -(-len(same) * points // CELLS)):
                at = rows[part]
                spectra = (
                    (s[at] for s in coarse) if points == coarsest else (_spectrum(draws, s[at], points) for s in sides)
                )
                residual, weight = map(smoothed, spectra)
                # The mean smoothed residual, without its sign, by the smoothed density.
                error[part] = np.abs(residual).sum(1) / (weight + FLOOR).sum(1)
        return error

    # As relplot does: the bandwidth is less than the error up to `low`, and not from `high` on.
    everything = np.arange(len(draws.weight))
    high, low = np.ones(len(everything)), np.zeros(len(everything))
    at_high = errors(high, everything)
    open_rows = everything[at_high <= 1]
    for _ in range(HALVINGS):
        middle = (high[open_rows] + low[open_rows]) / 2
        less = middle < EPSILON
        at_middle = np.full(len(open_rows), np.inf)
        at_middle[~less] = errors(middle[~less], open_rows[~less])
        less |= middle < at_middle
        low[open_rows[less]] = middle[less]
        high[open_rows[~less]], at_high[open_rows[~less]] = middle[~less], at_middle[~less]
    return at_high


def _points(bandwidth: float) -> int:
    """Number of points of the grid over [0, 1] for a bandwidth."""
    return max(2000, round(20 / bandwidth)) // 2 + 1


def _spectrum(draws: Resamples, values: Array, points: int) -> Array:
    """Of `values` [B, n] at the confidences [n], shared between the points beside on a grid over [0, 1] that is
    reflected at both ends."""
    grid = np.asarray(values @ draws.once(f"grid of {points}", lambda: _shares(draws.confidence, points)))
    return np.asarray(rfft(np.concatenate([grid, grid[:, -2:0:-1]], axis=1), axis=1))


def _shares(places: Array, points: int) -> Any:
    """[n, points], sparse: how much of each place belongs to the grid's points beside it."""
    from scipy.sparse import csr_array

    n = len(places)
    below, share = _beside(places, points)
    rows = np.tile(np.arange(n), 2)
    return csr_array((np.r_[1 - share, share], (rows, np.r_[below, below + 1])), (n, points))


def _beside(places: Array, points: int) -> tuple[Array, Array]:
    """The grid's point below each place, and how far it is from there to the next."""
    below = (places * (points - 1)).astype(int).clip(0, points - 2)
    return below, places * (points - 1) - below


def _smoother(bandwidth: float, points: int) -> Callable[[Array], Array]:
    """What makes of spectra [B, ...] the smoothed values on relplot's mesh."""
    from relplot.config import smECE_mesh_pts
    from relplot.kernels import ReflectedGaussianKernel

    period = 2 * (points - 1)
    kernel = np.zeros(period)
    kernel[(np.arange(points) - points // 2) % period] = ReflectedGaussianKernel(bandwidth).kernel_ev(points)
    by = rfft(kernel)
    below, share = _beside(np.linspace(0, 1, max(round(10 / bandwidth), smECE_mesh_pts)), points)

    def smoothed(spectrum: Array) -> Array:
        values = irfft(spectrum * by, period, axis=1)
        return np.asarray(values[:, below] * (1 - share) + values[:, below + 1] * share)

    return smoothed
