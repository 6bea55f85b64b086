"""python -m data_curation.inspect CONFIG: examples exactly as the model sees them, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from calibration_tuning.command_line import ConfigArgument, DebugOption, OverridesArgument, run_command, with_errors
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.curated_set import CuratedSet, curation_folder
from calibration_tuning.lm.prompts import PromptFormat, load_prompt_format
from calibration_tuning.lm.shown_prompt import conversation, example_parts, legend, token_counts
from calibration_tuning.records import FewShot, QueryExample


def show(rows: Sequence[QueryExample], few_shot: FewShot, prompt_format: PromptFormat, console: Console) -> None:
    console.print(legend())
    for row in rows:
        parts = example_parts(prompt_format, few_shot.query, row, row.token_ids, row.correct >= 0.5)
        console.rule(Text(f"{row.id} ({row.split})"), align="left")
        console.print(conversation(parts), soft_wrap=True)
        console.print(Text(f"{token_counts(parts)} (correct = {row.correct:g})", "italic"), soft_wrap=True)


def inspect(config: RunConfig, count: int) -> None:
    curated = CuratedSet.read(curation_folder(config))
    rows = curated.split("train")
    prompt_format = load_prompt_format(config.model)
    chosen = rows[:: max(1, len(rows) // count)][:count]
    show(chosen, curated.few_shot, prompt_format, Console())


def main(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    count: Annotated[int, typer.Option(min=1, help="Number of examples to print.")] = 5,
    debug: DebugOption = False,
) -> None:
    """Print curated examples exactly as the model sees them, with the tokens that are trained on in colour."""
    with_errors(lambda: inspect(load_run_config(config, overrides or []), count), debug)


if __name__ == "__main__":
    run_command(main)
