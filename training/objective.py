"""The training objective: pure functions from logits to a total and its named parts.

    total = query + mass_weight * mass_nll + kl_weight * kl + answer_nll_weight * answer_nll

With z = (logit of "no", logit of "yes"), c in [0, 1] the correctness (smoothed by epsilon:
c <- (1 - epsilon) c + epsilon / 2; a share k/n where targets are soft) and p = softmax(z)[yes]:

    cross_entropy  -(c log p + (1 - c) log(1 - p))
    brier          (p - c)^2
    focal          -(c (1 - p)^gamma log p + (1 - c) p^gamma log(1 - p))        (Lin et al. 2017)
    mass_nll       -log(P(no) + P(yes)) over the whole vocabulary; cross_entropy + mass_nll is the cross-entropy over
                   the vocabulary. Without it, only the ratio of P(yes) to P(no) is trained, and their sum decays.
    kl             divergence of the answer tokens' distribution from the adapter-free model's (Kapoor et al. 2024)
    answer_nll     -log p(answer token), on answers that are correct, weighted by their grade

Every part is a mean over the examples of an optimizer step (first over the answer tokens of each example). A pass over
some of these examples yields its share of that mean, so parts add up over passes and processes, however a step is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from calibration_tuning.config.training import ObjectiveSettings

CHUNK = 256
"""The largest number of answer positions whose vocabulary logits exist at the same time."""


def cross_entropy(z: Tensor, correct: Tensor, gamma: float) -> Tensor:
    """Return the loss [B] in nats.

    `z` [B, 2]: logits of the answers No and Yes; `correct` [B] in [0, 1]; `gamma` is used by `focal` only.
    """
    log_no, log_yes = z.log_softmax(-1).unbind(-1)
    return -(correct * log_yes + (1 - correct) * log_no)


def brier(z: Tensor, correct: Tensor, gamma: float) -> Tensor:
    """Return the squared error [B] in [0, 1] between P(Yes) and `correct`. Arguments as of `cross_entropy`."""
    return (z.softmax(-1)[:, 1] - correct) ** 2


def focal(z: Tensor, correct: Tensor, gamma: float) -> Tensor:
    """Return the cross-entropy [B] in nats, each answer's term weighted by the probability of the other answer to the
    power `gamma` (Lin et al. 2017). Arguments as of `cross_entropy`."""
    log_no, log_yes = z.log_softmax(-1).unbind(-1)
    return -(correct * log_no.exp() ** gamma * log_yes + (1 - correct) * log_yes.exp() ** gamma * log_no)


def forward_kl(tuned: Tensor, reference: Tensor) -> Tensor:
    """Return KL(reference || tuned) [...] in nats, from log-probabilities [..., K]."""
    return F.kl_div(tuned, reference, log_target=True, reduction="none").sum(-1)


def reverse_kl(tuned: Tensor, reference: Tensor) -> Tensor:
    """Return KL(tuned || reference) [...] in nats, from log-probabilities [..., K]."""
    return forward_kl(reference, tuned)


def jsd(tuned: Tensor, reference: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence [...] in nats, in [0, log 2], from log-probabilities [..., K]."""
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


@dataclass(frozen=True)
class AnswerTokens:
    """`AnswerTokens` holds the P answer tokens of a pass, and the hidden states [P, H] that predict them."""

    ids: Tensor
    """[P]: the token ids."""
    example: Tensor
    """[P]: the row of `z` that each token belongs to."""
    share: Tensor
    """[P]: 1 / (number of answer tokens in the token's example)."""
    grade: Tensor
    """[P]: the grade of the token's answer, in [0, 1], also where the query's target is soft."""
    hidden: Tensor
    reference: Tensor | None
    """[P, H]: the hidden states of the model without adapter; None if kl_weight is 0."""
    chunks: int
    """The number of parts in which vocabulary logits are computed. It is the same on every process, because processes
    gather a sharded projection together."""


def objective(
    settings: ObjectiveSettings,
    z: Tensor,
    log_mass: Tensor | None,
    correct: Tensor,
    weight: Tensor,
    answers: AnswerTokens | None,
    logits_of: Callable[[Tensor], Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the scalar total of a pass over B examples, and its detached parts by name.

    z [B, 2]; log_mass [B], the log-probability of the two answer tokens together, or None if z comes from a probe;
    correct [B] in [0, 1]; weight [B], 1 / (examples in the step), or 0 for an example that only fills a batch;
    `logits_of` maps hidden states [n, H] to vocabulary logits [n, K]. Raises ValueError if there are no examples.
    """
    if not len(correct):
        raise ValueError("a batch without a supervised query position has no loss")
    target = correct * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    parts = {"query": (QUERY_LOSSES[settings.query_loss](z, target, settings.focal_gamma) * weight).sum()}
    total = parts["query"]
    if log_mass is not None:
        parts["mass_nll"] = -(log_mass * weight).sum()
        parts["mass"] = (log_mass.exp() * weight).sum()
        total = total + settings.mass_weight * parts["mass_nll"]
    if answers is not None and answers.chunks:
        divergence, nll = answer_terms(answers, logits_of, DIVERGENCES[settings.kl], settings.answer_nll_weight > 0)
        share = answers.share * weight[answers.example]
        if divergence is not None:
            parts["kl"] = (divergence * share).sum()
            total = total + settings.kl_weight * parts["kl"]
        if nll is not None:
            parts["answer_nll"] = (nll * share * answers.grade).sum()
            total = total + settings.answer_nll_weight * parts["answer_nll"]
    return total, {name: value.detach() for name, value in parts.items()}


def answer_terms(
    answers: AnswerTokens,
    logits_of: Callable[[Tensor], Tensor],
    divergence: Callable[[Tensor, Tensor], Tensor],
    with_nll: bool,
) -> tuple[Tensor | None, Tensor | None]:
    """Return the divergence [P] from the reference and -log p [P] of the answer tokens; None for a term that is off.

    Logits are computed for a chunk of positions at a time. They are dropped, and computed again in the backward pass,
    so memory grows with CHUNK x K, not with P x K.
    """

    def terms(hidden: Tensor, reference: Tensor | None, ids: Tensor) -> tuple[Tensor | None, Tensor | None]:
        tuned = logits_of(hidden).log_softmax(-1)
        nll = -tuned.gather(1, ids.unsqueeze(1)).squeeze(1) if with_nll else None
        if reference is None:
            return None, nll
        with torch.no_grad():
            base = logits_of(reference).log_softmax(-1)
        return divergence(tuned, base), nll

    references = (
        [None] * answers.chunks if answers.reference is None else answers.reference.tensor_split(answers.chunks)
    )
    chunks = zip(
        answers.hidden.tensor_split(answers.chunks), references, answers.ids.tensor_split(answers.chunks), strict=True
    )
    if answers.chunks == 1 or not torch.is_grad_enabled():
        chunk_terms = [terms(*chunk) for chunk in chunks]
    else:
        chunk_terms = [checkpoint(terms, *chunk, use_reentrant=False) for chunk in chunks]
    divergences, nlls = zip(*chunk_terms, strict=True)
    return (
        None if divergences[0] is None else torch.cat(divergences),
        None if nlls[0] is None else torch.cat(nlls),
    )
