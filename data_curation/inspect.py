"""python -m data_curation.inspect CONFIG: examples exactly as the model sees them, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from calibration_tuning.command_line import ConfigArgument, OverridesArgument, with_errors
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.lm.prompts import PromptFormat, load_prompt_format
from calibration_tuning.records import FewShot, QueryExample

# The block and the question are read only; the answer's tokens are held near the base model; the verdict is learnt.
COLOURS = {"block": "dim", "question": "", "answer": "cyan", "query": "", "verdict": "bold green"}


@dataclass(frozen=True)
class Part:
    name: str
    token_ids: list[int]
    text: str


def example_parts(row: QueryExample, few_shot: FewShot, prompt_format: PromptFormat) -> list[Part]:
    """The example's parts in order; their texts together are the decoding of their tokens together."""
    no, yes = prompt_format.answer_tokens
    parts = {
        "block": prompt_format.few_shot_ids(few_shot.query),
        "question": prompt_format.judged_ids(row.text),
        "answer": row.token_ids,
        "query": prompt_format.query_ids,
        "verdict": [yes if row.correct >= 0.5 else no],
    }
    shown: list[Part] = []
    ids: list[int] = []
    before = ""
    for name, part_ids in parts.items():
        ids += part_ids
        # Decoded from the beginning each time: the text of a token may depend on the one before it.
        after = str(prompt_format.tokenizer.decode(ids))
        shown.append(Part(name, part_ids, after[len(before) :]))
        before = after
    return shown


def show(rows: Sequence[QueryExample], few_shot: FewShot, prompt_format: PromptFormat, console: Console) -> None:
    legend = {"block": "few-shot block", "answer": "regularised tokens (the answer)", "verdict": "supervised token"}
    console.print(Text("  ").join(Text(text, COLOURS[name]) for name, text in legend.items()))
    for row in rows:
        parts = example_parts(row, few_shot, prompt_format)
        console.rule(f"{row.id} ({row.split})", align="left")
        console.print(Text.assemble(*((part.text, COLOURS[part.name]) for part in parts)), soft_wrap=True)
        counts = ", ".join(f"{part.name} {len(part.token_ids)}" for part in parts)
        answer, verdict = parts[2], parts[4]
        said = f"regularised {answer.text!r}; supervised {verdict.text!r} (correct = {row.correct:g})"
        console.print(Text(f"tokens: {counts}; {said}", "italic"), soft_wrap=True)


def inspect(config: RunConfig, count: int) -> None:

    curated = CuratedSet.read(config.curation_dir)
    rows = curated.split("train")
    prompt_format = load_prompt_format(config.model)
    chosen = rows[:: max(1, len(rows) // count)][:count]
    show(chosen, curated.few_shot, prompt_format, Console())


def main(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 5,
    debug: bool = False,
) -> None:
    """Print curated examples exactly as the model sees them, with the tokens that are trained on in colour."""
    with_errors(lambda: inspect(load_run_config(config, overrides or []), count), debug)


if __name__ == "__main__":
    typer.run(main)
