"""Preempted training: a checkpoint after the step at hand, a clean end, and the same result in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.training.conftest import Command, Process

pytestmark = pytest.mark.slow
# Checkpoints at the end only: what there is to go on from comes of the signal.
LONG = ("training.epochs=40", "training.checkpoints=1", "training.evaluations=1", "training.lora.lora_dropout=0.2")


def wait_for_steps(file: Path, process: Process) -> None:
    """Until some steps have been logged."""
    deadline = time.monotonic() + 300
    while not file.is_file() or len(file.read_text().splitlines()) < 3:
        assert process.poll() is None, process.communicate()[0][-4000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_one_process_stops_and_goes_on(training: Command, number: signal.Signals) -> None:
    name = f"stopped-{number.name}"
    process = training.start(name, *LONG)
    wait_for_steps(training.run_dir(name) / "training.jsonl", process)
    process.send_signal(number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 75, output[-3000:]
    assert "stopped after step" in output
    assert "run the same command to resume" in output
    assert "Traceback" not in output
    assert not (training.run_dir(name) / "checkpoint").exists()
    assert len(list((training.run_dir(name) / ".training").glob("step-*"))) == 1
    again = training.finish(name, *LONG)
    assert "resuming from the checkpoint of step" in again
    training.finish("undisturbed-1", *LONG)
    one, other = (training.run_dir(n) / "checkpoint/adapter_model.safetensors" for n in (name, "undisturbed-1"))
    assert one.read_bytes() == other.read_bytes()


def test_two_processes_stop_at_the_same_step_though_one_alone_was_asked(training: Command) -> None:
    process = training.start("stopped-2", *LONG, engine="ddp_8gpu", anew=True)
    wait_for_steps(training.run_dir("stopped-2") / "training.jsonl", process)
    workers = [p for p in psutil.Process(process.pid).children(recursive=True) if "training" in p.cmdline()]
    workers[-1].send_signal(signal.SIGUSR1)
    output = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert "stopped after step" in output
    again = training.finish("stopped-2", *LONG, engine="ddp_8gpu")
    assert "resuming from the checkpoint of step" in again


def test_the_command_hands_the_signal_on(training: Command) -> None:
    command = [sys.executable, "-m", "calibration_tuning.cli", "train", *training.arguments("told", *LONG)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"PYTHONPATH": "."}
    )
    run = training.run_dir("told")
    wait_for_steps(run / "training.jsonl", process)
    process.terminate()
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 75, output[-3000:]
    assert "interrupted; run the same command to resume" in output
    assert list((run / ".training").glob("step-*"))
