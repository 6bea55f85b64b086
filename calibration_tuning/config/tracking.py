"""Settings of tracking: where a stage shows its numbers while it runs."""

from __future__ import annotations

from typing import Literal

from calibration_tuning.config.settings import Settings
from calibration_tuning.errors import UserError
from calibration_tuning.extras import PACKAGES, missing, pip_install

TrackerName = Literal["wandb", "tensorboard", "trackio", "none"]


class TrackingSettings(Settings):
    to: TrackerName = "wandb"
    """The tracker. `tensorboard` and `trackio` write into the run's folder alone."""
    wandb: Literal["online", "offline", "disabled"] = "online"
    """Mode of W&B: `offline` writes to disk, to be sent later with `wandb sync`; `disabled` logs nothing."""
    project: str = "calibration-tuning"
    """The tracker's project."""
    entity: str | None = None
    """Team or user at W&B; null is your default."""


def check_installed(settings: TrackingSettings) -> None:
    """Raises `UserError` if the package that `settings.to` needs is missing."""
    if settings.to in PACKAGES and missing(settings.to):  # the extra is named after the package
        raise UserError(
            f"tracking.to: {settings.to} is not installed; {pip_install(settings.to)}, or choose tracking.to=none"
        )
