"""Greedy answers in batches behind a shared few-shot block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from calibration_tuning.batches import by_length, encode_prefix, forward_inputs, left_pad
from calibration_tuning.prompts import PromptFormat


@dataclass(frozen=True)
class Answer:
    text: str
    token_ids: list[int]
    """Without the stop token."""
    token_logprobs: list[float]


@torch.no_grad()
def generate_answers(
    model: Any,
    prompt_format: PromptFormat,
    few_shot_ids: Sequence[int],
    question_ids: Sequence[Sequence[int]],
    max_new_tokens: int,
    batch_size: int,
    advance: Callable[[int], object] = lambda n: None,
) -> list[Answer]:
    """Greedy answers to each question, in the order given; `advance(n)` is called as n more are finished."""
    prefix = encode_prefix(model, few_shot_ids)
    answers: list[Answer | None] = [None] * len(question_ids)
    for batch in by_length(question_ids, batch_size):
        rows = [question_ids[i] for i in batch]
        for i, answer in zip(batch, _generate_batch(model, prompt_format, prefix, rows, max_new_tokens), strict=True):
            answers[i] = answer
        advance(len(batch))
    return [a for a in answers if a is not None]


def _generate_batch(
    model: Any, prompt_format: PromptFormat, prefix: Any, rows: Sequence[Sequence[int]], max_new_tokens: int
) -> list[Answer]:
    """A plain decoding loop: `generate` would need the block's ids repeated in every row and recounts positions."""
    stop = torch.tensor(prompt_format.stop_ids, device=model.device)
    input_ids, mask = (t.to(model.device) for t in left_pad(rows, prompt_format.tokenizer.pad_token_id))
    inputs = forward_inputs(input_ids, mask, prefix, model.config) | {"use_cache": True}
    alive = torch.arange(len(rows), device=model.device)
    ids: list[list[int]] = [[] for _ in rows]
    logprobs: list[list[float]] = [[] for _ in rows]
    for _ in range(max_new_tokens):
        output = model(**inputs, logits_to_keep=1)
        values, tokens = output.logits[:, -1].float().log_softmax(-1).max(-1)
        going = (~torch.isin(tokens, stop)).nonzero().flatten()
        if not len(going):
            break
        alive, tokens, values = alive[going], tokens[going], values[going]
        for row, token, value in zip(alive.tolist(), tokens.tolist(), values.tolist(), strict=True):
            ids[row].append(token)
            logprobs[row].append(value)
        cache = output.past_key_values
        # Finished rows leave the batch: one long answer must not keep all the others computing.
        cache.batch_select_indices(going)
        inputs = {
            "input_ids": tokens.unsqueeze(1),
            "attention_mask": F.pad(inputs["attention_mask"][going], (0, 1), value=1),
            "position_ids": inputs["position_ids"][going, -1:] + 1,
            "past_key_values": cache,
            "use_cache": True,
        }
    texts = [str(prompt_format.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in ids]
    return [Answer(*parts) for parts in zip(texts, ids, logprobs, strict=True)]
