"""Full-ECE of a language model on running text: its tokens read in windows, with nothing before them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch

from calibration_tuning.config.evaluation import TextSettings
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.lm.models import default_device, load_model
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.metrics.token_bins import Binning
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.runs.progress import progress
from evaluation.passes.text import read_windows, window_room
from evaluation.texts import windows

WINDOWS = 4
"""Windows that are read at a time."""


@dataclass(frozen=True)
class RatedText:
    tokens: TokenCalibration
    """What was seen, each window being a sequence."""
    documents: list[str]
    """[windows]: the document that each is of, which is what intervals resample."""


def rate_text(
    model: ModelSettings,
    documents: Iterable[str],
    settings: TextSettings,
    bins: int = 10,
    binning: Binning = "equal_width",
) -> RatedText:
    """Read `settings.tokens` of the documents. Raises `UserError` for a model that cannot be loaded, for windows that
    it cannot read, and for documents without two tokens."""
    prompt_format = load_prompt_format(model, "text")
    encode = partial(prompt_format.tokenizer.encode, add_special_tokens=False)
    rows = windows(documents, encode, settings, window_room(model, prompt_format.tokenizer))
    lm = load_model(model).to(default_device())
    tokens = TokenCalibration(bins, binning)
    with progress(len(rows), model.path, "windows") as bar, torch.no_grad():
        for start in range(0, len(rows), WINDOWS):
            part = rows[start : start + WINDOWS]
            read_windows(lm, prompt_format, [row.token_ids for row in part], range(start, start + len(part)), tokens)
            bar.update(len(part))
    return RatedText(tokens, [row.group for row in rows])
