"""Token calibration while somebody else's training runs: `compute_metrics` of transformers' Trainer."""

from __future__ import annotations

from typing import Any

import torch

from calibration_tuning.metrics.token_calibration import TokenCalibration

IGNORED = -100
"""A label that transformers' losses leave out, and the padding between batches."""
LOGGED = ("full_ece", "vocabulary_brier", "nll", "top1_ece", "accuracy")


class TrainerMetrics:
    """Full-ECE and companions of a causal language model at every evaluation of a `transformers.Trainer`.

    TrainingArguments(..., eval_strategy="steps", batch_eval_metrics=True)
    Trainer(..., compute_metrics=TrainerMetrics())

    With `batch_eval_metrics` the logits of one batch are in memory at a time; without it the Trainer keeps those of the
    whole evaluation set. Labels are shifted here as the model's own loss shifts them; positions with the label -100 are
    left out. Logged are `full_ece`, `vocabulary_brier`, `nll`, `top1_ece` and `accuracy`, which the Trainer names
    `eval_full_ece` and so on, and `tokens`, the number of positions.
    """

    def __init__(self, num_bins: int = 10) -> None:
        self.num_bins = num_bins
        self._tokens = TokenCalibration(num_bins)

    def __call__(self, prediction: Any, compute_result: bool = True) -> dict[str, float]:
        """`prediction`: the Trainer's EvalPrediction, of logits [B, T, K] (or a tuple that begins with them) and labels
        [B, T], as tensors or arrays. Returns nothing until the last batch. Raises ValueError for other shapes."""
        logits, labels = _tensor(prediction.predictions), _tensor(prediction.label_ids)
        if logits.ndim != 3 or labels.shape != logits.shape[:2]:
            raise ValueError(
                f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} must be [B, T, K] and [B, T]"
            )
        targets = labels[:, 1:].to(logits.device)
        is_target = targets != IGNORED
        self._tokens.update(logits[:, :-1][is_target], targets[is_target])
        if not compute_result:
            return {}
        numbers, self._tokens = self._tokens.compute(), TokenCalibration(self.num_bins)
        logged = {name: numbers[name] for name in LOGGED} | {"tokens": numbers["n"]}
        return {name: float(value) for name, value in logged.items() if value is not None}


def _tensor(values: Any) -> torch.Tensor:
    return torch.as_tensor(values[0] if isinstance(values, tuple) else values)
