"""Packages that not every installation has: which extra brings them, and what is missing here."""

from __future__ import annotations

from importlib.util import find_spec

_LOGITS = ("torch", "safetensors")
_MODEL = (*_LOGITS, "transformers", "peft", "huggingface_hub", "tqdm", "sentencex")
PACKAGES: dict[str, tuple[str, ...]] = {
    "plots": ("matplotlib",),
    "logits": _LOGITS,
    "parquet": ("pyarrow",),
    "model": _MODEL,
    "serve": (*_MODEL, "fastapi", "uvicorn"),
    "pipeline": (
        *_MODEL,
        *("matplotlib", "pyarrow"),
        *("accelerate", "datasets", "sklearn", "psutil", "datasketch", "math_verify", "rapidfuzz"),
    ),
    "tensorboard": ("tensorboard",),
    "trackio": ("trackio",),
}
"""Packages of each extra as they are imported. The pipeline also runs without gguf, wandb and relplot, which are asked
for where they are used."""


EXTRA_OF = {"score": None, "monitor": None, "compare": "parquet", "ask": "model", "serving": "serve", "serve": "serve"}
"""The extra that a command, or the module behind it, needs; of the others it is `pipeline`. If it is None, the input
decides, and a package is asked for where it is used."""


def extra_for(command: str, package: str) -> str | None:
    """The extra that brings `package`: the command's own where it does, else the first one that does. None if no extra
    does."""
    own = EXTRA_OF.get(command, "pipeline")
    extras = PACKAGES if own is None else (own, *PACKAGES)
    return next((extra for extra in extras if package in PACKAGES[extra]), None)


def missing(extra: str) -> str | None:
    """The first package of an extra that is not installed; None if all are."""
    return next((package for package in PACKAGES[extra] if find_spec(package) is None), None)


def pip_install(extra: str) -> str:
    """How to install an extra. There is no release: a package of this name on PyPI would be another one."""
    return f"run `pip install -e '.[{extra}]'` in a clone of the project"
