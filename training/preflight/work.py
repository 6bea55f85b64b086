"""How much a training computes, and how long that takes: a roofline of the GPU and of the host that launches."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt
from typing import Any

from calibration_tuning.config.training import ADAPTED, TrainingSettings
from training.memory import counts
from training.preflight.machines import LAUNCHES, Sharding, fast_and_slow
from training.preflight.paper import Paper, fitting
from training.reference import why_not_kept

FEWEST_STEPS = 200
"""A larger batch is advised only where training keeps at least so many steps."""
WORTHWHILE = 0.85
"""And only where it takes at most this share of the time."""


def keeps_reference(paper: Paper) -> bool:
    """Return true if training will read the reference once; before curation, answers are taken to be short."""
    training, known = paper.config.training, paper.examples["train"] if paper.is_curated else []
    return why_not_kept(training, known, paper.model.lm, paper.config.training_dir) is None


def flops(paper: Paper, sharding: Sharding) -> float:
    """Return the number of floating-point operations of the training steps, the validations and the calibrator.

    The backward pass takes what the forward pass takes, for the activations. Gradient checkpointing adds another
    forward pass, and so does the KL term: in every epoch, or once where the reference's states are kept.
    """
    config, training = paper.model.config.get_text_config(), paper.config.training
    embedded = sum(p.numel() for name, p in paper.model.named_parameters() if "embed" in name or "lm_head" in name)
    weights = counts(paper.model)[1] - embedded
    learnt = paper.steps.steps * paper.step_tokens(sharding)
    row = filled = sum(paper.lengths["train"]) / len(paper.lengths["train"]) + paper.block_length
    if paper.layout(sharding).kind == "packed":
        row = paper.step_tokens(sharding) / (paper.planned(sharding).passes * paper.gpus)
        filled = training.tokens_per_batch
    # Without gradients, a shared block is read only once.
    judged = (training.trains * training.evaluations + 1) * _judged(paper, "validation", sharding)
    judged += _judged(paper, "calibration", sharding)
    passes = 2 + training.gradient_checkpointing if training.method in ADAPTED else 1
    learning, reading = (forward_flops(config, weights, length) for length in (row, filled))
    reference = reading if keeps_reference(paper) else learning
    return learning * passes * learnt + reading * judged + reference * _reference_tokens(paper, sharding)


def forward_flops(config: Any, weights: int, row: float) -> float:
    """Return the floating-point operations that a token takes in a forward pass: two for each of the `weights`, and
    attention over the whole of a row of that many tokens. Attention by a mask computes what it then hides."""
    return 2 * weights + 4 * config.num_hidden_layers * config.hidden_size * row


def _reference_tokens(paper: Paper, sharding: Sharding) -> float:
    training = paper.config.training
    if training.method not in ADAPTED or training.objective.kl_weight == 0:
        return 0.0
    if keeps_reference(paper):
        return _judged(paper, "train", sharding)
    return paper.steps.steps * paper.step_tokens(sharding)


def _judged(paper: Paper, split: str, sharding: Sharding) -> float:
    lengths = paper.lengths[split]
    return paper.layout(sharding).tokens_read(len(lengths), sum(lengths) / max(1, len(lengths)), 0)


def hours(paper: Paper, sharding: Sharding) -> tuple[float, float]:
    """Return the hours of training, shortest and longest."""
    planned, width = paper.planned(sharding), paper.model.config.get_text_config().hidden_size
    launches = paper.steps.steps * planned.passes * _launches(paper, sharding)
    each = flops(paper, sharding) / paper.gpus / planned.busy
    fast, slow = fast_and_slow(paper.gpu, each, width, launches)
    return fast / 3600, slow / 3600


def _launches(paper: Paper, sharding: Sharding) -> float:
    """Return how many kernels a GPU is sent in a training pass. Padded rows follow a pass of their shared block."""
    training: TrainingSettings = paper.config.training
    reads = training.objective.kl_weight > 0 and training.method in ADAPTED and not keeps_reference(paper)
    each = LAUNCHES["training"] + LAUNCHES["reference"] * (reads + training.gradient_checkpointing)
    layout = paper.layout(sharding)
    passes = 2 if layout.kind == "padded" and layout.shared_block else 1
    return paper.model.config.get_text_config().num_hidden_layers * passes * each


def utilisation(paper: Paper, sharding: Sharding) -> tuple[float, float]:
    """Return the share of the GPUs' peak that `hours` amounts to, lowest and highest."""
    fast, slow = hours(paper, sharding)
    most = 3600 * paper.gpus * paper.gpu.tflops * 1e12
    return flops(paper, sharding) / (most * slow), flops(paper, sharding) / (most * fast)


def dollars(paper: Paper, sharding: Sharding) -> tuple[float, float]:
    (low, high), (cheap, dear) = hours(paper, sharding), paper.gpu.dollars
    return low * paper.gpus * cheap, high * paper.gpus * dear


def larger_batch(paper: Paper, sharding: Sharding) -> str | None:
    """Return advice on a larger batch that trains in clearly less time; None if there is none.

    The learning rate goes with the square root of the batch, as is usual for Adam (Malladi et al. 2022).
    """
    training, now = paper.config.training, hours(paper, sharding)
    if not training.trains:
        return None
    better = [larger for larger in _larger(paper) if hours(larger, sharding)[1] < WORTHWHILE * now[1]]
    if not better:
        return None
    larger = min(better, key=lambda plan: hours(plan, sharding)[1])
    size, (fast, slow) = larger.config.training.batch_size, hours(larger, sharding)
    rate = training.learning_rate * sqrt(size / training.batch_size)
    return (
        f"passes of {paper.planned(sharding).largest:,} tokens leave a GPU waiting for its host; "
        f"training.batch_size={size} training.learning_rate={rate:.2g} would take {larger.steps.steps:,} steps instead "
        f"of {paper.steps.steps:,}, and {fast:.2g} to {slow:.2g} hours instead of {now[0]:.2g} to {now[1]:.2g}"
    )


def _larger(paper: Paper) -> Iterator[Paper]:
    size = 2 * paper.config.training.batch_size
    while ceil(len(paper.lengths["train"]) * paper.config.training.epochs / size) >= FEWEST_STEPS:
        larger = paper.with_batch_size(size)
        if not fitting(larger):
            return
        yield larger
        size *= 2
