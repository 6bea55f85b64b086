"""What is said where the other tool is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from calibration_tuning.extras import pip_install

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "extra"), [("lm_eval", "lm-eval"), ("inspect_ai", "inspect-ai")])
def test_the_extra_is_named(name: str, extra: str) -> None:
    code = f"import sys; sys.modules[{name!r}] = None; import calibration_tuning.integrations.{name}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode
    assert pip_install(extra) in run.stderr.splitlines()[-1]
