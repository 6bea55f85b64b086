"""Which device a process takes, and how a rank ends."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import torch

from calibration_tuning.lm.models import default_device


@pytest.mark.parametrize(("rank", "expected"), [(None, "cuda:0"), ("0", "cuda:0"), ("3", "cuda:3"), ("9", "cuda:1")])
def test_each_process_has_an_accelerator_of_its_own(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, expected: str
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 8)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert default_device() == torch.device(expected)


def test_without_an_accelerator_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: None)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert default_device() == torch.device("cpu")


@pytest.mark.parametrize(("ending", "code"), [("leave(75)", 75), ("sys.exit(75)", -signal.SIGABRT)])
def test_leaving_does_not_tear_the_interpreter_down(ending: str, code: int) -> None:
    """What aborts in the teardown, as gloo's threads can, no longer does; what was printed and registered is done."""
    program = f"""
import atexit, os, sys, threading
from calibration_tuning.runs.processes import leave
class AbortsAtTheEnd:
    def __del__(self, abort=os.abort):
        abort()
sys.kept = AbortsAtTheEnd()
atexit.register(print, "registered")
print("printed")
{ending}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == code
    if code == 75:
        assert done.stdout == "printed\nregistered\n"
