"""python -m tests.vllm: this project with real vLLM, on the CPU (`make vllm-test`; half an hour on two cores).

vLLM's answers, log-probabilities and confidences are compared with those of the model in this process. For the
confidences a run of each prompt format is curated by vLLM in its environment and trained in this one. Every comparison
prints a line; the exit status is 1 if one fails. Names of steps, such as `served-chat`, run these alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.vllm.asking import CONFIG, RUNS, Style, overrides
from tests.vllm.environment import FOLDER, PYTHON, ROOT, make_environment

Command = list[str | Path]
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # OMP_NUM_THREADS threads on any core
    "VLLM_LOGGING_LEVEL": "WARNING",
}
VERSIONS = """
import platform, os, peft, torch, transformers, vllm
print(f"vLLM {vllm.__version__}, torch {torch.__version__}, transformers {transformers.__version__}, peft "
      f"{peft.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores")
"""


def _compare(module: str, kind: str) -> Command:
    return [PYTHON, "-m", f"tests.vllm.{module}", kind]


def _make_run(style: Style) -> list[Command]:
    return [
        [FOLDER / "bin" / "calibration-tuning", "curate", CONFIG, "--force", *overrides(style)],
        [sys.executable, "-m", "training", CONFIG, "--force", *overrides(style)],
    ]


STEPS: dict[str, list[Command]] = {
    "in-process-text": [_compare("in_process", "text")],
    "served-text": [*_make_run("text"), _compare("served", "text")],
    "in-process-chat": [_compare("in_process", "chat")],
    "served-chat": [*_make_run("chat"), _compare("served", "chat")],
    "in-process-thinking-off": [_compare("in_process", "thinking-off")],
    "in-process-thinking-on": [_compare("in_process", "thinking-on")],
    "served-thinking-off": [_compare("served", "thinking-off")],
}


def main(names: list[str]) -> int:
    make_environment()
    RUNS.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(ROOT)}

    def succeeds(command: Command) -> bool:
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0

    succeeds([PYTHON, "-c", VERSIONS])
    failed = [name for name in names or STEPS if not all(map(succeeds, STEPS[name]))]
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
