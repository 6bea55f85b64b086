"""A stage's exit code comes through accelerate's launcher, and signals reach the stage."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.conftest import free_port


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "end", "code"),
    [
        (1, "sys.exit(2)", 2),
        (2, "sys.exit(75)", 75),
        (2, "os.kill(os.getpid(), 9)", 1),
        (2, "pass", 0),
    ],
)
def test_the_exit_code_is_that_of_the_stage(tmp_path: Path, processes: int, end: str, code: int) -> None:
    (tmp_path / "stage.py").write_text(f"import os, sys\n{end}\n")
    launched = subprocess.run(words(tmp_path, processes), capture_output=True, text=True, check=False, timeout=120)
    assert launched.returncode == code, launched.stderr
    assert "Traceback" not in launched.stderr


STAGE = """
import os, pathlib, signal, sys, time
here, rank = pathlib.Path(__file__).parent, os.environ.get("RANK", "0")
def stop(number, frame):
    (here / f"told-{rank}").write_text(signal.Signals(number).name)
    sys.exit(75)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, stop)
(here / f"ready-{rank}").touch()
time.sleep(100)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "number"), [(1, signal.SIGTERM), (2, signal.SIGUSR1)])
def test_a_signal_to_the_launcher_reaches_the_stage(tmp_path: Path, processes: int, number: signal.Signals) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    launcher = subprocess.Popen(words(tmp_path, processes), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len([*tmp_path.glob("ready-*")]) < processes:
        assert launcher.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    launcher.send_signal(number)
    said = launcher.communicate(timeout=60)[1]
    assert launcher.returncode == 75, said
    assert [path.read_text() for path in tmp_path.glob("told-*")] == [number.name] * processes
    assert "Traceback" not in said


def words(folder: Path, processes: int) -> list[str]:
    file = f"launch/accelerate/{'ddp_8gpu' if processes > 1 else 'single_gpu'}.yaml"
    launch = ["--config_file", file, "--num_processes", str(processes), "--main_process_port", free_port()]
    return [sys.executable, "-m", "calibration_tuning.runs.accelerated", *launch, str(folder / "stage.py")]
