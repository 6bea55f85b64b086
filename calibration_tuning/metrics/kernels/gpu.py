"""What rows.cpp does, for a GPU: a Triton program a row, one pass over its logits."""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

Array = np.ndarray
BLOCK = 4096


@triton.jit
def read_rows_kernel(
    logits,
    vocabulary,
    stride,
    log_least,
    most,
    highest,
    best,
    total,
    squares,
    large,
    large_count,
    peaks,
    blocks,
    block: tl.constexpr,
):
    i = tl.program_id(0).to(tl.int64)
    row = logits + i * stride
    lanes = tl.arange(0, block)
    top = tl.full((), float("-inf"), tl.float32)
    place = tl.full((), 0, tl.int32)
    total_i = tl.full((), 0.0, tl.float64)
    squares_i = tl.full((), 0.0, tl.float64)
    bad = tl.full((), 0, tl.int32)
    for b in range(blocks):
        columns = b * block + lanes
        inside = columns < vocabulary
        x = tl.load(row + columns, mask=inside, other=float("-inf")).to(tl.float32)
        bad += tl.sum((inside & ((x != x) | (tl.abs(x) == float("inf")))).to(tl.int32), 0)
        peak = tl.max(x, 0)
        tl.store(peaks + i * blocks + b, peak)
        if peak > top:
            down = tl.exp((top - peak).to(tl.float64))
            total_i *= down
            squares_i *= down * down
            place = b * block + tl.argmax(x, 0).to(tl.int32)
            top = peak
        e = tl.where(inside, tl.exp(x - top), 0.0)
        total_i += tl.sum(e, 0).to(tl.float64)
        squares_i += tl.sum(e * e, 0).to(tl.float64)
    least = top.to(tl.float64) + tl.log(total_i) + log_least
    count = tl.full((), 0, tl.int32)
    for b in range(blocks):
        # Only the few blocks that hold something probable are read again.
        if tl.load(peaks + i * blocks + b).to(tl.float64) >= least:
            columns = b * block + lanes
            x = tl.load(row + columns, mask=columns < vocabulary, other=float("-inf")).to(tl.float32)
            is_large = x.to(tl.float64) >= least
            ones = is_large.to(tl.int32)
            at = count + tl.cumsum(ones, 0) - 1
            tl.store(large + i * most + at, columns.to(tl.int64), mask=is_large & (at < most))
            count += tl.sum(ones, 0)
    tl.store(highest + i, top.to(tl.float64))
    tl.store(best + i, place.to(tl.int64))
    tl.store(total + i, total_i)
    tl.store(squares + i, squares_i)
    tl.store(large_count + i, tl.where(bad > 0, -1, tl.minimum(count, most)).to(tl.int64))


def read_rows(logits: Tensor, log_least: float, most: int, log_edges: Array, into: tuple[Tensor, ...]) -> bool:
    """Fill `into` for logits [N, K]; False where this kernel cannot, as with cells of improbable tokens."""
    if len(log_edges) or logits.stride(1) != 1 or logits.dtype == torch.float64:
        return False
    count, vocabulary = logits.shape
    blocks = triton.cdiv(vocabulary, BLOCK)
    peaks = torch.empty(count, blocks, device=logits.device)
    outputs = (*into[:-1], peaks)
    with torch.cuda.device_of(logits):  # Triton launches on the current device, whichever holds its arguments
        read_rows_kernel[(count,)](logits, vocabulary, logits.stride(0), log_least, most, *outputs, blocks, block=BLOCK)
    return True


def probe(device: str = "cuda") -> None:
    """Read one row. Raises what Triton raises where it cannot compile or launch."""
    logits, most = torch.zeros(1, 2, device=device), 2
    numbers = [torch.empty(1, dtype=torch.float64, device=device) for _ in range(3)]
    best, large_count, large = (torch.empty(1, n, dtype=torch.int64, device=device) for n in (1, 1, most))
    highest, total, squares = numbers
    read_rows(logits, -1.0, most, np.zeros(0), (highest, best, total, squares, large, large_count, large))
