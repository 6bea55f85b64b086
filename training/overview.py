"""The table at the start: what is trained on what, and about how much memory it takes."""

from __future__ import annotations

import sys
from typing import Any

from accelerate.utils import DistributedType
from rich.console import Console
from rich.table import Table
from torch import nn

from training.loop import Run
from training.objective import CHUNK
from training.query_model import QueryModel

GIB = 2**30
TRAINED_BYTES = 16
"""Of a trained parameter: float32 value, gradient and Adam's two moments."""


def show_overview(run: Run) -> None:
    engine = run.engine
    model = engine.accelerator.unwrap_model(engine.model)
    trained, total = counts(model)
    tokens = sum(len(example.input_ids) for example in run.train)
    table = Table(title="training", show_header=False, title_justify="left")
    rows = {
        "method": run.settings.method,
        "parameters trained": f"{trained:,} of {total:,} ({trained / total:.2%})",
        "examples": f"{len(run.train):,} ({tokens:,} tokens, and a few-shot block of {len(run.layout.block)})",
        "steps": f"{run.plan.steps:,} of {run.plan.batch_size} examples ({run.settings.epochs:g} epochs)",
        "processes": f"{engine.processes} ({engine.accelerator.distributed_type.value.lower()})",
        "passes": f"{run.settings.batching}, up to {run.settings.tokens_per_batch:,} tokens each",
        "memory per device": f"about {expected_memory(run, model) / GIB:.1f} GiB",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(file=sys.stdout).print(table)


def counts(model: nn.Module) -> tuple[int, int]:
    """Parameters trained, and all."""
    sizes = [(size(p), p.requires_grad) for p in model.parameters()]
    return sum(n for n, is_trained in sizes if is_trained), sum(n for n, _ in sizes)


def size(parameter: nn.Parameter) -> int:
    """ZeRO-3 empties parameters of which it holds a share; it keeps their size apart."""
    return getattr(parameter, "ds_numel", parameter.numel())


def expected_memory(run: Run, model: QueryModel) -> float:
    accelerator = run.engine.accelerator
    kind = accelerator.distributed_type
    stage = accelerator.state.deepspeed_plugin.zero_stage if kind == DistributedType.DEEPSPEED else 0
    shards = run.engine.processes
    longest = max(run.layout.width(example) for example in run.train)
    tokens = min(run.settings.tokens_per_batch, -(-run.plan.batch_size // shards) * longest + len(run.layout.block))
    trained, _ = counts(model)
    return estimate_memory(
        model.config.get_text_config(),
        base_bytes=sum(size(p) * p.element_size() for p in model.parameters() if not p.requires_grad),
        trained=trained,
        bytes_per_number=2 if accelerator.mixed_precision == "bf16" else 4,
        tokens=tokens,
        checkpointed=run.settings.gradient_checkpointing,
        base_shards=shards if stage == 3 or kind == DistributedType.FSDP else 1,
        trained_shards=shards if stage >= 1 or kind == DistributedType.FSDP else 1,
    )


def estimate_memory(
    config: Any,
    base_bytes: int,
    trained: int,
    bytes_per_number: int,
    tokens: int,
    checkpointed: bool,
    base_shards: int = 1,
    trained_shards: int = 1,
) -> float:
    """Bytes per device, roughly: weights, trained state, activations kept for the backward pass, and logits.

    A decoder layer keeps about 8 x hidden + 2 x key/value + 4 x intermediate numbers for each token (norms,
    projections, gates); with checkpointing only its input, and one layer's worth at a time.
    """
    heads = config.num_attention_heads
    kv = config.hidden_size // heads * getattr(config, "num_key_value_heads", heads)
    layer = 8 * config.hidden_size + 2 * kv + 4 * config.intermediate_size
    kept = config.num_hidden_layers * config.hidden_size + layer if checkpointed else config.num_hidden_layers * layer
    logits = 4 * CHUNK * config.vocab_size * 4  # tuned, reference, and their gradients, in float32
    return (
        base_bytes / base_shards + trained * TRAINED_BYTES / trained_shards + tokens * kept * bytes_per_number + logits
    )
