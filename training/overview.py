"""Training starts with a table: what is trained, on which examples, and about how much memory it takes."""

from __future__ import annotations

import sys
from pathlib import Path

from accelerate.utils import DistributedType
from rich.console import Console
from rich.table import Table

from training.loop import Run
from training.memory import GIB, adapted, counts, estimate_memory, size
from training.query_model import QueryModel
from training.reference import states_size, why_not_kept


def show_overview(run: Run, work: Path) -> None:
    strategy = run.strategy
    model = strategy.accelerator.unwrap_model(strategy.model)
    trained, total = counts(model)
    lengths = [len(example.input_ids) for example in run.train]
    planned = run.layout.planned(lengths, run.step_order, run.settings.tokens_per_batch, strategy.processes)
    table = Table(title="training", show_header=False, title_justify="left")
    identity = run.state.inputs_fingerprint
    rows = {
        "method": run.settings.method,
        "parameters trained": f"{trained:,} of {total:,} ({trained / total:.2%})",
        "examples": f"{len(run.train):,} ({sum(lengths):,} tokens, plus a few-shot block of {len(run.layout.block)})",
        "steps": f"{run.step_order.steps:,} of {run.step_order.batch_size} examples ({run.step_order.epochs:g} epochs)",
        "processes": f"{strategy.processes} ({strategy.accelerator.distributed_type.value.lower()})",
        "passes": f"{run.settings.batching}, up to {planned.largest:,} tokens each; devices busy {planned.busy:.0%}",
        "reference": why_not_kept(run.settings, run.train, run.lm, work, identity) or kept_states(run),
        "memory per device": f"about {expected_memory(run, model, planned.largest) / GIB:.1f} GiB",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(file=sys.stdout).print(table)


def kept_states(run: Run) -> str:
    size = states_size(run.train, run.lm.config.get_text_config().hidden_size, run.lm.dtype.itemsize)
    return f"read once, before the first step; its states take {size / GIB:.2f} GiB of the disk"


def expected_memory(run: Run, model: QueryModel, tokens: int) -> float:
    """Return the bytes that training takes on a device whose largest pass has that many `tokens`."""
    accelerator = run.strategy.accelerator
    kind = accelerator.distributed_type
    stage = accelerator.state.deepspeed_plugin.zero_stage if kind == DistributedType.DEEPSPEED else 0
    shards = run.strategy.processes
    trained, _ = counts(model)
    return estimate_memory(
        model.config.get_text_config(),
        base_bytes=sum(size(p) * p.element_size() for p in model.parameters() if not p.requires_grad),
        trained=trained,
        bytes_per_number=2 if accelerator.mixed_precision == "bf16" else 4,
        tokens=tokens,
        checkpointed=run.settings.gradient_checkpointing,
        adapter=adapted(model),
        base_shards=shards if run.settings.trains and (stage == 3 or kind == DistributedType.FSDP) else 1,
        trained_shards=shards if stage >= 1 or kind == DistributedType.FSDP else 1,
        gradient_shards=shards if stage >= 2 or kind == DistributedType.FSDP else 1,
    ).total
