"""How likely a model finds given continuations: the cloze way of answering a multiple-choice question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from calibration_tuning.config.questions import Cloze
from calibration_tuning.lm.batches import PAD, forward_inputs, left_pad, within_window
from calibration_tuning.lm.caches import Prefix, keeps_keys
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.models import decoder, float32_logits

CHUNK = 128
"""Positions whose vocabulary logits exist at a time."""


@dataclass(frozen=True)
class Continued:
    """Hidden states [N, H] that predict the tokens `targets` [N] of all continuations, concatenated."""

    hidden: Tensor
    targets: Tensor
    lengths: list[list[int]]
    """Number of tokens of each continuation of each row; they add up to N."""

    def split(self, values: Sequence[Any]) -> list[list[Sequence[Any]]]:
        """`values` [N] by row and continuation."""
        parts: list[list[Sequence[Any]]] = []
        start = 0
        for lengths in self.lengths:
            parts.append([])
            for length in lengths:
                parts[-1].append(values[start : start + length])
                start += length
        return parts


@torch.no_grad()
def continue_rows(
    model: Any,
    prefix: Prefix,
    rows: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[Sequence[int]]],
) -> Continued:
    """Read each of `continuations[i]` (token ids, not empty) after `rows[i]` and the block before them."""
    owner = [i for i, parts in enumerate(continuations) for _ in parts]
    flat = [list(tokens) for parts in continuations for tokens in parts]
    read = _after_cached_rows if keeps_keys(model.config) else _whole_sequences
    hidden = read(model, prefix, rows, owner, flat)
    targets = torch.tensor([token for tokens in flat for token in tokens], device=model.device)
    return Continued(hidden, targets, [[len(tokens) for tokens in parts] for parts in continuations])


def _after_cached_rows(
    model: Any, prefix: Prefix, rows: Sequence[Sequence[int]], owner: list[int], flat: list[list[int]]
) -> Tensor:
    """Hidden states [N, H]. A row is read once, whatever the number of its continuations: these start from copies of
    its KV cache."""
    prefix = within_window(prefix, rows, max(map(len, flat)), model.config)
    input_ids, mask = (t.to(model.device) for t in left_pad(rows, prefix))
    inputs = forward_inputs(input_ids, mask, prefix, model.config) | {"use_cache": True}
    read = decoder(model)(**inputs)
    row_of = torch.tensor(owner, device=model.device)
    hidden = read.last_hidden_state[:, -1][row_of].unsqueeze(1)
    width = max(map(len, flat)) - 1
    if width:  # the last token of a continuation predicts nothing, so it is not fed
        fed = [tokens[:-1] for tokens in flat]
        tokens = torch.tensor([row + [PAD] * (width - len(row)) for row in fed], device=model.device)
        real = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in fed], device=model.device)
        cache = read.past_key_values
        cache.reorder_cache(row_of)
        steps = torch.arange(1, width + 1, device=model.device)
        more = decoder(model)(
            input_ids=tokens,
            attention_mask=torch.cat([inputs["attention_mask"][row_of], real], dim=1),
            position_ids=inputs["position_ids"][row_of, -1:] + steps,
            past_key_values=cache,
            use_cache=True,
        )
        hidden = torch.cat([hidden, more.last_hidden_state], dim=1)
    lengths = torch.tensor([len(tokens) for tokens in flat], device=model.device)
    return hidden[torch.arange(width + 1, device=model.device) < lengths.unsqueeze(1)]


def _whole_sequences(
    model: Any, prefix: Prefix, rows: Sequence[Sequence[int]], owner: list[int], flat: list[list[int]]
) -> Tensor:
    """Like `_after_cached_rows`, for models that may lose their state when they are given several more tokens."""
    sequences = [[*rows[i], *tokens[:-1]] for i, tokens in zip(owner, flat, strict=True)]
    prefix = within_window(prefix, sequences, 0, model.config)
    input_ids, mask = (t.to(model.device) for t in left_pad(sequences, prefix))
    hidden = decoder(model)(**forward_inputs(input_ids, mask, prefix, model.config)).last_hidden_state
    return torch.cat([states[-len(tokens) :] for states, tokens in zip(hidden, flat, strict=True)])


@torch.no_grad()
def continuation_logprobs(
    model: Any,
    prefix: Prefix,
    rows: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[Sequence[int]]],
) -> list[list[list[float]]]:
    """Natural log-probability of each token of each of `continuations[i]` after `rows[i]`."""
    continued = continue_rows(model, prefix, rows, continuations)
    return [[list(part) for part in parts] for parts in continued.split(token_logprobs(model, continued))]


def token_logprobs(model: Any, continued: Continued) -> list[float]:
    """Natural log-probability of every token of `continued.targets`, [N]."""
    values: list[float] = []
    for start in range(0, len(continued.targets), CHUNK):
        part = slice(start, start + CHUNK)
        logits = float32_logits(model, continued.hidden[part])
        values += (-F.cross_entropy(logits, continued.targets[part], reduction="none")).tolist()
    return values


@torch.no_grad()
def token_entropies(model: Any, hidden: Tensor) -> list[float]:
    """Entropy in nats, in [0, log K], of the next token's distribution behind each of the hidden states [N, H]."""
    values: list[float] = []
    for start in range(0, len(hidden), CHUNK):
        probabilities = float32_logits(model, hidden[start : start + CHUNK]).softmax(-1)
        values += torch.special.entr(probabilities).sum(-1).tolist()
    return values


def cloze_answer(
    choices: Sequence[str],
    token_ids: Sequence[list[int]],
    token_logprobs: Sequence[list[float]],
    by: Cloze,
) -> Answer:
    """The likeliest choice, by its log-likelihood or by that per character (`acc` and `acc_norm` of
    lm-evaluation-harness)."""
    totals = [sum(logprobs) for logprobs in token_logprobs]
    best = likeliest(choices, totals, by)
    return Answer(choices[best], token_ids[best], token_logprobs[best], totals)


def likeliest(choices: Sequence[str], logprobs: Sequence[float], by: Cloze) -> int:
    """Index of the choice with the highest log-likelihood; the first of equals."""
    # Blanks around a choice are not read, so they do not count.
    lengths = [len(choice.strip()) if by == "per_character" else 1 for choice in choices]
    scores = [total / length for total, length in zip(logprobs, lengths, strict=True)]
    return max(range(len(scores)), key=scores.__getitem__)
