"""Token-level calibration against the definitions, pair by pair in float64, and what may not change it."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibration_tuning.metrics.bootstrap import Interval
from calibration_tuning.metrics.token_bins import BINNINGS, Binning, joined
from calibration_tuning.metrics.token_calibration import TOKEN_METRICS, TokenCalibration


def probabilities(logits: np.ndarray) -> np.ndarray:
    z = logits.astype(np.float64)
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


STEP = [1 / (1 + math.exp(-(-20 + 0.125 * i))) for i in range(256)]
"""Edges an eighth apart in log-odds, written down anew."""


def bins_of(p: np.ndarray, num_bins: int, binning: Binning) -> np.ndarray:
    """Bin of every probability, by the definitions of `calibration_tuning.metrics.token_bins`."""
    if binning == "equal_width":
        edges = [m / num_bins for m in range(1, num_bins)]
    elif binning == "log":
        edges = [float(f"1e-{m}") for m in range(num_bins - 1, 0, -1)]
    else:
        edges = STEP
    cells = np.digitize(p, edges)  # an edge belongs to the bin above it
    return shares(cells, p, num_bins)[cells] if binning == "equal_mass" else cells


def shares(cells: np.ndarray, weight: np.ndarray, num_bins: int) -> np.ndarray:
    """Bin of every cell: where the middle of its weight lies among all."""
    totals = np.bincount(cells.ravel(), weights=weight.ravel(), minlength=len(STEP) + 1)
    found, below = [], 0.0
    for total in totals.tolist():
        found.append(min(num_bins - 1, int((below + total / 2) / totals.sum() * num_bins)))
        below += total
    return np.array(found)


def brute_force(logits: np.ndarray, targets: np.ndarray, num_bins: int, binning: Binning) -> dict[str, Any]:
    """The definitions of the module's docstring, pair by pair, in float64."""
    p = probabilities(logits)
    n, k = p.shape
    realised = np.zeros((n, k))
    realised[np.arange(n), targets] = 1
    bins = bins_of(p, num_bins, binning)
    gaps = [abs((realised - p)[bins == m].sum()) for m in range(num_bins)]
    q = np.stack([np.where(bins == m, p, 0).sum(1) for m in range(num_bins)], 1)
    top, best = p.max(1), p.argmax(1)
    hit = (best == targets).astype(float)
    width = bins_of(top, num_bins, "equal_width")
    top_gaps = [abs((hit - top)[width == m].sum()) for m in range(num_bins)]
    cells = np.digitize(top, STEP)
    adaptive_bins = shares(cells, np.ones(n), num_bins)[cells]
    adaptive = [abs((hit - top)[adaptive_bins == m].sum()) for m in range(num_bins)]
    chance = None if binning == "equal_mass" else np.sqrt(2 / np.pi * (q * (1 - q)).sum(0)).sum() / n
    return {
        "full_ece": sum(gaps) / n,
        "full_ece_nk": sum(gaps) / (n * k),
        "vocabulary_brier": ((p - realised) ** 2).sum() / n,
        "nll": -np.log(p[np.arange(n), targets]).mean(),
        "top1_ece": sum(top_gaps) / n,
        "top1_ace": sum(adaptive) / n,
        "accuracy": hit.mean(),
        "full_ece_if_calibrated": chance,
        "n": n,
    }


def seen(
    logits: Any, targets: Any, num_bins: int = 10, binning: Binning = "equal_width", ids: Any = None
) -> TokenCalibration:
    found = TokenCalibration(num_bins, binning)
    found.update(torch.as_tensor(logits), torch.as_tensor(targets), ids)
    return found


@pytest.mark.parametrize("binning", BINNINGS)
@pytest.mark.parametrize("num_bins", [2, 10, 15])
@pytest.mark.parametrize("vocabulary", [2, 7, 5000])
@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0])
def test_equals_brute_force(num_bins: int, vocabulary: int, scale: float, binning: Binning) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(150, vocabulary)) * scale
    targets = generator.integers(0, vocabulary, 150)
    found = seen(logits, targets, num_bins, binning).compute()
    expected = brute_force(logits, targets, num_bins, binning)
    # A square root of what rounding leaves of 0.
    assert found.pop("full_ece_if_calibrated") == pytest.approx(expected.pop("full_ece_if_calibrated"), abs=1e-7)
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("binning", BINNINGS)
def test_ties_and_one_hot_rows(binning: Binning) -> None:
    generator = np.random.default_rng(1)
    logits = generator.integers(-2, 3, size=(60, 40)).astype(float)  # many equal logits in every row
    logits[:10] = 0.0  # all 40 tokens at exactly 1/40
    logits[10:20, 3] = 30.0  # nearly one-hot
    targets = generator.integers(0, 40, 60)
    targets[10:15] = 3
    found = seen(logits, targets, 10, binning).compute()
    assert found == pytest.approx(brute_force(logits, targets, 10, binning), abs=1e-9)


def test_probabilities_on_bin_edges_and_one() -> None:
    # Row 0: p = (1/2, 1/2), exactly on an edge of 10 bins: both belong to bin 5, gap 1 - 1/2 - 1/2 = 0.
    # Row 1: p = (1, 0), target 1: bin 9 (1.0 is in the last bin) has gap -1, bin 0 gap +1.
    # Full-ECE = (|0| + |-1| + |1|) / 2 = 1.
    found = seen(torch.tensor([[0.0, 0.0], [1000.0, 0.0]], dtype=torch.float64), [0, 1])
    bins = found.bins()
    assert (bins.realised - bins.predicted).tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, -1]
    assert found.compute()["full_ece"] == 1.0


@pytest.mark.parametrize("size", [2, 4, 5, 10, 20])
def test_uniform_rows_stand_on_edges(size: int) -> None:
    # p = 1/size for all tokens. For 2, 4 (of 4 bins), 5, 10 that is an edge, and belongs to the bin above it, all alone
    # there: its gap is 1 - size/size = 0. Nothing else is anywhere.
    found = seen(np.zeros((6, size)), np.zeros(6, dtype=int), size).compute()
    assert found["full_ece"] == pytest.approx(0, abs=1e-12)
    assert found["vocabulary_brier"] == pytest.approx(1 - 1 / size)


@pytest.mark.slow
@pytest.mark.parametrize("with_kernel", [True, False])
def test_rounding_does_not_decide_about_edges(with_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_kernel:
        monkeypatch.setattr("calibration_tuning.metrics.row_statistics.KERNELS", {})
    # p = 10^-d for all tokens: an edge of the log bins, and the bin above it has everything.
    for digits in (1, 2, 3, 4):
        bins = seen(torch.full((2, 10**digits), 3.7), [0, 0], 10, "log").bins()
        assert bins.predicted[10 - digits] == pytest.approx(2)
    # Log-odds of a multiple of 1/8, an edge of the grid, wherever they are computed from.
    cells = [seen(torch.tensor([[base, base + 6.0]]), [0], 10, "equal_mass") for base in (0.0, 0.5, -7.75, 19.875)]
    filled = [np.flatnonzero(one.sums[0][4 : 4 + 257] > 1e-12).tolist() for one in cells]
    assert all(places == filled[0] for places in filled)


def test_worst_case_is_two() -> None:
    # Always certain and always wrong: gap -1 in the last bin, +1 in the first, for each position.
    found = seen(torch.tensor([[1000.0, 0.0]] * 3), [1, 1, 1]).compute()
    assert (found["full_ece"], found["vocabulary_brier"], found["top1_ece"]) == (2.0, 2.0, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("binning", BINNINGS)
def test_small_floats_do_not_lose_the_small_probabilities(dtype: torch.dtype, binning: Binning) -> None:
    # Summing 150,000 probabilities of 1e-6 into a float32 bin stagnates; the known-wrong value is twice too high.
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(32, 151_936, generator=generator) * 2).to(dtype)
    targets = torch.randint(0, 151_936, (32,), generator=generator)
    expected = brute_force(logits.double().numpy(), targets.numpy(), 10, binning)
    found = seen(logits, targets, 10, binning).compute()
    # 1 minus a cell's mass, of a relative error of some 1e-7, where the mass is nearly 1.
    assert found.pop("full_ece_if_calibrated") == pytest.approx(expected.pop("full_ece_if_calibrated"), abs=1e-6)
    assert found == pytest.approx(expected, abs=1e-8)


def test_equal_mass_bins_hold_equal_probability() -> None:
    generator = torch.Generator().manual_seed(3)
    logits, targets = torch.randn(400, 500, generator=generator) * 4, torch.randint(0, 500, (400,), generator=generator)
    bins = seen(logits, targets, 10, "equal_mass").bins()
    assert bins.predicted.sum() == pytest.approx(400)
    assert bins.predicted == pytest.approx(np.full(10, 40.0), abs=4)  # 40 each, but for a cell of the grid
    assert (np.diff(bins.low) > 0).all()
    assert bins.low[1:] == pytest.approx(bins.high[:-1])
    # By definition with the bins' ends as edges.
    p = probabilities(logits.numpy())
    inside = np.searchsorted(bins.high[:-1], p, side="right")
    assert joined(p.ravel(), inside.ravel(), 10) == pytest.approx(bins.predicted, rel=1e-6)


def test_top1_ace_is_near_that_of_exact_quantiles() -> None:
    from calibration_tuning.metrics.calibration_error import ace

    generator = np.random.default_rng(5)
    logits, targets = generator.normal(size=(3000, 8)) * 2, generator.integers(0, 3, 3000)
    p = probabilities(logits)
    exact = ace(p.max(1), (p.argmax(1) == targets).astype(float), 10)
    assert seen(logits, targets).compute()["top1_ace"] == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("binning", BINNINGS)
def test_batches_order_and_merging_do_not_matter(binning: Binning) -> None:
    generator = torch.Generator().manual_seed(1)
    logits, targets = torch.randn(200, 50, generator=generator) * 4, torch.randint(0, 50, (200,), generator=generator)
    ids = torch.randint(0, 20, (200,), generator=generator).numpy()
    whole = seen(logits, targets, 10, binning, ids)
    order = torch.randperm(200, generator=generator)
    first, second = TokenCalibration(10, binning), TokenCalibration(10, binning)
    first.update(logits[order[:77]], targets[order[:77]], ids[order[:77]])
    for start in range(77, 200, 13):
        part = order[start : start + 13]
        second.update(logits[part], targets[part], ids[part])
    first.merge(second)
    assert first.compute() == pytest.approx(whole.compute(), abs=1e-12)
    merged, at_once = (tokens.compute_intervals(50)["nll"].as_dict() for tokens in (first, whole))
    assert merged == pytest.approx(at_once, abs=1e-12)  # sums of another order may differ in the last digit


def test_from_hidden_states_in_chunks() -> None:
    generator = torch.Generator().manual_seed(2)
    head = torch.nn.Linear(12, 90, bias=False)
    hidden, targets = torch.randn(300, 12, generator=generator), torch.randint(0, 90, (300,), generator=generator)
    sizes = []

    def watched(part: torch.Tensor) -> torch.Tensor:
        sizes.append(len(part))
        return head(part)

    ours = TokenCalibration()
    with torch.no_grad():
        ours.update_hidden(hidden, watched, targets, list(range(300)))
        plain = seen(head(hidden), targets, ids=range(300))
    assert max(sizes) <= 128
    assert sum(sizes) == 300
    assert ours.compute() == pytest.approx(plain.compute(), abs=1e-7)


RANKS = """
import torch, torch.distributed as dist
from calibration_tuning.metrics.token_calibration import TokenCalibration
dist.init_process_group("gloo")
rank, generator = dist.get_rank(), torch.Generator().manual_seed(4)
logits, targets = torch.randn(90, 30, generator=generator), torch.randint(0, 30, (90,), generator=generator)
ids = [i // 3 for i in range(90)]
mine = slice(0, 40) if rank == 0 else slice(40, 90)
found, whole = TokenCalibration(), TokenCalibration()
found.update(logits[mine], targets[mine], ids[mine])
found.gather()
whole.update(logits, targets, ids)
for name, value in whole.compute().items():
    assert abs(found.compute()[name] - value) < 1e-12, name
ours, theirs = found.compute_intervals(50)["nll"], whole.compute_intervals(50)["nll"]
assert all(abs(getattr(ours, k) - getattr(theirs, k)) < 1e-12 for k in ("value", "low", "high"))
print(f"rank {rank} agrees over {len(found.sums)} sequences", flush=True)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_ranks(tmp_path: Path) -> None:
    (tmp_path / "ranks.py").write_text(RANKS)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port]
    result = subprocess.run(
        [*command, str(tmp_path / "ranks.py")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": "."},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("agrees over 30 sequences") == 2


def test_merging_an_empty_one_changes_nothing() -> None:
    ours = seen(torch.randn(5, 4), torch.zeros(5, dtype=torch.long))
    before = ours.compute()
    ours.merge(TokenCalibration())
    assert ours.compute() == before
    fresh = TokenCalibration()
    fresh.merge(ours)
    assert fresh.compute() == before


def test_restored_sums_are_the_same() -> None:
    ours = seen(torch.randn(6, 4), torch.zeros(6, dtype=torch.long), ids=[3, 3, 1, 1, 1, 7])
    again = TokenCalibration().restored(4, ours.sums)
    assert again.compute() == ours.compute()
    assert sorted(again.sums) == [1, 3, 7]


def test_what_is_seen_later_counts_too() -> None:
    generator = torch.Generator().manual_seed(3)
    logits, targets = torch.randn(30, 7, generator=generator), torch.randint(0, 7, (30,), generator=generator)
    whole = seen(logits, targets, ids=range(30))
    first = seen(logits[:10], targets[:10], ids=range(10))
    first.compute()
    first.update(logits[10:20], targets[10:20], range(10, 20))
    assert first.compute()["n"] == 20
    first.merge(seen(logits[20:], targets[20:], ids=range(20, 30)))
    assert first.compute() == pytest.approx(whole.compute(), abs=1e-12)
    merged, at_once = (tokens.compute_intervals(50)["nll"].as_dict() for tokens in (first, whole))
    assert merged == pytest.approx(at_once, abs=1e-12)  # sums of another order may differ in the last digit
    restored = TokenCalibration().restored(7, whole.sums)
    restored.update(logits, targets, range(30))
    assert (restored.compute()["n"], whole.compute()["n"]) == (60, 30)


@pytest.mark.parametrize("binning", BINNINGS)
def test_parts_of_any_size_give_the_same(binning: Binning, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(4)
    logits, targets = torch.randn(50, 9, generator=generator) * 3, torch.randint(0, 9, (50,), generator=generator)
    ids = torch.randperm(50, generator=generator).tolist()
    found = []
    for size in (1, 7, 50, 1000):
        monkeypatch.setattr("calibration_tuning.metrics.token_calibration.CHUNK", size)
        ours = seen(logits, targets, binning=binning, ids=ids)
        found.append((ours.compute(), ours.compute_intervals(40, groups=[i // 2 for i in range(50)])))
    plain = seen(logits, targets, binning=binning).compute()
    for values, intervals in found:
        assert values == pytest.approx(plain, abs=1e-12)
        for name, entry in intervals.items():
            first = found[0][1][name]
            assert (entry.low, entry.high) == pytest.approx((first.low, first.high), abs=1e-12)


def test_no_positions_and_one() -> None:
    nothing = TokenCalibration()
    nothing.update(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long))
    for empty in (TokenCalibration(), nothing):
        found = empty.compute()
        assert found.pop("n") == 0
        assert set(found.values()) == {None}
        for entry in empty.compute_intervals(10).values():
            assert entry == Interval(None, undefined="undefined: no token positions")
    # p = (0.75, 0.25), target 0: bins 7 and 2 have gaps 0.25 and -0.25; Brier (0.25^2) * 2.
    one = seen(torch.tensor([[np.log(3.0), 0.0]]), [0]).compute()
    assert one["n"] == 1
    assert (one["full_ece"], one["vocabulary_brier"]) == (pytest.approx(0.5), pytest.approx(0.125))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_refuses_unusable_logits(bad: float) -> None:
    logits = torch.zeros(2, 3)
    logits[1, 2] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        seen(logits, [0, 1])


@pytest.mark.parametrize("target", [3, -1])
def test_refuses_targets_outside_the_vocabulary(target: int) -> None:
    with pytest.raises(ValueError, match=r"\[0, 3\)"):
        seen(torch.zeros(2, 3), [0, target])
    with pytest.raises(ValueError, match="must be"):
        seen(torch.zeros(2, 3), [0])


def test_refuses_to_merge_unlike() -> None:
    for other in (TokenCalibration(15), TokenCalibration(10, "log")):
        with pytest.raises(ValueError, match="merge"):
            TokenCalibration().merge(other)
    with pytest.raises(ValueError, match="merge"):
        seen(torch.zeros(1, 3), [0]).merge(seen(torch.zeros(1, 4), [0]))
    with pytest.raises(ValueError, match="after logits over 3"):
        seen(torch.zeros(1, 3), [0]).update(torch.zeros(1, 4), torch.tensor([0]))


def test_every_metric_is_described() -> None:
    found = seen(torch.zeros(1, 3), [0]).compute()
    assert {*found} == {*TOKEN_METRICS, "full_ece_if_calibrated", "n"}
