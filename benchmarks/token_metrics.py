"""python -m benchmarks token_metrics: Full-ECE, vocabulary Brier, NLL and top-1 of logits, ours against other ways.

The others: a user's softmax, bucketize and bincount; and the binary calibration error of torchmetrics, netcal and
PyCalib of the flattened (position, token) pairs, which is Full-ECE / K, without the other metrics. The floor is one
read of the logits. `off by` is the distance of each way's Full-ECE from the one computed in float64. More
`--positions` than 512 come in parts of 512, as they do from a model; only ours is timed then. With another `--binning`
only ours is timed too, with the kernel and without.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, cast

import torch
import torch.nn.functional as F
import typer

from benchmarks.paired import machine, median_and_range, paired, ratios, table
from calibration_tuning.lm.models import default_device
from calibration_tuning.metrics import row_statistics
from calibration_tuning.metrics.token_bins import Binning
from calibration_tuning.metrics.token_calibration import TokenCalibration

BINS = 10
PART = 512
VOCABULARIES = (49_152, 151_936)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Logits = tuple[torch.Tensor, torch.Tensor]


def main(
    vocabulary: Annotated[list[int] | None, typer.Option(help="K; SmolLM2's and Qwen's if not given.")] = None,
    dtype: Annotated[list[str] | None, typer.Option(help="float32 or bfloat16; both if not given.")] = None,
    positions: Annotated[int, typer.Option(help="N, up to 512 against the others, more in parts.")] = PART,
    pairs: int = 5,
    others: Annotated[bool, typer.Option(help="Time netcal and PyCalib too, which take seconds a run.")] = True,
    binning: Annotated[str, typer.Option(help="equal_width, log or equal_mass.")] = "equal_width",
) -> None:
    print(machine("torchmetrics", *(("netcal", "pycalib") if others else ())))
    for size in vocabulary or VOCABULARIES:
        for kind in dtype or DTYPES:
            logits, targets = made(min(positions, PART), size, DTYPES[kind])
            print(f"\nN = {positions:,}, K = {size:,}, {kind}: logits of {logits.nbytes / 2**20:,.0f} MiB at a time\n")
            if positions > PART:
                print(in_parts(logits, targets, positions, pairs))
            else:
                print(side_by_side(logits, targets, pairs, others, cast(Binning, binning)))


def made(positions: int, vocabulary: int, dtype: torch.dtype) -> Logits:
    """Rows as peaked as a language model's, some more than others, and targets drawn from them but for one in five."""
    generator = torch.Generator().manual_seed(0)
    scale = 1 + 3 * torch.rand(positions, 1, generator=generator)
    logits = (torch.randn(positions, vocabulary, generator=generator) * scale).to(dtype)
    targets = torch.multinomial(logits.float().softmax(-1), 1, generator=generator).squeeze(1)
    wrong = torch.rand(positions, generator=generator) < 0.2
    targets[wrong] = torch.randint(vocabulary, (int(wrong.sum()),), generator=generator)
    device = default_device()
    return logits.to(device), targets.to(device)


def side_by_side(
    logits: torch.Tensor, targets: torch.Tensor, pairs: int, slow_libraries: bool, binning: Binning
) -> str:
    values: dict[str, float] = {}
    ways: dict[str, Callable[[torch.Tensor, torch.Tensor], float]] = {
        "ours": partial(ours, binning=binning),
        "ours, without a kernel": partial(plain, binning=binning),
    }
    same_bins = binning == "equal_width"
    if same_bins:
        ways |= {"softmax, bucketize, bincount": naive, "torchmetrics, flattened": by_torchmetrics}
    if same_bins and slow_libraries:
        ways |= {"netcal, flattened": by_netcal, "PyCalib, flattened": by_pycalib}

    def run(name: str) -> Callable[[], None]:
        return lambda: values.__setitem__(name, ways[name](logits, targets))

    timings = paired({"one read": lambda: one_read(logits)} | {name: run(name) for name in ways}, pairs)
    exact = plain(logits.double(), targets, binning)
    columns = {
        "times ours": {name: median_and_range(ratios(timings, name, "ours")) for name in ways if name != "ours"},
        "of the logits": {name: f"{(timings[name].peak or 0) / logits.nbytes:.1%}" for name in ways},
        f"off by (of {exact:.4f})": {name: f"{abs(values[name] - exact):.0e}" for name in ways},
    }
    return table(timings, "one read", **columns)


def in_parts(logits: torch.Tensor, targets: torch.Tensor, positions: int, pairs: int) -> str:
    parts = positions // len(logits)

    def all_of(update: Callable[[TokenCalibration], Any]) -> Callable[[], Any]:
        def run() -> None:
            tokens = TokenCalibration(BINS)
            for _ in range(parts):
                update(tokens)

        return run

    ways = {
        "one read": all_of(lambda tokens: one_read(logits)),
        "ours": all_of(lambda tokens: tokens.update(logits, targets)),
    }
    timings = paired(ways, pairs)
    peak = f"{timings['ours'].peak or 0:,} bytes"
    return (
        f"ours {timings['ours'].median:.2f} s, {median_and_range(ratios(timings, 'ours', 'one read'))} times one read; "
        f"memory on top of the logits at hand: {peak}"
    )


def one_read(logits: torch.Tensor) -> torch.Tensor:
    """Sum of the bits, eight bytes at a time: as little work a byte as there is."""
    return logits.view(torch.int64).sum()


def ours(logits: torch.Tensor, targets: torch.Tensor, binning: Binning = "equal_width") -> float:
    tokens = TokenCalibration(BINS, binning)
    tokens.update(logits, targets)
    return float(tokens.compute()["full_ece"] or 0)


def plain(logits: torch.Tensor, targets: torch.Tensor, binning: Binning = "equal_width") -> float:
    kernels, row_statistics.KERNELS = row_statistics.KERNELS, {}
    try:
        return ours(logits, targets, binning)
    finally:
        row_statistics.KERNELS = kernels


def naive(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """As one would write it down, with the same four metrics."""
    p = logits.float().softmax(-1)
    realised = F.one_hot(targets, p.shape[1]).float()
    bins = torch.bucketize(p.flatten(), torch.linspace(0, 1, BINS + 1, device=p.device)[1:-1], right=True)
    predicted = torch.bincount(bins, weights=p.flatten(), minlength=BINS)
    happened = torch.bincount(bins, weights=realised.flatten(), minlength=BINS)
    ((p - realised) ** 2).sum(-1).mean()
    F.cross_entropy(logits.float(), targets)
    confidence, best = p.max(-1)
    place = torch.bucketize(confidence, torch.linspace(0, 1, BINS + 1, device=p.device)[1:-1], right=True)
    torch.bincount(place, weights=(best == targets).float() - confidence, minlength=BINS).abs().sum()
    return float((happened - predicted).abs().sum() / len(p))


def by_torchmetrics(logits: torch.Tensor, targets: torch.Tensor) -> float:
    from torchmetrics.functional.classification import binary_calibration_error

    p = logits.float().softmax(-1)
    realised = F.one_hot(targets, p.shape[1])
    return float(binary_calibration_error(p.flatten(), realised.flatten(), n_bins=BINS)) * p.shape[1]


def by_netcal(logits: torch.Tensor, targets: torch.Tensor) -> float:
    from netcal.metrics import ECE

    p = logits.float().softmax(-1)
    realised = F.one_hot(targets, p.shape[1])
    return float(ECE(bins=BINS).measure(p.flatten().cpu().numpy(), realised.flatten().cpu().numpy())) * p.shape[1]


def by_pycalib(logits: torch.Tensor, targets: torch.Tensor) -> float:
    from pycalib.metrics import binary_ECE

    p = logits.float().softmax(-1)
    realised = F.one_hot(targets, p.shape[1])
    return float(binary_ECE(realised.flatten().cpu().numpy(), p.flatten().cpu().numpy(), bins=BINS)) * p.shape[1]


if __name__ == "__main__":
    typer.run(main)
