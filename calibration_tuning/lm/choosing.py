"""The likeliest of the choices that come with a question, for many questions at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.config.questions import Cloze
from calibration_tuning.lm.batches import by_length
from calibration_tuning.lm.caches import encode_prefix
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.likelihood import cloze_answer, continuation_logprobs


def likeliest_choices(
    model: Any,
    block: list[int],
    questions: Sequence[list[int]],
    choices: Sequence[list[str]],
    encoded: Sequence[list[list[int]]],
    batch_size: int,
    by: Cloze = "per_character",
) -> list[Answer]:
    """The likeliest choice behind each of the questions [n], as curation answers those of style `cloze`.

    `encoded` [n] are the choices' token ids. `block` stands before every question.
    """
    longest = [len(q) + max(map(len, ids)) for q, ids in zip(questions, encoded, strict=True)]
    # Every choice has a copy of its question's cache: where that is long, not all of them at a time.
    parts: list[tuple[int, list[list[int]]]] = []
    for i, ids in enumerate(encoded):
        size = max(1, MAX_BATCH_TOKENS // (longest[i] + len(block)))
        parts += [(i, ids[start : start + size]) for start in range(0, len(ids), size)]
    widest = max(len(part) for _, part in parts)
    with torch.no_grad():
        prefix = encode_prefix(model, block)
    read: dict[int, list[list[float]]] = {}
    lengths = [longest[i] for i, _ in parts]
    for batch in by_length(lengths, batch_size, MAX_BATCH_TOKENS, len(block), widest):
        rows, continuations = [questions[parts[k][0]] for k in batch], [parts[k][1] for k in batch]
        batch_logprobs = continuation_logprobs(model, prefix, rows, continuations)
        read |= dict(zip(batch, batch_logprobs, strict=True))
    logprobs: list[list[list[float]]] = [[] for _ in questions]
    for k, (i, _) in enumerate(parts):
        logprobs[i] += read[k]
    return [cloze_answer(*choice_arguments, by) for choice_arguments in zip(choices, encoded, logprobs, strict=True)]
