"""transformers' Trainer with the calibration objective: one forward and backward, one gradient-free forward."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import EvalPrediction, Trainer

from calibration_tuning.batches import Prefix, encode_prefix, forward_inputs
from calibration_tuning.models import adapter_off
from calibration_tuning.prompts import PromptFormat
from calibration_tuning.run_config import ObjectiveSettings
from evaluation.confidence_metrics import point_metrics
from training.examples import columns
from training.objective import QUERY_LOSSES, objective


class CalibrationTrainer(Trainer):
    """Trains P("correct") at the query position while holding the answer's distribution near the base model's.

    The few-shot block before every example is run once a step, with gradients, and shared by the batch through its
    KV cache; with gradient checkpointing (which rules caches out) it is repeated in every row instead.
    """

    def __init__(
        self,
        *args: Any,
        prompt_format: PromptFormat,
        few_shot_ids: list[int],
        objective_settings: ObjectiveSettings,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.compute_metrics = validation_metrics
        # Parts are means over examples: the Trainer divides them by the accumulation steps itself.
        self.model_accepts_loss_kwargs = False
        self.prompt_format = prompt_format
        self.few_shot_ids = few_shot_ids
        self.objective_settings = objective_settings
        self._parts: dict[str, list[Tensor]] = defaultdict(list)
        self._reference_prefix: Prefix | None = None

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        total, parts = self._losses(model, inputs)
        for name, value in parts.items():
            self._parts[name].append(value)
        return (total, {}) if return_outputs else total

    def _losses(self, model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        query_length = len(self.prompt_format.query_ids)
        cols = columns(batch, query_length)
        logits = self._logits(model, batch["input_ids"], batch["attention_mask"], cols.keep)
        reference = None
        if self.objective_settings.kl_weight:
            base = self.accelerator.unwrap_model(model)
            # The reference needs no query: its last column is where the answer ends.
            head = {name: batch[name][:, :-query_length] for name in ("input_ids", "attention_mask")}
            with torch.no_grad(), adapter_off(base):
                reference = self._logits(base, head["input_ids"], head["attention_mask"], cols.keep[:-1], True)
        return objective(
            self.objective_settings,
            logits[:, -1],
            self.prompt_format.answer_tokens,
            batch["labels"],
            logits[:, :-1],
            reference,
            cols.answer_ids,
            cols.answer_mask,
        )

    def _logits(self, model: Any, input_ids: Tensor, mask: Tensor, keep: Tensor, is_base: bool = False) -> Tensor:
        """Logits [B, len(keep), K] at the columns `keep`, each row behind the few-shot block."""
        block = torch.tensor(self.few_shot_ids, dtype=torch.long, device=input_ids.device)
        if self.args.gradient_checkpointing:
            rows = len(input_ids)
            input_ids = torch.cat([block.expand(rows, -1), input_ids], dim=1)
            mask = torch.cat([mask.new_ones(rows, len(block)), mask], dim=1)
            prefix, keep = Prefix((), 0), keep + len(block)
        else:
            # The base model never changes, so neither does its block.
            prefix = self._reference_prefix if is_base and self._reference_prefix else encode_prefix(model, block)
            self._reference_prefix = prefix if is_base else self._reference_prefix
        config = self.accelerator.unwrap_model(model).config
        return model(**forward_inputs(input_ids, mask, prefix, config), logits_to_keep=keep).logits

    def prediction_step(
        self, model: Any, inputs: dict[str, Tensor], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> Any:
        """The query's loss alone: the regulariser would cost a second forward pass and says nothing of calibration."""
        batch = self._prepare_inputs(inputs)
        last = torch.tensor([batch["input_ids"].shape[1] - 1], device=batch["input_ids"].device)  # type: ignore[union-attr]
        with torch.no_grad(), self.compute_loss_context_manager():
            logits = self._logits(model, batch["input_ids"], batch["attention_mask"], last)  # type: ignore[arg-type]
        pair = logits[:, -1, list(self.prompt_format.answer_tokens)].float()
        loss = QUERY_LOSSES[self.objective_settings.query_loss](
            pair,
            batch["labels"],
            self.objective_settings.focal_gamma,  # type: ignore[arg-type]
        )
        return loss.mean(), pair, batch["labels"]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs and self._parts:
            logs |= {name: round(float(torch.stack(values).mean()), 5) for name, values in self._parts.items()}
            self._parts.clear()
        super().log(logs, *args, **kwargs)


def validation_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Brier, NLL, ECE and AUROC of the raw query confidence on the validation split."""
    pair = np.asarray(prediction.predictions, dtype=np.float64)
    confidence = 1.0 / (1.0 + np.exp(np.clip(pair[:, 0] - pair[:, 1], -700, 700)))
    found = point_metrics(confidence, np.asarray(prediction.label_ids, dtype=np.float64))
    return {name: found[name] for name in ("brier", "nll", "ece", "auroc") if found[name] is not None}  # type: ignore[misc]
