"""`python -m training.preflight CONFIG` says, without a GPU, what a training takes and what would stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from calibration_tuning.command_line import (
    ConfigArgument,
    DebugOption,
    OverridesArgument,
    quiet_libraries,
    run_command,
    with_errors,
)
from calibration_tuning.config.run import load_run_config
from calibration_tuning.errors import UserError

if TYPE_CHECKING:
    from training.preflight.paper import Paper

COLOURS = {"ok": "green", "warning": "yellow", "fails": "red", "skipped": "dim"}
PARTS = ("weights", "trained", "gradients", "optimizer", "activations", "logits")
WIDEST = 110
MOST_OF_BLOCK = 600
"""Characters of the few-shot block that are shown."""


def main(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    gpus: Annotated[int, typer.Option(min=1, help="Number of GPUs.")] = 8,
    gpu: Annotated[
        str, typer.Option(help="GPU type, for example h100-80gb or rtx-4090. An unknown type lists all.")
    ] = "a100-80gb",
    here: Annotated[
        bool, typer.Option("--here", help="Check this machine too: GPUs, NCCL, kernels, folder, a step. One minute.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Estimate a training's memory, time and cost, and check what would stop it. Needs no GPU and no weights.

    Shows a training example as the model reads it. Where the model's weights are on this machine, checks that the
    untuned model answers the uncertainty query. The exit code is 2 if a check fails.

    Example: calibration-tuning preflight configs/llama2_7b.yaml --gpus 8 --gpu a100-80gb
    """

    def work() -> None:
        quiet_libraries()
        from training.preflight.checks import CHECKS, findings
        from training.preflight.machines import GPUS
        from training.preflight.paper import Paper, chosen_gpu

        paper = Paper(load_run_config(config, overrides or []), gpus, chosen_gpu(gpu, GPUS))
        console = Console()
        console = Console(width=max(console.width, WIDEST), highlight=False)
        checks = CHECKS
        if here:
            from training.preflight.here import HERE

            checks = CHECKS | HERE
        results = list(findings(paper, checks))
        statuses = {name: finding.status for name, finding in results}
        if statuses["memory"] != "skipped" and statuses["curated set"] in ("ok", "warning"):
            _sizes(console, paper, gpu)
            _schedule(console, paper, gpu)
        if statuses["answer tokens"] == "ok" and statuses["curated set"] in ("ok", "warning"):
            _example(console, paper)
        for name, finding in results:
            mark = f"[{COLOURS[finding.status]}]{finding.status:<7}[/]"
            console.print(f"{mark} {name}: {escape(finding.detail)}", soft_wrap=True)
        failed = [name for name, finding in results if finding.status == "fails"]
        if failed:
            raise typer.Exit(UserError.exit_code)

    with_errors(work, debug)


def _sizes(console: Console, paper: Paper, gpu: str) -> None:
    from training.memory import GIB
    from training.preflight.machines import CONTEXT, SHARDINGS

    table = Table(title=f"GiB on each of {paper.gpus} x {gpu} ({paper.gpu.memory:g} GiB)", title_justify="left")
    table.add_column("strategy")
    # "after": while the untuned model reads the answers, which follows the last step.
    for part in (*PARTS, "other", "total", "after"):
        table.add_column(part, justify="right")
    table.add_column("")
    for name, sharding in SHARDINGS.items():
        memory = paper.memory(sharding)
        sizes = [getattr(memory, part) / GIB for part in PARTS]
        total, after = (size / GIB + CONTEXT for size in (memory.total, paper.reading_bytes(sharding)))
        fits = "[green]fits[/]" if paper.fits(sharding) else "[red]does not fit[/]"
        table.add_row(name, *(f"{size:.2f}" for size in (*sizes, CONTEXT, total, after)), fits)
    console.print(table)


def _schedule(console: Console, paper: Paper, gpu: str) -> None:
    from training.preflight.machines import SHARDINGS
    from training.preflight.paper import fitting
    from training.preflight.work import dollars, flops, hours, utilisation

    plan, lengths = paper.steps, paper.lengths["train"]
    tokens = sum(lengths)
    assumed = "" if paper.is_curated else " (assumed)"
    # Strategies that split less communicate less and come first.
    name = next(iter(fitting(paper)), "FSDP2")
    sharding = SHARDINGS[name]
    (fast, slow), (cheap, dear) = hours(paper, sharding), dollars(paper, sharding)
    low, high = utilisation(paper, sharding)
    time = " to ".join(dict.fromkeys([_time(fast), _time(slow)]))
    epochs = paper.config.training.epochs
    console.print(
        f"{len(lengths):,} examples, {tokens:,} tokens{assumed}; {plan.steps:,} steps of {plan.batch_size} over "
        f"{epochs:g} epoch{'' if epochs == 1 else 's'}; {flops(paper, sharding):.2g} FLOPs with {name}"
    )
    console.print(
        f"training takes {time} on {paper.gpus} x {gpu} at {high:.0%} to {low:.0%} of the "
        f"peak (modelled), about ${cheap:,.2f} to ${dear:,.2f}; curation and evaluation are not included\n"
    )


def _example(console: Console, paper: Paper) -> None:
    from calibration_tuning.lm.shown_prompt import conversation, legend, token_counts
    from training.preflight.untuned import shown_example

    parts = shown_example(paper)
    made_up = "" if paper.is_curated else " (made up, without a few-shot block)"
    console.rule(f"a training example as the model reads it{made_up}", align="left")
    console.print(legend())
    console.print(conversation(parts, MOST_OF_BLOCK), soft_wrap=True)
    console.print(Text(token_counts(parts), "italic"), soft_wrap=True)
    console.rule()


def _time(hours: float) -> str:
    if hours < 1 / 60:
        return "less than a minute"
    return f"{60 * hours:.0f} min" if hours < 2 else f"{hours:.1f} h"


if __name__ == "__main__":
    run_command(main)
