"""Checks of the arguments of `CalibratedModel`. They run before anything is computed, and each error is one
sentence."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch

from calibration_tuning.conversation import listed
from calibration_tuning.errors import UserError, reason
from calibration_tuning.lm.models import default_device
from calibration_tuning.values import kind_of

Choices = Sequence[str] | None
"""What an answer is chosen from; None lets the model write it."""


def usable_device(device: str | torch.device | None) -> torch.device:
    """Return the device, or the machine's accelerator for None. Raises `UserError` for a device that this machine
    lacks."""
    if device is None:
        return default_device()
    try:
        usable = torch.device(device)
        torch.zeros(1, device=usable).item()
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise UserError(f"device: {device!r} cannot be used ({reason(error)}); pass cpu, or leave it out") from None
    return usable


def as_answers(answers: Any, count: int) -> list[str]:
    """Raises `UserError` unless there are `count` texts."""
    texts = listed("answers", answers, count)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"answer {number}: is {kind_of(text)}, not text")
    return texts


def as_choices(choices: Any, count: int) -> list[Choices]:
    """Raises `UserError` unless there are at least two texts to choose from, or None, for each of `count` questions."""
    offered = [None] * count if choices is None else listed("choices", choices, count)
    for number, texts in enumerate(offered):
        if texts is None:
            continue
        offered[number] = texts = listed(f"choices {number}", texts)
        if len(texts) < 2 or not all(isinstance(text, str) and text.strip() for text in texts):
            raise UserError(f"choices {number}: must be at least two texts, none of them empty")
    return offered


def token_limit(max_new_tokens: Any, most: int) -> int:
    """The most tokens of an answer, never over `most`. Raises `UserError` for what is no whole number from 1 on."""
    if max_new_tokens is None:
        return most
    if not isinstance(max_new_tokens, Integral) or isinstance(max_new_tokens, bool) or max_new_tokens < 1:
        raise UserError(f"max_new_tokens: is {max_new_tokens!r}; pass a whole number from 1 on, or leave it out")
    return min(int(max_new_tokens), most)
