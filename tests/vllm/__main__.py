"""python -m tests.vllm: this project with real vLLM, on the CPU (`make vllm-test`; half an hour on two cores).

A run of each prompt format is curated by vLLM in its environment and trained in this one. Then vLLM's answers,
log-probabilities and confidences are compared with those of the model in this process. Every comparison prints a line;
the exit status is 1 if one fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.vllm.asking import CONFIG, RUNS, Style, overrides
from tests.vllm.environment import FOLDER, PYTHON, ROOT, make_environment

STYLES: tuple[Style, ...] = ("text", "chat")
MODULES = ("in_process text", "in_process chat", "in_process thinking-off", "in_process thinking-on")
SERVED = ("served text", "served chat", "served thinking-off")
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_LOGGING_LEVEL": "WARNING",
}


def main(only: list[str]) -> int:
    """`only`: names such as `served chat`, for some of the comparisons; without them all."""
    make_environment()
    RUNS.mkdir(parents=True, exist_ok=True)
    _run([PYTHON, "-c", VERSIONS], check=True)
    for style in STYLES:
        curate = [FOLDER / "bin" / "calibration-tuning", "curate", CONFIG, *overrides(style)]
        train = [sys.executable, "-m", "training", CONFIG, *overrides(style)]
        for command in (curate, train):
            _run(command, check=True)
    failed = [name for name in only or (*MODULES, *SERVED) if _run(_module(name), check=False)]
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return int(bool(failed))


VERSIONS = """
import platform, os, peft, torch, transformers, vllm
print(f"vLLM {vllm.__version__}, torch {torch.__version__}, transformers {transformers.__version__}, peft "
      f"{peft.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores")
"""


def _module(name: str) -> list[str | Path]:
    module, kind = name.split()
    return [PYTHON, "-m", f"tests.vllm.{module}", kind]


def _run(command: list[str | Path], check: bool) -> int:
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=check).returncode


if __name__ == "__main__":
    sys.exit(main([" ".join(pair) for pair in zip(sys.argv[1::2], sys.argv[2::2], strict=True)]))
