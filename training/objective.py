"""The training objective: pure functions from logits to a total and its named parts.

    total = query + mass_weight * mass + kl_weight * kl + answer_nll_weight * answer_nll

With z = (logit of "no", logit of "yes") at the query position, c in [0, 1] the correctness (smoothed by epsilon:
c <- (1 - epsilon) c + epsilon / 2) and p = softmax(z)[yes]:

    cross_entropy  -(c log p + (1 - c) log(1 - p))
    brier          (p - c)^2
    focal          -(c (1 - p)^gamma log p + (1 - c) p^gamma log(1 - p))        (Lin et al. 2017)
    mass           -log(P(no) + P(yes)) over the whole vocabulary; cross_entropy + mass is the cross-entropy over the
                   vocabulary. Without it only the ratio of the two tokens is trained and their mass decays.
    kl             divergence of the answer tokens' distribution from the adapter-free model's (Kapoor et al. 2024)
    answer_nll     -log p(answer token), on answers that are correct, weighted by c

Every part is a mean over examples (over an example's own answer tokens first), so that the value does not depend on
how examples are spread over micro-batches of equal size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from calibration_tuning.run_config import ObjectiveSettings


def cross_entropy(z: Tensor, correct: Tensor, gamma: float) -> Tensor:
    log_no, log_yes = z.log_softmax(-1).unbind(-1)
    return -(correct * log_yes + (1 - correct) * log_no)


def brier(z: Tensor, correct: Tensor, gamma: float) -> Tensor:
    return (z.softmax(-1)[:, 1] - correct) ** 2


def focal(z: Tensor, correct: Tensor, gamma: float) -> Tensor:
    log_no, log_yes = z.log_softmax(-1).unbind(-1)
    p = log_yes.exp()
    return -(correct * (1 - p) ** gamma * log_yes + (1 - correct) * p**gamma * log_no)


def forward_kl(tuned: Tensor, reference: Tensor) -> Tensor:
    """KL(reference || tuned) from log-probabilities [..., K], in nats."""
    return F.kl_div(tuned, reference, log_target=True, reduction="none").sum(-1)


def reverse_kl(tuned: Tensor, reference: Tensor) -> Tensor:
    """KL(tuned || reference)."""
    return forward_kl(reference, tuned)


def jsd(tuned: Tensor, reference: Tensor) -> Tensor:
    """Jensen-Shannon divergence, in [0, log 2]."""
    mixture = torch.logaddexp(tuned, reference) - torch.log(torch.tensor(2.0, dtype=tuned.dtype, device=tuned.device))
    return (forward_kl(mixture, tuned) + forward_kl(mixture, reference)) / 2


QUERY_LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "cross_entropy": cross_entropy,
    "brier": brier,
    "focal": focal,
}
DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jsd": jsd,
}


def objective(
    settings: ObjectiveSettings,
    query_logits: Tensor,
    answer_tokens: tuple[int, int],
    correct: Tensor,
    answer_logits: Tensor,
    reference_logits: Tensor | None,
    answer_ids: Tensor,
    answer_mask: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch.

    query_logits [B, K], answer_tokens (no, yes), correct [B] in [0, 1]; answer_logits and reference_logits
    [B, A, K] predict answer_ids [B, A] where answer_mask [B, A] is true; reference_logits may be None if kl_weight
    is 0. Returns the scalar total and the detached parts. Raises ValueError for a batch without examples.
    """
    if not len(correct):
        raise ValueError("a batch without a supervised query position has no loss")
    query_logits = query_logits.float()
    correct = correct.float()
    pair = query_logits[:, list(answer_tokens)]
    target = correct * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    log_mass = pair.logsumexp(-1) - query_logits.logsumexp(-1)
    parts = {
        "query": QUERY_LOSSES[settings.query_loss](pair, target, settings.focal_gamma).mean(),
        "mass_nll": -log_mass.mean(),
    }
    total = parts["query"] + settings.mass_weight * parts["mass_nll"]
    tokens_per_example = answer_mask.sum(1).clamp(min=1)
    weight = answer_mask / (tokens_per_example.unsqueeze(1) * len(correct))
    if settings.kl_weight and reference_logits is not None:
        divergence = DIVERGENCES[settings.kl](
            answer_logits[answer_mask].float().log_softmax(-1), reference_logits[answer_mask].float().log_softmax(-1)
        )
        parts["kl"] = (divergence * weight[answer_mask]).sum()
        total = total + settings.kl_weight * parts["kl"]
    if settings.answer_nll_weight:
        nll = F.cross_entropy(answer_logits[answer_mask].float(), answer_ids[answer_mask], reduction="none")
        parts["answer_nll"] = (nll * (weight * correct.unsqueeze(1))[answer_mask]).sum()
        total = total + settings.answer_nll_weight * parts["answer_nll"]
    parts["mass"] = log_mass.exp().mean()
    return total, {name: value.detach() for name, value in parts.items()}
