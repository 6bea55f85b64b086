"""Uncertainty-query examples as token ids, and their left-padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from calibration_tuning.batches import left_pad
from calibration_tuning.prompts import PromptFormat
from calibration_tuning.records import GradedAnswer


def query_example(row: GradedAnswer, prompt_format: PromptFormat) -> dict[str, Any]:
    """Token ids [question | answer | query], the answer's length and its correctness."""
    sequence = [*prompt_format.question_ids(row.text), *row.token_ids]
    return {
        "input_ids": [*sequence, *prompt_format.query_ids],
        "answer_length": len(row.token_ids),
        "correct": row.correct,
    }


@dataclass(frozen=True)
class Collator:
    """Batches whose rows end in the same column: the query then fills the last columns and, as its length is fixed,
    every answer ends just before it."""

    pad_id: int

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        input_ids, mask = left_pad([example["input_ids"] for example in examples], self.pad_id)
        return {
            "input_ids": input_ids,
            "attention_mask": mask,
            "answer_length": torch.tensor([example["answer_length"] for example in examples]),
            "labels": torch.tensor([float(example["correct"]) for example in examples]),
        }


@dataclass(frozen=True)
class Columns:
    """Which columns of a batch predict what, for logits computed there only."""

    keep: Tensor
    """Columns whose logits are needed: those that predict answer tokens [A], then the query's last."""
    answer_mask: Tensor
    """[B, A]: which of the A answer columns predict a token of the row's own answer."""
    answer_ids: Tensor
    """[B, A]: the tokens they predict."""


def columns(batch: dict[str, Tensor], query_length: int) -> Columns:
    lengths = batch["answer_length"]
    longest = int(lengths.max())
    end = batch["input_ids"].shape[1] - query_length
    answer = torch.arange(end - longest, end, device=lengths.device)
    last = answer.new_tensor([end + query_length - 1])
    own = torch.arange(longest, 0, -1, device=lengths.device) <= lengths.unsqueeze(1)
    return Columns(torch.cat([answer - 1, last]), own, batch["input_ids"][:, answer])
