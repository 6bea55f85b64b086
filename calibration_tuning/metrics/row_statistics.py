"""What token-level calibration needs of a row of logits: sums over its vocabulary.

With p the softmax of a row [K], its highest logit h and Z = sum_k exp(x[k] - h):

    highest, best   h and where it is
    total           Z, so that p[k] = exp(x[k] - h) / Z
    squares         sum_k p[k]^2
    mass [C]        the probability in each cell between `edges` [C - 1]

The plain way is float64 throughout. Where a kernel is at hand, it reads the logits once (on a CPU twice if there are
edges below 1/64; on a GPU it does not take those), and needs next to no memory; its sums are good to a relative 1e-6.
The lowest cell is the rest. Tokens above it of a probability of at least 1/64, of which a row has few, are computed in
float64 there too.
"""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray
CHUNK = 64
"""Rows that are copied as float64 at a time, the plain way."""
LARGE = 1 / 64
"""Tokens of this probability are listed by the kernels, where they need a cell."""
HUGE = 1e8
"""Logits so large that a probability is lost in their rounding, where the kernel adds the two."""
SLACK = 1e-5
"""In log p: the kernels list a little more than what is large, as they know log p to about 1e-7 only."""


@dataclass(frozen=True)
class RowStatistics:
    """What token metrics need of N rows of logits, in float64: [N] each, `mass` [N, C]."""

    highest: Array
    best: Array
    total: Array
    squares: Array
    mass: Array


def row_statistics(logits: Tensor, edges: Array) -> RowStatistics:
    """Statistics of logits [N, K] of any float type and device; `edges` ascend, inside (0, 1).

    Raises ValueError for NaN or infinite logits."""
    if not len(logits):
        none = np.zeros(0)
        return RowStatistics(none, none.astype(int), none, none, np.zeros((0, len(edges) + 1)))
    if logits.device.type == "mps":  # which has no float64
        logits = logits.cpu()
    kernel = KERNELS.get(logits.device.type)
    if kernel is not None:
        statistics = _by_kernel(kernel(), logits, edges)
        if statistics is not None:
            return statistics
    parts = [plain_statistics(logits[start : start + CHUNK], edges) for start in range(0, len(logits), CHUNK)]
    fields = zip(*(vars(part).values() for part in parts), strict=True)
    return RowStatistics(*(np.concatenate(field) for field in fields))


def plain_statistics(logits: Tensor, edges: Array) -> RowStatistics:
    """`row_statistics` in a few torch operations, float64 throughout."""
    _check(bool(torch.isfinite(torch.stack(torch.aminmax(logits))).all()))  # the extremes are NaN where anything is
    scores = logits.double()
    highest, best = scores.max(-1)
    # exp once, in place: it is most of the work, and the rows are the memory.
    p = (scores if scores is not logits else scores.clone()).sub_(highest.unsqueeze(1)).exp_()
    total = p.sum(-1)
    p.div_(total.unsqueeze(1))
    inner = torch.as_tensor(edges, dtype=p.dtype, device=p.device)
    mass = p.new_zeros(len(p), len(edges) + 1)
    row, token = (p >= inner[0]).nonzero(as_tuple=True)
    large = p[row, token]
    mass.index_put_((row, torch.bucketize(large, inner, right=True)), large, accumulate=True)
    mass[:, 0] = (1 - mass.sum(1)).clamp(min=0)
    squares = torch.linalg.vecdot(p, p)
    return RowStatistics(*(part.cpu().numpy() for part in (highest, best, total, squares, mass)))


def _by_kernel(read_rows: Callable[..., bool] | None, logits: Tensor, edges: Array) -> RowStatistics | None:
    """None where the kernel cannot."""
    if read_rows is None:
        return None
    if logits.dtype == torch.float16:
        logits = logits.float()
    count = len(logits)
    small = edges[edges < LARGE]
    least = max(edges[0], LARGE)
    most = int(1 / least * 1.01) + 2
    numbers, places = logits.new_empty((3, count), dtype=torch.float64), logits.new_empty((2, count), dtype=torch.int64)
    large = logits.new_empty((count, most), dtype=torch.int64)
    cells = logits.new_empty((count, len(small)), dtype=torch.float64)
    (highest, total, squares), (best, large_count) = numbers, places
    into = (highest, best, total, squares, large, large_count, cells)
    if not read_rows(logits, float(np.log(least)) - SLACK, most, np.log(small), into):
        return None
    _check(bool((large_count >= 0).all()))
    if len(small) and count and bool((highest.abs() > HUGE).any()):
        return None
    row, number = (torch.arange(most, device=large.device) < large_count.unsqueeze(1)).nonzero(as_tuple=True)
    p = (logits[row, large[row, number]].double() - highest[row]).exp() / total[row]
    mass = np.zeros((count, len(edges) + 1))
    mass[:, 1 : len(small) + 1] = cells.cpu().numpy()
    np.add.at(mass, (row.cpu().numpy(), np.digitize(p.cpu().numpy(), edges)), p.cpu().numpy())
    mass[:, 0] = (1 - mass[:, 1:].sum(1)).clip(min=0)
    highest, best, total, squares = (part.cpu().numpy() for part in (highest, best, total, squares))
    return RowStatistics(highest, best, total, squares / total**2, mass)


def _check(finite: bool) -> None:
    if not finite:
        raise ValueError("logits hold NaN or infinite values; calibration is undefined on them")


def _cpu_kernel() -> Callable[..., bool]:
    from calibration_tuning.metrics.kernels.cpu import read_rows

    return read_rows


@functools.cache
def _gpu_kernel() -> Callable[..., bool] | None:
    """None without Triton, or where it cannot start a kernel: it compiles its launcher when first used, for which it
    needs a C compiler, Python's headers and libcuda."""
    if importlib.util.find_spec("triton") is None:
        return None
    try:
        from calibration_tuning.metrics.kernels.gpu import probe, read_rows

        probe()
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, OSError, AssertionError, ImportError, subprocess.CalledProcessError) as error:
        cause = " ".join(str(error).split())[:200]
        warnings.warn(
            f"Triton cannot start a kernel here ({type(error).__name__}: {cause}), so token metrics take a slower way "
            "in float64; it needs a C compiler, Python's headers (python3-dev) and libcuda",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return read_rows


KERNELS: dict[str, Callable[[], Callable[..., bool] | None]] = {"cpu": _cpu_kernel, "cuda": _gpu_kernel}
