"""Time several ways of doing the same thing. They run in turn in one process, so other load affects all of them
alike."""

from __future__ import annotations

import ctypes
import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt."""


@dataclass
class Measured:
    """Seconds of each counted run, and the extra memory in bytes that a further run took at its peak."""

    seconds: list[float] = field(default_factory=list)
    peak: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def paired(ways: Mapping[str, Callable[[], object]], pairs: int = 5, with_memory: bool = True) -> dict[str, Measured]:
    """Run each way once to warm up, then `pairs` times in turn, then once more for its memory."""
    timings = {name: Measured() for name in ways}
    for run in ways.values():
        run()
    for _ in range(pairs):
        for name, run in ways.items():
            timings[name].seconds.append(timed(run))
    for name, run in ways.items() if with_memory else ():
        timings[name].peak = peak_bytes(run)
    return timings


def timed(run: Callable[[], object]) -> float:
    _synchronize()
    start = time.perf_counter()
    run()
    _synchronize()
    return time.perf_counter() - start


def ratios(timings: Mapping[str, Measured], slow: str, fast: str) -> list[float]:
    """How many times as long `slow` takes as `fast`, pair by pair."""
    return [a / b for a, b in zip(timings[slow].seconds, timings[fast].seconds, strict=True)]


def median_and_range(values: list[float]) -> str:
    """Median and range."""
    digits = 0 if min(values) >= 20 else 1 if min(values) >= 3 else 2
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def peak_bytes(run: Callable[[], object]) -> int | None:
    """The most memory that a run takes on top of what is in use: of the GPU where there is one, else of the process
    (Linux only; None elsewhere)."""
    gc.collect()
    if torch.cuda.is_available():
        _synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() - before
    if not STATUS.exists():
        return None
    # What is freed goes back to the system at once, so that the peak is that of what is in use. This makes allocation
    # slow, hence a run of its own.
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, 65_536)
    libc.mallopt(M_TRIM_THRESHOLD, 0)
    libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _memory("VmRSS")
    run()
    return _memory("VmHWM") - before


def table(timings: Mapping[str, Measured], baseline: str, **columns: Mapping[str, str]) -> str:
    """A Markdown table of times, as multiples of those of `baseline`, and memory; further `columns` by way."""
    rows = []
    for name, timing in timings.items():
        times = median_and_range(ratios(timings, name, baseline)) if name != baseline else "1"
        further = [column.get(name, "") for column in columns.values()]
        rows.append([name, f"{timing.median * 1000:,.1f}", times, _mebibytes(timing.peak), *further])
    return markdown(["way", "median, ms", f"times {baseline}", "memory, MiB", *columns], rows)


def _mebibytes(peak: int | None) -> str:
    return "" if peak is None else f"{peak / 2**20:,.{0 if peak > 2**25 else 1}f}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def matmul_rate(dtype: torch.dtype, size: int = 2048) -> float:
    """Floating-point operations a second of a square matrix product on this machine."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    left @ right
    return 2 * size**3 / statistics.median(timed(lambda: left @ right) for _ in range(5))


def machine(*packages: str) -> str:
    """Where and with what the numbers were made."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", *packages))
    return f"{name}, {torch.get_num_threads()} threads, Python {platform.python_version()}, {versions}"


def _processor() -> str:
    if not (info := Path("/proc/cpuinfo")).exists():
        return platform.processor()
    text = info.read_text(encoding="utf-8")
    model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "CPU")
    return f"{model} ({', '.join(flag for flag in ('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16') if flag in text)})"


def _memory(name: str) -> int:
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
