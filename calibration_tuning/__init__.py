"""Answers of language models, each with a probability of being correct that was tested on held-out questions."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibration_tuning.calibrated_model import CalibratedAnswer, CalibratedModel

__all__ = ["CalibratedAnswer", "CalibratedModel"]
__version__ = "0.1.0"
_MODEL = ("torch", "transformers", "peft", "safetensors", "huggingface_hub", "tqdm")
"""Packages of the extra `model`."""


def __getattr__(name: str) -> Any:
    # Lazy, so that the command line and the settings do not wait for torch.
    if name in __all__:
        if missing := [package for package in _MODEL if find_spec(package) is None]:
            raise ModuleNotFoundError(f"{name} needs {missing[0]}: pip install 'calibration-tuning[model]'")
        from calibration_tuning import calibrated_model

        return getattr(calibrated_model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
