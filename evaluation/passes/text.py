"""The tokens of running text, read without any block before them: what Full-ECE is defined on (Liu et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from calibration_tuning.config.evaluation import EvaluationSettings
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.lm.caches import Prefix
from calibration_tuning.lm.likelihood import continue_rows
from calibration_tuning.lm.models import context_length, float32_logits, load_model_config
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.records import Demonstration, GradedAnswer
from evaluation.passes.base import Finding, PassContext, State, pack


def settings(settings: EvaluationSettings) -> Any:
    return settings.num_bins


def measure(
    context: PassContext, rows: Sequence[GradedAnswer], state: State, block: Sequence[Demonstration]
) -> list[Finding]:
    """`vocabulary`: its size K. `tokens`: the sums of TokenCalibration over the window's tokens, equal-width bins."""
    tokens = TokenCalibration(context.settings.num_bins)
    read_windows(context.model, context.prompt, [row.token_ids for row in rows], range(len(rows)), tokens)
    return [{"vocabulary": tokens.vocabulary, "tokens": pack(tokens.sums[i])} for i in range(len(rows))]


def window_room(model: ModelSettings, tokenizer: Any) -> int:
    """Tokens of a window that the model reads, after the one that some tokenizers put before every text."""
    return context_length(load_model_config(model), tokenizer) - len(tokenizer("").input_ids[:1])


@torch.no_grad()
def read_windows(
    model: Any, prompt_format: PromptFormat, windows: Sequence[list[int]], ids: Sequence[int], tokens: TokenCalibration
) -> None:
    """Add the windows to `tokens`, `windows[i]` as sequence `ids[i]`.

    A tokenizer that puts a token before every text (Gemma, Llama) has it before every window. Otherwise the first
    token of a window is read only: nothing before it predicts it.
    """
    start = list(prompt_format.tokenizer("").input_ids)[:1]
    rows = [start or window[:1] for window in windows]
    continuations = [[window if start else window[1:]] for window in windows]
    continued = continue_rows(model, Prefix((), 0), rows, continuations)
    owners = [number for number, parts in zip(ids, continuations, strict=True) for _ in parts[0]]
    tokens.update_hidden(continued.hidden, partial(float32_logits, model), continued.targets, owners)
