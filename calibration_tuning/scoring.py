"""The uncertainty query asked of many answers: one forward pass a batch, one position read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calibration_tuning.batches import by_length, encode_prefix, forward_inputs, left_pad
from calibration_tuning.models import decoder, vocabulary_logits
from calibration_tuning.probe import Probe
from calibration_tuning.prompts import PromptFormat


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
        return 1.0 / (1.0 + np.exp(-np.clip(self.logit, -700, 700)))


@torch.no_grad()
def score_answers(
    model: Any,
    prompt_format: PromptFormat,
    few_shot_ids: Sequence[int],
    sequences: Sequence[Sequence[int]],
    batch_size: int,
    advance: Callable[[int], object] = lambda n: None,
    on_logits: Callable[[Tensor, list[int]], object] | None = None,
    probe: Probe | None = None,
) -> QueryScores:
    """Ask the query after each `question + answer` id sequence; read the verdict off its two tokens, or by `probe`.

    `on_logits(logits [B, K], indices)` sees the vocabulary logits of the query position before they are dropped.
    """
    prefix = encode_prefix(model, few_shot_ids)
    no, yes = prompt_format.answer_tokens
    rows = [[*sequence, *prompt_format.query_ids] for sequence in sequences]
    logit, mass = np.zeros(len(rows)), np.zeros(len(rows))
    for batch in by_length(rows, batch_size):
        padded = left_pad([rows[i] for i in batch], prompt_format.tokenizer.pad_token_id)
        input_ids, mask = (t.to(model.device) for t in padded)
        inputs = forward_inputs(input_ids, mask, prefix, model.config)
        hidden = decoder(model)(**inputs).last_hidden_state[:, -1]
        logits = vocabulary_logits(model, hidden)
        if on_logits is not None:
            on_logits(logits, batch)
        logprobs = logits.double().log_softmax(-1)
        verdict = logprobs[:, [no, yes]] if probe is None else probe(hidden).double()
        logit[batch] = (verdict[:, 1] - verdict[:, 0]).cpu().numpy()
        mass[batch] = (logprobs[:, yes].exp() + logprobs[:, no].exp()).cpu().numpy()
        advance(len(batch))
    return QueryScores(logit, mass)
