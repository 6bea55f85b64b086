"""What a model knows of an answer as it reads it: the log-probability of each token, and hidden states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from calibration_tuning.lm.batches import by_length, forward_inputs, left_pad, within_window
from calibration_tuning.lm.caches import Prefix, encode_prefix
from calibration_tuning.lm.likelihood import Continued, token_logprobs
from calibration_tuning.lm.models import decoder


@dataclass(frozen=True)
class Reading:
    """n answers, each read after its question and the few-shot block it was answered behind."""

    token_logprobs: list[list[float]]
    """Natural log-probability of every token of each answer; empty for an empty answer."""
    states: np.ndarray
    """Hidden states of the chosen layers, averaged over the answer's tokens, float32 [n, layers x H]. An empty answer
    has the states at the end of its question."""


@torch.no_grad()
def read_batch(
    model: Any,
    prefix: Prefix,
    questions: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    layers: Sequence[int],
) -> Reading:
    """Read `answers[i]` (token ids) after `questions[i]` and the block. `layers` count from 1, the first decoder layer,
    to the number of layers."""
    rows = [[*q, *a] for q, a in zip(questions, answers, strict=True)]
    prefix = within_window(prefix, rows, 0, model.config)
    input_ids, mask = left_pad(rows, prefix)
    input_ids, mask = input_ids.to(model.device), mask.to(model.device)
    inputs = forward_inputs(input_ids, mask, prefix, model.config)
    output = decoder(model)(**inputs, output_hidden_states=True)
    chosen = torch.stack([output.hidden_states[layer] for layer in layers], dim=2)  # [B, T, layers, H]
    states = [row[-max(1, len(a)) :].float().mean(0).flatten() for row, a in zip(chosen, answers, strict=True)]
    hidden = [row[-len(a) - 1 : -1] for row, a in zip(output.last_hidden_state, answers, strict=True)]
    targets = torch.tensor([token for a in answers for token in a], dtype=torch.long, device=model.device)
    continued = Continued(torch.cat(hidden), targets, [[len(a)] for a in answers])
    logprobs = [list(part) for [part] in continued.split(token_logprobs(model, continued))]
    return Reading(logprobs, torch.stack(states).cpu().numpy())


def read_answers(
    model: Any,
    few_shot_ids: Sequence[int],
    questions: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    layers: Sequence[int],
    batch_size: int,
    max_tokens: int | None = None,
    advance: Callable[[int], object] = lambda n: None,
) -> Reading:
    """`read_batch` in batches of similar length behind one block, in the order given."""
    with torch.no_grad():
        prefix = encode_prefix(model, few_shot_ids)
    logprobs: list[list[float]] = [[] for _ in questions]
    states: list[np.ndarray] = [np.zeros(0)] * len(questions)
    lengths = [len(q) + len(a) for q, a in zip(questions, answers, strict=True)]
    for batch in by_length(lengths, batch_size, max_tokens, len(few_shot_ids)):
        part = read_batch(model, prefix, [questions[i] for i in batch], [answers[i] for i in batch], layers)
        for i, row, state in zip(batch, part.token_logprobs, part.states, strict=True):
            logprobs[i], states[i] = row, state
        advance(len(batch))
    return Reading(logprobs, np.stack(states) if states else np.zeros((0, 0), np.float32))
