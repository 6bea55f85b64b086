"""Bins of probabilities for token-level calibration.

`equal_width`: [m/M, (m+1)/M). Bin 0 holds nearly all (position, token) pairs, as most of a vocabulary is improbable.
`log`: a decade each: [0, 10^(1-M)), [10^(1-M), 10^(2-M)), ..., [0.1, 1].
`equal_mass`: every bin holds the same share of the *probability*, so that as many tokens are expected to be realised in
each, N/M. (Bins of as many *pairs* each would put all tokens that ever occur into the last one.)

In all, an edge belongs to the bin above it, by a relative 1e-9 so that rounding does not decide (where two bfloat16
logits share a row, log-odds are multiples of 1/8, which edges are too), and 1.0 to the last. The edges of `equal_mass`
are known only when all has been seen; sums are therefore kept on a fixed grid of cells, an eighth in log-odds wide,
and cells are joined to bins at the end. Equal probabilities always share a bin.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.special import expit

Array = np.ndarray
Binning = Literal["equal_width", "log", "equal_mass"]
BINNINGS: tuple[Binning, ...] = get_args(Binning)
GRID = expit(np.arange(-20.0, 12.0, 0.125))
"""Inner edges of the cells, from 2e-9 to 1 - 7e-6."""
ON_EDGE = 1e-9


def cell_edges(binning: Binning, num_bins: int) -> Array:
    """Inner edges of the cells that sums are kept for; for `equal_width` and `log` the cells are the bins."""
    if binning == "equal_width":
        return np.arange(1, num_bins) / num_bins
    if binning == "log":
        return np.array([float(f"1e-{digits}") for digits in range(num_bins - 1, 0, -1)])
    return GRID


def cuts(edges: Array) -> Array:
    """What probabilities are compared with, a little below the `edges`."""
    return edges * (1 - ON_EDGE)


def equal_parts(weight: Array, num_bins: int) -> Array:
    """Bin of each cell, [C], so that bins hold about equal parts of all `weight`; a cell is where its middle is."""
    total = weight.sum()
    if not total:
        return np.zeros(len(weight), dtype=np.int64)
    middle = (np.cumsum(weight) - weight / 2) / total
    return np.clip((middle * num_bins).astype(np.int64), 0, num_bins - 1)


def joined(cells: Array, bin_of: Array, num_bins: int) -> Array:
    """Sums of `cells` [..., C] by bin, [..., M]."""
    return cells @ np.eye(num_bins)[bin_of]
