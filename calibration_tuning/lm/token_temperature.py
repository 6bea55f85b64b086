"""A temperature for every position: token logits divided by what the last hidden state says of them.

Adaptive temperature scaling (Xie et al. 2024, "Calibrating Language Models with Adaptive Temperature Scaling") with a
linear head: log(1 / temperature) = weights . standardised hidden state / sqrt(H) + bias. A temperature keeps the order
of tokens, so greedy answers stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calibration_tuning.lm.likelihood import CHUNK, Continued
from calibration_tuning.lm.models import float32_logits
from calibration_tuning.metrics.cross_fitting import FOLDS, grouped_folds

FILE = "token_temperature.safetensors"
KEPT = 1000
"""Fitting uses this many of a position's logits, the largest. The rest count as equal logits."""
RIDGES = (0.01, 0.03, 0.1, 0.3)
"""Penalties on the squared weights that are tried."""
FURTHEST = 2.0
"""Temperatures lie between exp(-2) and exp(2)."""


@dataclass(frozen=True)
class TokenTemperature:
    """Temperatures by hidden state. All tensors are float32 [H]."""

    mean: Tensor
    spread: Tensor
    weights: Tensor
    bias: Tensor
    """[1]"""

    def __call__(self, hidden: Tensor) -> Tensor:
        """Temperatures [n] > 0 of positions whose last hidden states are `hidden` [n, H]."""
        at = [value.to(hidden.device) for value in (self.mean, self.spread, self.weights, self.bias)]
        return torch.exp(-_log_scale(_standardised(hidden, *at[:2]), *at[2:]))


@dataclass(frozen=True)
class TokenReads:
    """The statistics of N positions that fitting needs. They replace vocabulary logits in a fraction of the memory."""

    hidden: Tensor
    """float32 [N, H]"""
    logits: Tensor
    """float32 [N, k + 1]: the k largest, and the logit that each of the other tokens counts as."""
    target: Tensor
    """float32 [N]: logit of the realised token."""
    tail_size: int

    def nll(self, scale: Tensor, rows: Any = slice(None)) -> Tensor:
        """-log p [n] of the realised tokens, logits being multiplied by `scale` [n]."""
        scaled = self.logits[rows] * scale.unsqueeze(1)
        if self.tail_size:
            tail = torch.zeros(self.logits.shape[1])
            tail[-1] = float(np.log(self.tail_size))
            scaled = scaled + tail
        return scaled.logsumexp(1) - self.target[rows] * scale


@torch.no_grad()
def read_tokens(model: Any, continued: Continued, rows: Sequence[int]) -> TokenReads:
    """Return the positions `rows` of `continued`, on the CPU."""
    picked = torch.tensor(list(rows), dtype=torch.long, device=continued.hidden.device)
    logits, target, tail_size = [], [], 0
    for part in picked.split(CHUNK):
        values = float32_logits(model, continued.hidden[part])
        count = min(KEPT, values.shape[1])
        largest, tail_size = values.topk(count, 1).values, values.shape[1] - count
        tail_mass = values.logsumexp(1).double().exp() - largest.logsumexp(1).double().exp()
        tail_logit = (tail_mass.clamp_min(1e-300).log() - np.log(max(tail_size, 1))).float().unsqueeze(1)
        logits.append(torch.cat([largest, tail_logit] if tail_size else [largest], 1).cpu())
        target.append(values.gather(1, continued.targets[part].unsqueeze(1)).squeeze(1).cpu())
    return TokenReads(continued.hidden[picked].float().cpu(), torch.cat(logits), torch.cat(target), tail_size)


def together(reads: Sequence[TokenReads]) -> TokenReads:
    hidden, logits, target = (
        torch.cat([getattr(part, name) for part in reads]) for name in ("hidden", "logits", "target")
    )
    return TokenReads(hidden, logits, target, reads[0].tail_size)


def fit_token_temperature(
    reads: TokenReads, groups: np.ndarray, ridges: Sequence[float] = RIDGES
) -> tuple[TokenTemperature, dict[str, float]]:
    """The head with the least NLL of N positions plus ridge penalty, and how it was chosen.

    The penalty is the one of `ridges` with the lowest NLL over folds that keep `groups` [N] together. The numbers are
    `n` positions, the `ridge`, and these folds' NLL without and with the head. Raises ValueError for fewer groups than
    folds.
    """
    fold_of = torch.from_numpy(grouped_folds(groups))
    mean, spread = reads.hidden.mean(0), reads.hidden.std(0)
    spread = torch.where(spread > 1e-6, spread, torch.ones(()))
    features = _standardised(reads.hidden, mean, spread)
    scores = {}
    for ridge in ridges:
        total = 0.0
        for fold in range(FOLDS):
            out = (fold_of == fold).nonzero().flatten()
            weights, bias = _fitted(features, reads, ridge, (fold_of != fold).nonzero().flatten())
            total += float(reads.nll(torch.exp(_log_scale(features[out], weights, bias)), out).sum())
        scores[ridge] = total / len(features)
    best = min(scores, key=scores.__getitem__)
    weights, bias = _fitted(features, reads, best, torch.arange(len(features)))
    without = float(reads.nll(torch.ones(len(features))).mean())
    numbers = {"n": float(len(features)), "ridge": best, "nll_without": without, "nll_with": scores[best]}
    return TokenTemperature(mean, spread, weights, bias), numbers


def save_token_temperature(head: TokenTemperature, folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in vars(head).items()}, folder / FILE)


def load_token_temperature(folder: Path) -> TokenTemperature:
    """Raises SafetensorError, OSError, ValueError or TypeError where the file is not of `save_token_temperature`."""
    from safetensors.torch import load_file

    head = TokenTemperature(**load_file(folder / FILE))
    if not head.mean.shape == head.spread.shape == head.weights.shape or head.bias.shape != (1,):
        raise ValueError(f"{folder / FILE}: its tensors do not fit together")
    return head


def _standardised(hidden: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    return (hidden.float() - mean) / spread / float(np.sqrt(hidden.shape[1]))


def _log_scale(features: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    return (features @ weights + bias).clamp(-FURTHEST, FURTHEST)


def _fitted(features: Tensor, reads: TokenReads, ridge: float, rows: Tensor) -> tuple[Tensor, Tensor]:
    weights, bias = (torch.zeros(size, requires_grad=True) for size in (features.shape[1], 1))
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=40, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scale = torch.exp(_log_scale(features[rows], weights, bias))
        loss = reads.nll(scale, rows).mean() + ridge / 2 * (weights @ weights)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return weights.detach(), bias.detach()
