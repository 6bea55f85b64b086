"""python -m benchmarks head_metrics: token metrics from hidden states, the projection to the vocabulary included.

The floor is that projection alone, a matrix product; its rate is printed. The other way projects all positions at once
and does what benchmarks/token_metrics.py calls naive.
"""

from __future__ import annotations

import torch
import typer

from benchmarks.paired import machine, paired, table
from benchmarks.token_metrics import BINS, DTYPES, naive
from calibration_tuning.lm.models import default_device
from calibration_tuning.metrics.token_calibration import HEAD_CHUNK, TokenCalibration


def main(
    positions: int = 512, vocabulary: int = 49_152, hidden: int = 576, dtype: str = "float32", pairs: int = 5
) -> None:
    device, kind = default_device(), DTYPES[dtype]
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(positions, hidden, generator=generator).to(device, kind)
    weight = (torch.randn(vocabulary, hidden, generator=generator) * 3 / hidden**0.5).to(device, kind)
    targets = torch.randint(vocabulary, (positions,), generator=generator).to(device)

    def head(part: torch.Tensor) -> torch.Tensor:
        return part @ weight.T

    def product() -> None:
        for start in range(0, positions, HEAD_CHUNK):
            head(states[start : start + HEAD_CHUNK])

    ways = {
        "the product alone": product,
        "ours": lambda: TokenCalibration(BINS).update_hidden(states, head, targets),
        "all logits, then naive": lambda: naive(head(states), targets),
    }
    timings = paired(ways, pairs)
    rate = 2 * positions * vocabulary * hidden / timings["the product alone"].median / 1e9
    sizes = f"N = {positions:,}, H = {hidden:,}, K = {vocabulary:,}"
    print(f"{machine()}; {sizes}, {dtype}; the product at {rate:,.0f} GFLOP/s\n")
    print(table(timings, "the product alone"))


if __name__ == "__main__":
    typer.run(main)
