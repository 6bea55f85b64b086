"""The kernels against the plain float64 way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from calibration_tuning.metrics import row_statistics as module
from calibration_tuning.metrics.kernels import cpu
from calibration_tuning.metrics.row_statistics import RowStatistics, plain_statistics, row_statistics
from calibration_tuning.metrics.token_bins import GRID, cell_edges, cuts

TENTHS = np.arange(1, 10) / 10
FINE = {
    "log": cuts(cell_edges("log", 10)),
    "grid": cuts(GRID),
    "thousandths": np.arange(1, 1000) / 1000,
    "one": np.array([1e-6, 0.5]),
    "around the least that is listed": np.array([1 / 64 - 1e-9, 1 / 64 - 1e-12, 1 / 64, 1 / 64 + 1e-9, 0.5]),
    "close": np.array([1e-4, 1e-4 * (1 + 1e-7), 2e-4]),
}
needs_compiler = pytest.mark.skipif(cpu.library() is None, reason="there is no C++ compiler")


def made(rows: int, vocabulary: int, scale: float = 4.0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows * vocabulary)
    return (torch.randn(rows, vocabulary, generator=generator) * scale).to(dtype)


def agree(found: RowStatistics, expected: RowStatistics) -> None:
    assert np.array_equal(found.highest, expected.highest)
    assert np.array_equal(found.best, expected.best)
    for name in ("total", "squares"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-6)
    np.testing.assert_allclose(found.mass, expected.mass, atol=1e-6)


@pytest.fixture
def kernel_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain way is out of reach, so that it cannot stand in."""

    def refused(*arguments: object) -> RowStatistics:
        raise AssertionError("the plain way was taken")

    monkeypatch.setattr(module, "plain_statistics", refused)


@needs_compiler
@pytest.mark.usefixtures("kernel_only")
class TestKernel:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("vocabulary", [2, 15, 16, 17, 1023, 1024, 1025, 49_152])
    @pytest.mark.parametrize("scale", [0.1, 4.0, 40.0])
    def test_equals_the_plain_way(self, dtype: torch.dtype, vocabulary: int, scale: float) -> None:
        logits = made(40, vocabulary, scale, dtype)
        agree(row_statistics(logits, TENTHS), plain_statistics(logits, TENTHS))

    @pytest.mark.parametrize("num_bins", [2, 15, 64])
    def test_of_any_few_bins(self, num_bins: int) -> None:
        logits, edges = made(300, 5000, 6.0), np.arange(1, num_bins) / num_bins
        agree(row_statistics(logits, edges), plain_statistics(logits, edges))

    @pytest.mark.parametrize("edges", FINE.values(), ids=FINE)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("scale", [0.1, 4.0, 40.0])
    def test_cells_of_improbable_tokens(self, edges: np.ndarray, dtype: torch.dtype, scale: float) -> None:
        logits = made(40, 20_001, scale, dtype)
        found, expected = row_statistics(logits, edges), plain_statistics(logits, edges)
        agree(found, expected)
        # Of what is improbable too, but for a token that rounding puts on the other side of an edge.
        apart = np.abs(found.mass - expected.mass) > 1e-5 * expected.mass + 1e-15
        assert apart[:, 1:].sum() <= 8
        assert scale < 1 or (expected.mass[:, 1:] > 0).any(), "some cells hold something"

    @pytest.mark.parametrize("edges", FINE.values(), ids=FINE)
    def test_cells_where_floats_are_coarse(self, edges: np.ndarray) -> None:
        # near a million a float32 is good to 0.06: many tokens of equal logits, some of them right above an edge
        logits = (made(20, 3000, 3.0) + 1e6).float()
        agree(row_statistics(logits, edges), plain_statistics(logits, edges))

    def test_rows_of_equal_logits_fill_their_cells(self) -> None:
        logits = torch.full((3, 2000), -200.0)
        logits[0, :10] = 0.0  # ten of 1/10, on an edge: all in the cell above it
        logits[1, [3, 1999]] = 5.0
        found = row_statistics(logits, TENTHS)
        agree(found, plain_statistics(logits, TENTHS))
        assert found.mass[0, 1] == pytest.approx(1, abs=1e-9)
        assert found.best.tolist() == [0, 3, 0]

    def test_extremes_of_float32(self) -> None:
        logits = torch.tensor([[3.4e38, -3.4e38, 0.0], [-3.4e38, -3.4e38, -3.4e38], [1e-40, 0.0, -1e-40]])
        agree(row_statistics(logits, TENTHS), plain_statistics(logits, TENTHS))

    def test_rows_that_rise_to_their_end(self) -> None:
        # every block raises the maximum, so that the sums so far are scaled down each time
        logits = torch.linspace(-200, 50, 20_000).repeat(3, 1)
        agree(row_statistics(logits, TENTHS), plain_statistics(logits, TENTHS))

    def test_a_view_of_wider_rows(self) -> None:
        logits = made(10, 4000)[::2, 100:3000]
        agree(row_statistics(logits, TENTHS), plain_statistics(logits, TENTHS))

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    @pytest.mark.parametrize("place", [0, 1024, 2999])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_refuses_what_is_not_finite(self, bad: float, place: int, dtype: torch.dtype) -> None:
        logits = made(600, 3000, dtype=dtype)
        logits[599, place] = bad
        with pytest.raises(ValueError, match="NaN or infinite"):
            row_statistics(logits, TENTHS)

    def test_threads_do_not_change_a_bit(self) -> None:
        logits, before = made(37, 5000), torch.get_num_threads()
        try:
            torch.set_num_threads(1)
            alone = row_statistics(logits, TENTHS)
            torch.set_num_threads(5)
            together = row_statistics(logits, TENTHS)
        finally:
            torch.set_num_threads(before)
        for one, other in zip(vars(alone).values(), vars(together).values(), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("make", "edges"),
    [
        (lambda: made(5, 300).double(), TENTHS),
        (lambda: made(300, 5).T, TENTHS),
    ],
    ids=["float64", "columns apart"],
)
def test_takes_the_plain_way_where_a_kernel_is_no_help(make: Callable[[], torch.Tensor], edges: np.ndarray) -> None:
    found, expected = row_statistics(make(), edges), plain_statistics(make(), edges)
    for one, other in zip(vars(found).values(), vars(expected).values(), strict=True):
        assert np.array_equal(one, other)


def test_logits_so_large_that_probabilities_are_lost_in_their_rounding() -> None:
    largest = torch.finfo(torch.float32).max
    logits = torch.tensor([[largest, -largest, 0.0], [-largest] * 3, [1e-40, 0.0, -1e-40], [largest] * 3])
    for one in (logits, torch.full((2, 100), 1e20), torch.full((2, 5000), largest)):
        agree(row_statistics(one, GRID), plain_statistics(one, GRID))


@pytest.mark.parametrize("compiler", ["", "/no/such/compiler", "false"])
def test_without_a_compiler_that_works(monkeypatch: pytest.MonkeyPatch, compiler: str) -> None:
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setenv("PATH", "/usr/bin" if compiler else "")
    cpu.library.cache_clear()
    try:
        assert cpu.library() is None
        logits = made(70, 300)
        assert np.array_equal(row_statistics(logits, TENTHS).total, plain_statistics(logits, TENTHS).total)
    finally:
        cpu.library.cache_clear()


def no_compiler() -> None:
    raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable or set it in Triton")


def no_headers() -> None:
    raise subprocess.CalledProcessError(1, ["gcc", "main.c", "-I/usr/include/python3.11"])


def no_libcuda() -> None:
    raise AssertionError("libcuda.so cannot be found!")


@pytest.mark.parametrize("probe", [no_compiler, no_headers, no_libcuda])
def test_where_triton_cannot_launch(monkeypatch: pytest.MonkeyPatch, probe: Any) -> None:
    """As on a GPU machine without a compiler, Python's headers or libcuda: the plain way, and said once."""
    kernel = SimpleNamespace(read_rows=None, probe=probe)
    monkeypatch.setitem(sys.modules, "calibration_tuning.metrics.kernels.gpu", kernel)
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__spec__=object()))
    monkeypatch.setitem(module.KERNELS, "cpu", module._gpu_kernel)
    module._gpu_kernel.cache_clear()
    logits = made(70, 300)
    try:
        with pytest.warns(RuntimeWarning, match="Triton cannot start a kernel here") as told:
            found = [row_statistics(logits, TENTHS) for _ in range(2)]
    finally:
        module._gpu_kernel.cache_clear()
    assert len(told) == 1
    for statistics in found:
        assert np.array_equal(statistics.total, plain_statistics(logits, TENTHS).total)


def test_no_rows() -> None:
    assert row_statistics(torch.zeros(0, 7), TENTHS).mass.shape == (0, 10)


INTERPRETED = """
import numpy as np, torch
from calibration_tuning.metrics import row_statistics as module
from calibration_tuning.metrics.kernels.gpu import probe, read_rows
from tests.calibration_tuning.metrics.test_row_statistics import TENTHS, agree, made
module.KERNELS["cpu"] = lambda: read_rows
plain, module.plain_statistics = module.plain_statistics, None
probe("cpu")
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    for vocabulary in (2, 4095, 4097, 9000):
        logits = made(5, vocabulary, 5.0, dtype)
        agree(module.row_statistics(logits, TENTHS), plain(logits, TENTHS))
ties = torch.full((2, 9000), -30.0)
ties[0, 4090:4100], ties[1, [5, 8999]] = 0.0, 40.0
agree(module.row_statistics(ties, TENTHS), plain(ties, TENTHS))
for bad in ("nan", "inf", "-inf"):
    logits[3, 4097] = float(bad)
    try:
        module.row_statistics(logits, TENTHS)
    except ValueError:
        continue
    raise AssertionError(bad)
print("agreed")
"""
COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from calibration_tuning.metrics.kernels.gpu import BLOCK, read_rows_kernel
names = read_rows_kernel.arg_names
kinds = "i32 i32 fp32 i32 *fp64 *i64 *fp64 *fp64 *i64 *i64 *fp32 i32 constexpr".split()
for logits in ("*fp32", "*bf16"):
    signature = dict(zip(names, [logits, *kinds], strict=True))
    source = ASTSource(fn=read_rows_kernel, signature=signature, constexprs={"block": BLOCK})
    for capability in (80, 90):  # A100, H100
        assert triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
print("compiled")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("script", "said", "interpret"), [(INTERPRETED, "agreed", "1"), (COMPILED, "compiled", "0")])
def test_gpu_kernel_without_a_gpu(tmp_path: Path, script: str, said: str, interpret: str) -> None:
    """Its arithmetic in Triton's interpreter, and that it compiles for the GPUs that people have."""
    pytest.importorskip("triton", reason="triton is not installed")
    settings = {"TRITON_INTERPRET": interpret, "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": "."}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | settings, check=False
    )
    assert result.stdout.strip() == said, result.stderr[-2000:]
