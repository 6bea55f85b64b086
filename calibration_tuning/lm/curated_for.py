"""A curated set holds the answers and token ids of a single model, asked in a single way. Other stages must ask it in
the same way."""

from __future__ import annotations

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.errors import UserError
from calibration_tuning.lm.identity import model_identity

ASKED = ("prompt_format", "system_prompt", "thinking", "thinking_tokens")
"""Settings of a model that decide how it is asked."""


def check_curated_for(curated: CuratedSet, model: ModelSettings) -> None:
    """Raise `UserError` if the set was made with another model, other files of it or other prompts."""
    curated_with = curated.manifest["settings"]["model"]
    if curated_with["path"] != model.path:
        raise UserError(
            f"{curated.folder}: holds answers and token ids of {curated_with['path']}, not of {model.path}; curate "
            "with this model"
        )
    if curated.manifest["models"]["model"] != model_identity(model):
        raise UserError(
            f"{curated.folder}: was curated with other files of {model.path} than are there now; put them back "
            "(model.revision pins a model on the hub), or curate again"
        )
    before = model.model_copy(update={name: curated_with.get(name) for name in ASKED})
    changed = [name for name in ASKED if getattr(before, name) != getattr(model, name)]
    if "prompt_format" in changed and _style(before) == _style(model):
        changed.remove("prompt_format")
    if changed:
        name = changed[0]
        raise UserError(
            f"{curated.folder}: was curated with model.{name}={getattr(before, name)}, but the run has "
            f"{getattr(model, name)}; set it back, or curate again"
        )


def _style(model: ModelSettings) -> str:
    """Return `text` or `chat`, also where the setting is `auto`."""
    if model.prompt_format != "auto":
        return model.prompt_format
    from calibration_tuning.lm.prompts import load_prompt_format  # brings transformers

    return load_prompt_format(model).style
