"""The adaptive token temperature: fitted on the reference answers' tokens, as the untuned model reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import UserError
from calibration_tuning.lm.batches import by_length
from calibration_tuning.lm.caches import encode_prefix
from calibration_tuning.lm.likelihood import Continued, continue_rows
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.token_temperature import TokenTemperature, fit_token_temperature, read_tokens, together
from calibration_tuning.records import Demonstration, FewShot, QueryExample
from calibration_tuning.runs.progress import progress
from training.loop import Run
from training.setup import Inputs
from training.untuned import untuned_model

BATCH_SIZE = 32
LONGEST = 32
"""Tokens of a reference, from its beginning, that are fitted on: a program of hundreds would outweigh the rest."""


def fit_references(config: RunConfig, run: Run, inputs: Inputs) -> tuple[TokenTemperature, dict[str, float]]:
    """The head, and the numbers of `fit_token_temperature`.

    Training, validation and calibration questions all count: the untuned model, whose tokens these temperatures are of,
    has been tuned on none. Raises `UserError` where there are too few groups of questions.
    """
    rows = [row for split in ("train", "validation", "calibration") for row in inputs.splits[split]]
    reads, groups = [], []
    with untuned_model(config, run) as model, progress(len(rows), "reading", "references") as bar:
        for members, continued in read_references(model, inputs.prompt_format, inputs.few_shot, rows):
            reads.append(read_tokens(model, continued, range(len(continued.targets))))
            groups += [
                rows[i].group for i, (length,) in zip(members, continued.lengths, strict=True) for _ in range(length)
            ]
            bar.update(len(members))
    try:
        return fit_token_temperature(together(reads), np.array(groups))
    except ValueError as error:
        raise UserError(f"training.token_temperature: {error}; set it to none") from None


def read_references(
    model: Any, prompt_format: PromptFormat, few_shot: FewShot, rows: Sequence[QueryExample]
) -> Iterator[tuple[list[int], Continued]]:
    """Yield, by batch, the positions in `rows` and what the model computed for their reference answers. Each reference
    is read behind its question and its block."""
    behind: dict[tuple[Demonstration, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        behind[tuple(few_shot.before(row))].append(number)
    for block, members in behind.items():
        block_ids = prompt_format.few_shot_ids(block)
        with torch.no_grad():
            prefix = encode_prefix(model, block_ids)
        questions = {i: prompt_format.answering_ids(rows[i], rows[i].trace) for i in members}
        references = {i: prompt_format.answer_ids(rows[i].target)[:LONGEST] for i in members}
        lengths = [len(questions[i]) + len(references[i]) for i in members]
        for batch in by_length(lengths, BATCH_SIZE, MAX_BATCH_TOKENS, len(block_ids)):
            part = [members[k] for k in batch]
            prefixes, continuations = [questions[i] for i in part], [[references[i]] for i in part]
            yield part, continue_rows(model, prefix, prefixes, continuations)
