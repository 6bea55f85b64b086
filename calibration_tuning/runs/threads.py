"""Cores for numeric work that one process does while the others wait for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from calibration_tuning.runs.processes import process_count

LAUNCHERS = "1"
"""What torchrun and accelerate set OMP_NUM_THREADS to for the processes that they start. Another value is a choice."""


def available_cores() -> int:
    """Cores that this process may use, of a job or container too; those of the machine where that cannot be told."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def cores_of_waiting_processes() -> Iterator[int]:
    """Let NumPy, SciPy and torch use all cores of this process while the block runs, and yield the number of threads.

    Launchers give each process one thread, so the first process would fit and resample on a single core while all GPUs
    wait. Without a launcher, or with an OMP_NUM_THREADS that somebody chose, nothing changes.
    """
    import torch

    is_launched = process_count() > 1 or "ACCELERATE_MIXED_PRECISION" in os.environ  # which accelerate always sets
    if not is_launched or os.environ.get("OMP_NUM_THREADS") != LAUNCHERS:
        yield torch.get_num_threads()
        return
    from threadpoolctl import threadpool_limits

    before, count = torch.get_num_threads(), available_cores()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield count
    finally:
        torch.set_num_threads(before)
