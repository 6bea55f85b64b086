"""Answers of language models, each with a probability of being correct that was tested on held-out questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibration_tuning.calibrated_model import CalibratedAnswer, CalibratedModel

__all__ = ["CalibratedAnswer", "CalibratedModel"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Lazy, so that the command line and the settings do not wait for torch.
    if name in __all__:
        from calibration_tuning.extras import missing, pip_install

        if package := missing("model"):
            raise ModuleNotFoundError(f"{name} needs {package}: {pip_install('model')}")
        from calibration_tuning import calibrated_model

        return getattr(calibrated_model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
