"""A short run of the fuzzer; `make fuzz` is the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("target", "runs"), [("question_file", 20_000), ("settings", 2_000)])
def test_nothing_but_rows_or_one_sentence(tmp_path: Path, target: str, runs: int) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed")
    limits = [f"-runs={runs}", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.properties.fuzz", target, *limits],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {runs} runs" in done.stderr
