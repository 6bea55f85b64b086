"""The uncertainty query asked of many answers: one forward pass a batch, one position read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.errors import RunError
from calibration_tuning.lm.batches import by_length, forward_inputs, left_pad, within_window
from calibration_tuning.lm.caches import Prefix, encode_prefix
from calibration_tuning.lm.models import decoder, float32_logits, float64
from calibration_tuning.lm.probe import Probe
from calibration_tuning.lm.prompts import PromptFormat


@dataclass(frozen=True)
class QueryScores:
    """What the model says at the query position of n answers, all [n] float64."""

    logit: np.ndarray
    """logit(yes) - logit(no): the log-odds of "correct"."""
    mass: np.ndarray
    """Probability of the two answer tokens together, over the whole vocabulary."""

    @property
    def confidence(self) -> np.ndarray:
        """P(yes) / (P(yes) + P(no)), in [0, 1]."""
        return expit(self.logit)


@dataclass(frozen=True)
class QueryBatch(QueryScores):
    """Scores of one batch, and what they were read off."""

    hidden: Tensor
    """Last hidden state at the query position, [n, H]."""
    vocabulary_logits: Tensor
    """float32 [n, K]."""


@torch.no_grad()
def score_batch(
    model: Any,
    prompt_format: PromptFormat,
    prefix: Prefix,
    sequences: Sequence[Sequence[int]],
    probe: Probe | None = None,
) -> QueryBatch:
    """Ask the query after each `question + answer` id sequence after one block; read the verdict off its two tokens,
    or by `probe`. Raises `RunError` where the model's numbers are not finite: nothing is said of such an answer."""
    no, yes = prompt_format.answer_tokens
    rows = [[*sequence, *prompt_format.query_ids] for sequence in sequences]
    prefix = within_window(prefix, rows, 0, model.config)
    input_ids, mask = (t.to(model.device) for t in left_pad(rows, prefix))
    hidden = decoder(model)(**forward_inputs(input_ids, mask, prefix, model.config)).last_hidden_state[:, -1]
    logits = float32_logits(model, hidden)
    logprobs = float64(logits).log_softmax(-1)
    verdict = logprobs[:, [no, yes]] if probe is None else float64(probe(hidden))
    if not torch.isfinite(verdict).all():
        hint = "" if model.dtype == torch.float32 else f", or its numbers are too large for {model.dtype}: use float32"
        raise RunError(f"the model's verdict is not a finite number; the model has diverged{hint}")
    mass = logprobs[:, yes].exp() + logprobs[:, no].exp()
    return QueryBatch((verdict[:, 1] - verdict[:, 0]).cpu().numpy(), mass.cpu().numpy(), hidden, logits)


@torch.no_grad()
def score_answers(
    model: Any,
    prompt_format: PromptFormat,
    few_shot_ids: Sequence[int],
    sequences: Sequence[Sequence[int]],
    batch_size: int,
    advance: Callable[[int], object] = lambda n: None,
    probe: Probe | None = None,
) -> QueryScores:
    """`score_batch` in batches of similar length, in the order given; `batch_size` sequences at most, and fewer where
    they are long."""
    prefix = encode_prefix(model, few_shot_ids)
    logit, mass = np.zeros(len(sequences)), np.zeros(len(sequences))
    around = len(few_shot_ids) + len(prompt_format.query_ids)
    for batch in by_length(list(map(len, sequences)), batch_size, MAX_BATCH_TOKENS, around):
        scores = score_batch(model, prompt_format, prefix, [sequences[i] for i in batch], probe)
        logit[batch], mass[batch] = scores.logit, scores.mass
        advance(len(batch))
    return QueryScores(logit, mass)
