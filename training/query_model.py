"""`QueryModel` is the model under training. A forward pass goes from token ids to the objective."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from calibration_tuning.config.training import ObjectiveSettings
from calibration_tuning.lm.batches import forward_inputs
from calibration_tuning.lm.caches import Prefix, encode_prefix
from calibration_tuning.lm.models import adapter_off, causal_model, decoder, vocabulary_logits
from calibration_tuning.lm.probe import Probe
from training.layout import Batch, block_causal_mask
from training.objective import AnswerTokens, objective


class QueryModel(nn.Module):
    """A `QueryModel` holds the language model, its probe or None, and the objective. Because they are a single module,
    every strategy can wrap it and sees one forward pass for each backward pass.

    `forward(batch)` takes a batch as in training/layout.py and returns the objective's total, its parts by name, and
    the detached z [n, 2]. With `judge_only` it returns z [n, 2] and the log-mass [n], which is None with a probe. With
    `reference_only` it returns the reference's hidden states [P, H] at the answer tokens.

    A pass without gradients for the reference, which is the model without adapter, comes first, unless the batch holds
    its states in "reference". A single pass with gradients follows. The decoder returns hidden states; only those that
    are needed are projected onto the vocabulary.
    """

    def __init__(
        self, lm: Any, answer_tokens: tuple[int, int], settings: ObjectiveSettings, probe: Probe | None = None
    ) -> None:
        super().__init__()
        self.lm = lm
        self.probe = probe
        self.answer_tokens = answer_tokens
        self.settings = settings
        self.config = lm.config
        self._no_split_modules = causal_model(lm)._no_split_modules
        self._reference_block: Prefix | None = None
        self._judging_block: Prefix | None = None

    @property
    def has_adapter(self) -> bool:
        return self.lm is not causal_model(self.lm)

    def forward(self, batch: Batch, judge_only: bool = False, reference_only: bool = False) -> Any:
        if reference_only:
            return self._reference(batch)
        keeps_near_base = self.settings.kl_weight > 0 and self.has_adapter and not judge_only
        reference = batch.get("reference") if keeps_near_base else None
        if keeps_near_base and reference is None:
            reference = self._reference(batch)
        # If only a probe is trained, no gradients are needed below the probe.
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.has_adapter):
            hidden = self._hidden(batch, self._block(batch))
        verdict = hidden[batch["query_rows"], batch["query_cols"]]
        z, log_mass = self._readout(verdict)
        if judge_only:
            return z, log_mass
        answers = None
        if self.has_adapter and (keeps_near_base or self.settings.answer_nll_weight > 0):
            answers = AnswerTokens(
                batch["answer_ids"],
                batch["answer_example"],
                batch["answer_share"],
                batch["grade"][batch["answer_example"]],
                hidden[batch["answer_rows"], batch["answer_cols"]],
                reference,
                batch["chunks"],
            )
        total, parts = objective(
            self.settings, z, log_mass, batch["correct"], batch["weight"], answers, self._vocabulary
        )
        return total, parts, z.detach()

    def train(self, mode: bool = True) -> QueryModel:
        self._judging_block = self._reference_block = None  # a block of 200 tokens takes 0.1 GiB in a 7B model
        return super().train(mode)

    def _readout(self, verdict: Tensor) -> tuple[Tensor, Tensor | None]:
        """z [n, 2], and the log-mass [n] of the two answer tokens, which is None with a probe."""
        if self.probe is not None:
            return self.probe(verdict), None
        logits = vocabulary_logits(self.lm, verdict, exact=self.answer_tokens)
        z = torch.stack([logits[:, token] for token in self.answer_tokens], dim=-1)
        return z, z.logsumexp(-1) - logits.logsumexp(-1)

    def _vocabulary(self, hidden: Tensor) -> Tensor:
        return vocabulary_logits(self.lm, hidden, exact=None)

    def _block(self, batch: Batch) -> Prefix:
        """The few-shot block's KV cache. Each training pass computes it, with gradients. Other passes share a cache."""
        if self.training:
            return encode_prefix(self.lm, batch["prefix_ids"])
        if self._judging_block is None:
            self._judging_block = encode_prefix(self.lm, batch["prefix_ids"])
        return self._judging_block

    @torch.no_grad()
    def _reference(self, batch: Batch) -> Tensor:
        """Hidden states [P, H] of the model without its adapter. It need not read the queries, so they are left out."""
        columns = batch["reference_columns"]
        head = {name: batch[name].index_select(1, columns) for name in ("input_ids", "position_ids")}
        if "attention_mask" in batch:
            head["attention_mask"] = batch["attention_mask"][:, columns]
        if "owner" in batch:
            head["owner"] = batch["owner"][columns]
        was_training = self.lm.training
        self.lm.eval()
        try:
            with adapter_off(self.lm):
                if self._reference_block is None:  # the base model never changes, so neither does its block
                    self._reference_block = encode_prefix(self.lm, batch["prefix_ids"])
                hidden = self._hidden(head, self._reference_block)
        finally:
            self.lm.train(was_training)
        return hidden[batch["answer_rows"], torch.searchsorted(columns, batch["answer_cols"])]

    def _hidden(self, batch: Batch, block: Prefix) -> Tensor:
        """Last hidden states [B, T, H]."""
        mask = batch.get("attention_mask")
        inputs: dict[str, Any]
        if block.length:
            inputs = forward_inputs(batch["input_ids"], mask, block, causal_model(self.lm).config)  # type: ignore[arg-type]
        else:
            if "owner" in batch:
                mask = block_causal_mask(batch["owner"], causal_model(self.lm).dtype)
            inputs = {"input_ids": batch["input_ids"], "attention_mask": mask, "use_cache": False}
        return decoder(self.lm)(**inputs | {"position_ids": batch["position_ids"]}).last_hidden_state
