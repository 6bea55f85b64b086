"""The first of several processes computes on all cores while the others wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ASK = """
import numpy as np, torch
from threadpoolctl import threadpool_info
from calibration_tuning.runs.threads import cores_of_waiting_processes

def threads():
    return [torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")]

print(*threads())
with cores_of_waiting_processes():
    print(*threads())
print(*threads())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launched", "chosen", "inside"),
    [
        ({"WORLD_SIZE": "8"}, "1", "all"),
        ({"ACCELERATE_MIXED_PRECISION": "bf16"}, "1", "all"),
        ({}, "1", "1"),
        ({"WORLD_SIZE": "8"}, "2", "2"),
    ],
    ids=["launched", "launched alone", "alone", "chosen"],
)
def test_threads_of_the_process_that_others_wait_for(launched: dict[str, str], chosen: str, inside: str) -> None:
    environment = os.environ | launched | {"OMP_NUM_THREADS": chosen, "PYTHONPATH": "."}
    asked = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    before, during, after = (set(line.split()) for line in asked.stdout.splitlines())
    cores = str(len(os.sched_getaffinity(0)))
    available = min(chosen, cores)
    assert before == after == {available}
    assert during == {cores if inside == "all" else min(inside, cores)}
