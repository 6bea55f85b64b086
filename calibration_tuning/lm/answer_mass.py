"""Does the model answer the uncertainty query where it is read? The untuned probability of its two answers says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm.prompts import NO, YES

LOW = 0.05
"""A mean mass under this is warned of."""
EXAMPLES = 16
"""So many answers are looked at."""


def mass_warning(mass: Sequence[float] | np.ndarray, settings: ModelSettings) -> str | None:
    """Return a warning if the untuned model gives the query's two answers little probability. Return None if it gives
    them enough, or if `model.minimal_answer_mass` is 0 (no check).

    `mass`: for each of n answers, the probability of the two answer tokens together over the whole vocabulary, in
    [0, 1]. Raises `UserError` where the mean is under `model.minimal_answer_mass`.
    """
    mean = float(np.mean(mass))
    if mean >= LOW or not settings.minimal_answer_mass:
        return None
    observation = (
        f"model.path: the untuned {settings.path} gives the uncertainty query's two answers, {NO} and {YES}, a "
        f"probability of {mean:.2g} together (mean of {len(mass)} answers)"
    )
    cause = (
        "probably the prompt is not one that the model knows: compare it with the model's card, and try another "
        "model.prompt_format or model.thinking"
    )
    if mean < settings.minimal_answer_mass:
        raise UserError(f"{observation}; {cause}, or accept it with model.minimal_answer_mass=0")
    return f"{observation}; {cause}"
