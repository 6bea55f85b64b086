"""A stage's exit code comes through accelerate's launcher."""

from __future__ import annotations

import subprocess
import sys
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
    file = f"launch/accelerate/{'ddp_8gpu' if processes > 1 else 'single_gpu'}.yaml"
    launch = ["--config_file", file, "--num_processes", str(processes), "--main_process_port", free_port()]
    words = [sys.executable, "-m", "calibration_tuning.runs.accelerated", *launch, str(tmp_path / "stage.py")]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
