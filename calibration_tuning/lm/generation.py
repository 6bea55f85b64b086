"""Greedy or sampled answers in batches after a shared few-shot block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.lm.batches import by_length, forward_inputs, left_pad, within_window
from calibration_tuning.lm.caches import Prefix, cache_argument, encode_prefix
from calibration_tuning.lm.models import float64
from calibration_tuning.lm.prompts import PromptFormat


@dataclass(frozen=True)
class Answer:
    text: str
    token_ids: list[int]
    """Without the stop token."""
    token_logprobs: list[float]
    """Natural log-probabilities at temperature 1, [len(token_ids)]; empty if the engine gives none."""
    choice_logprobs: list[float] | None = None
    """Cloze only: log-likelihood of each choice."""
    trace: str | None = None
    """What a thinking model wrote before the answer, without its tags."""
    trace_tokens: int = 0


@dataclass(frozen=True)
class Decoding:
    """How an answer's tokens are chosen and where it ends."""

    max_new_tokens: int
    multiline: bool = False
    """Text prompts only: let the answer run over line breaks, until the next question would begin."""
    temperature: float = 1.0
    """Temperature of sampled answers. Greedy answers ignore it."""
    thinking_tokens: int | None = None
    """Most tokens of a trace; by default those of the prompt format."""


@torch.no_grad()
def generate_answers(
    model: Any,
    prompt_format: PromptFormat,
    few_shot_ids: Sequence[int],
    question_ids: Sequence[Sequence[int]],
    decoding: Decoding,
    batch_size: int,
) -> list[Answer]:
    """Greedy answers to questions after the same block, in the order given; `batch_size` at a time at most, and fewer
    where they are long."""
    prefix = encode_prefix(model, few_shot_ids)
    answers: dict[int, Answer] = {}
    around = len(few_shot_ids) + decoding.max_new_tokens + prompt_format.trace_room
    for batch in by_length(list(map(len, question_ids)), batch_size, MAX_BATCH_TOKENS, around):
        rows = [question_ids[i] for i in batch]
        answers.update(zip(batch, write_answers(model, prompt_format, prefix, rows, decoding), strict=True))
    return [answers[i] for i in range(len(question_ids))]


@torch.no_grad()
def write_answers(
    model: Any,
    prompt_format: PromptFormat,
    prefix: Prefix,
    rows: Sequence[Sequence[int]],
    decoding: Decoding,
    uniforms: Tensor | None = None,
) -> list[Answer]:
    """Write an answer after each of `rows` (question ids), as `generate_batch` does. A model that thinks writes a trace
    first.

    A trace ends with its closing tag, with the turn, or after `thinking_tokens`; then it is closed, and the answer
    begins. `uniforms` has a column for each token of an answer, then one for each token of a trace.
    """
    end = prompt_format.trace_end
    if end is None:
        return generate_batch(model, prompt_format, prefix, rows, decoding, uniforms)
    budget = prompt_format.thinking_tokens if decoding.thinking_tokens is None else decoding.thinking_tokens
    of_answer, of_trace = (None, None) if uniforms is None else uniforms.tensor_split([decoding.max_new_tokens], dim=1)
    thinking = replace(decoding, max_new_tokens=budget)
    traces = generate_batch(model, prompt_format, prefix, rows, thinking, of_trace, until=end)
    behind = [[*row, *prompt_format.closed_trace(trace.token_ids)] for row, trace in zip(rows, traces, strict=True)]
    answers = generate_batch(model, prompt_format, prefix, behind, decoding, of_answer)
    return [with_trace(answer, trace) for answer, trace in zip(answers, traces, strict=True)]


def with_trace(answer: Answer, trace: Answer) -> Answer:
    return replace(answer, trace=trace.text, trace_tokens=len(trace.token_ids))


@torch.no_grad()
def generate_batch(
    model: Any,
    prompt_format: PromptFormat,
    prefix: Prefix,
    rows: Sequence[Sequence[int]],
    decoding: Decoding,
    uniforms: Tensor | None = None,
    until: str | None = None,
) -> list[Answer]:
    """Return what the model writes after each of `rows` (token ids).

    The text is greedy, or sampled by inverse CDF from `uniforms` ([len(rows), max_new_tokens] in [0, 1)), so that a
    row's draw does not depend on its batch. `until` is a text that ends the answer, instead of the prompt format's stop
    text.

    This is a plain decoding loop: `generate` would need the block's ids repeated in every row and recounts positions.
    """
    stop = torch.tensor(end_tokens(prompt_format, decoding.multiline, until), device=model.device)
    end = until or prompt_format.stop_text(decoding.multiline)
    tail = len(end.encode()) if end else 0
    prefix = within_window(prefix, rows, decoding.max_new_tokens, model.config)
    input_ids, mask = (t.to(model.device) for t in left_pad(rows, prefix))
    inputs = forward_inputs(input_ids, mask, prefix, model.config) | {"use_cache": True}
    cache_name = cache_argument(model)
    alive = torch.arange(len(rows), device=model.device)
    ids: list[list[int]] = [[] for _ in rows]
    logprobs: list[list[float]] = [[] for _ in rows]
    for step in range(decoding.max_new_tokens):
        output = model(**inputs, logits_to_keep=1)
        drawn = None if uniforms is None else uniforms[alive.cpu(), step]
        tokens, values = _choose(output.logits[:, -1].float(), decoding.temperature, drawn)
        going = ~torch.isin(tokens, stop)
        for row, token, value, goes in zip(*(t.tolist() for t in (alive, tokens, values, going)), strict=True):
            if goes:
                ids[row].append(token)
                logprobs[row].append(value)
        if end is not None:
            ended = [end in prompt_format.tokenizer.decode(ids[row][-tail:]) for row in alive.tolist()]
            going &= ~torch.tensor(ended, device=going.device)
        unfinished = going.nonzero().flatten()
        if not len(unfinished):
            break
        alive = alive[unfinished]
        cache = output[cache_name]
        # Finished rows leave the batch, so that a long answer does not keep the others computing.
        cache.reorder_cache(unfinished)
        inputs = {
            "input_ids": tokens[unfinished].unsqueeze(1),
            "attention_mask": F.pad(inputs["attention_mask"][unfinished], (0, 1), value=1),
            "position_ids": inputs["position_ids"][unfinished, -1:] + 1,
            cache_name: cache,
            "use_cache": True,
        }
    return [finished(prompt_format, *row, end) for row in zip(ids, logprobs, strict=True)]


def end_tokens(prompt_format: PromptFormat, multiline: bool, until: str | None = None) -> list[int]:
    """Token ids that end a text. `until` is among them if it is a single token."""
    token = prompt_format.tokenizer.added_tokens_encoder.get(until or "")
    return [*prompt_format.stop_ids(multiline), *(() if token is None else [token])]


def finished(
    prompt_format: PromptFormat, token_ids: list[int], token_logprobs: list[float], end: str | None = None
) -> Answer:
    """The answer in these tokens, without what follows `end` (tokens that only lead up to it go as well)."""
    decode = prompt_format.tokenizer.decode
    length = len(token_ids)
    if end is not None and end in (text := str(decode(token_ids))):
        wanted = text[: text.index(end)].rstrip()
        while length and len(str(decode(token_ids[:length])).rstrip()) > len(wanted):
            length -= 1
        while length and str(decode(token_ids[: length - 1])).rstrip() == str(decode(token_ids[:length])).rstrip():
            length -= 1
    text = str(decode(token_ids[:length], skip_special_tokens=True)).strip()
    return Answer(text, token_ids[:length], token_logprobs[:length])


def _choose(logits: Tensor, temperature: float, uniforms: Tensor | None) -> tuple[Tensor, Tensor]:
    """Tokens [B] and their log-probabilities [B] from logits [B, K]."""
    logprobs = logits.log_softmax(-1)
    if uniforms is None:
        values, tokens = logprobs.max(-1)
        return tokens, values
    cumulative = float64(logits / temperature).softmax(-1).cumsum(-1)
    # Scaled by the last value, which rounding leaves a little off 1.
    target = uniforms.to(cumulative).unsqueeze(1) * cumulative[:, -1:]
    positions = torch.searchsorted(cumulative, target, right=True).squeeze(1).clamp(max=logits.shape[-1] - 1)
    tokens = positions.to(logits.device)
    return tokens, logprobs.gather(1, tokens.unsqueeze(1)).squeeze(1)
