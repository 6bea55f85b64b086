"""What token-level metrics are computed from: float64 sums over a sequence's positions, in an array of named parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from calibration_tuning.metrics.row_statistics import RowStatistics
from calibration_tuning.metrics.token_bins import GRID, Binning, cell_edges, cuts

Array = np.ndarray


class Sums(NamedTuple):
    """Views of the sums [..., W] of one or more sequences. A cell is what probabilities are collected in; cells are
    joined to the M bins later (`token_bins`). The grid has 257 cells, an eighth in log-odds wide."""

    totals: Array
    """[..., 4]: positions, Brier scores, NLL, top-1 hits."""
    mass: Array
    """[..., C]: probability by cell, of all pairs (position, vocabulary token)."""
    realised: Array
    """[..., C]: how many tokens were realised, by cell."""
    covariance: Array
    """[..., C x C]: covariance of `realised` if every token is drawn from its probabilities; for `equal_mass`, whose
    cells are many, [..., C]: its diagonal."""
    top1_gap: Array
    """[..., M]: hit minus probability of the likeliest token, by equal-width bin."""
    top1_variance: Array
    grid_count: Array
    """[..., 257]: positions by cell of the grid that the likeliest token's probability lies in."""
    grid_gap: Array
    grid_variance: Array


@dataclass(frozen=True)
class SumLayout:
    """The layout of a sequence's sums: where each part begins, and how to add positions."""

    num_bins: int
    binning: Binning

    @cached_property
    def edges(self) -> Array:
        """Inner edges of the cells, [C - 1]."""
        return cell_edges(self.binning, self.num_bins)

    @cached_property
    def _ends(self) -> list[int]:
        cells, grid = len(self.edges) + 1, len(GRID) + 1
        covariance = cells if self.binning == "equal_mass" else cells**2
        return np.cumsum([4, cells, cells, covariance, *[self.num_bins] * 2, *[grid] * 3]).tolist()

    @property
    def width(self) -> int:
        """W: 4 + 4 M + M^2 + 3 x 257 numbers for equal-width bins."""
        return self._ends[-1]

    def views(self, sums: Array) -> Sums:
        return Sums(*np.split(sums, self._ends[:-1], axis=-1))

    def of_rows(self, rows: RowStatistics, target_logits: Array, targets: Array, owners: Array) -> dict[int, Array]:
        """Sums [W] by sequence of N positions: their statistics, the logits [N] of the `targets` [N], and which
        sequence each belongs to [N]."""
        names, place = np.unique(owners, return_inverse=True)
        sums = np.zeros((len(names), self.width))
        views = self.views(sums)
        realised = np.exp(target_logits - rows.highest) / rows.total
        hit = (rows.best == targets).astype(np.float64)
        ones = np.ones(len(targets))
        brier, nll = rows.squares - 2 * realised + 1, np.log(rows.total) + rows.highest - target_logits
        np.add.at(views.totals, place, np.stack([ones, brier, nll, hit], 1))
        np.add.at(views.mass, place, rows.mass)
        views.covariance[:] = np.eye(len(names))[place].T @ self._covariance(rows.mass)
        np.add.at(views.realised, (place, np.digitize(realised, cuts(self.edges))), ones)
        likeliest = 1 / rows.total
        gap, variance = hit - likeliest, likeliest * (1 - likeliest)
        at = place, np.digitize(likeliest, cuts(cell_edges("equal_width", self.num_bins)))
        np.add.at(views.top1_gap, at, gap)
        np.add.at(views.top1_variance, at, variance)
        at = place, np.digitize(likeliest, cuts(GRID))
        np.add.at(views.grid_count, at, ones)
        np.add.at(views.grid_gap, at, gap)
        np.add.at(views.grid_variance, at, variance)
        return dict(zip(names.tolist(), sums, strict=True))

    def _covariance(self, mass: Array) -> Array:
        """Covariances of the cells' counts for a token drawn from each row, with probability `mass` [N, C] by cell:
        diag(q) - q q', flat."""
        variance = mass * (1 - mass)
        if self.binning == "equal_mass":
            return variance
        products = -mass[:, :, None] * mass[:, None, :]
        cell = np.arange(mass.shape[1])
        products[:, cell, cell] = variance
        return products.reshape(len(mass), -1)
