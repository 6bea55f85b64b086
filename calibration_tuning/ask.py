"""python -m calibration_tuning.ask CHECKPOINT [QUESTION]: answers with confidences, on the console or in a file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from calibration_tuning.claims import claim_spans
from calibration_tuning.command_line import DebugOption, quiet_libraries, run_command, with_errors
from calibration_tuning.errors import UserError, first_problem
from calibration_tuning.examples import read_examples
from calibration_tuning.question_rows import Row, read_rows
from calibration_tuning.runs.files import append_text, write_text
from calibration_tuning.runs.progress import progress

if TYPE_CHECKING:
    from calibration_tuning.calibrated_model import CalibratedAnswer, CalibratedModel
    from calibration_tuning.claims import Claim

CHUNK = 64
BAR = 30
CheckpointArgument = Annotated[
    str, typer.Argument(help="Folder of a checkpoint, such as runs/demo/checkpoint, or ORG/NAME on the hub.")
]
ErrorRateOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Share of trusted answers that may be wrong: one of the run's evaluation.error_rates "
        "(default: the lowest of these that has a threshold).",
        show_default=False,
    ),
]
ExamplesOption = Annotated[
    Path | None,
    typer.Option(
        help="JSON lines with question and right answer, a few of your kind. They replace the checkpoint's "
        "demonstrations before every question.",
        show_default=False,
    ),
]


def main(
    checkpoint: CheckpointArgument,
    question: Annotated[
        str | None, typer.Argument(help="Without it, questions are read line by line.", show_default=False)
    ] = None,
    choice: Annotated[
        list[str] | None, typer.Option(help="One of the answers to choose from; give several.", show_default=False)
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="Judge this answer instead of answering.", show_default=False)
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="A passage that the question is about.", show_default=False)
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines file. Each line has question, and optionally answer, choices or context.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where answers to --jsonl go; by default to the console.", show_default=False)
    ] = None,
    claims: Annotated[bool, typer.Option("--claims", help="Also judge each sentence of the answer.")] = False,
    examples: ExamplesOption = None,
    error_rate: ErrorRateOption = None,
    debug: DebugOption = False,
) -> None:
    """Ask a checkpoint a question; print its answer and the probability that it is correct.

    Example: calibration-tuning ask runs/demo/checkpoint "What is the capital of France?"
    """

    def work() -> None:
        if jsonl is not None and not all(given is None for given in (question, choice, answer, context)):
            raise UserError("--jsonl: holds the questions, answers, choices and passages; leave the others out")
        if output is not None and jsonl is None:
            raise UserError("--output: is for --jsonl FILE; single answers go to the console")
        if answer is not None and (choice or question is None):
            raise UserError("--answer: judges an answer to one QUESTION, without --choice")
        if choice is not None and len(choice) < 2:
            raise UserError("--choice: give at least two of them")
        if output is not None and output.is_dir():
            raise UserError(f"--output {output}: is a folder; name a file in it")
        if output is not None and not output.parent.is_dir():
            raise UserError(f"--output {output}: there is no folder {output.parent}")
        rows = None if jsonl is None else read_rows(jsonl)
        row = None if question is None else _row(question=question, answer=answer, choices=choice, context=context)
        shown = None if examples is None else read_examples(examples)
        model = _load(checkpoint, error_rate)
        if shown is not None:
            model.show(shown)
        if jsonl is not None and rows is not None:
            _check(model, jsonl, rows, claims)
            _file(model, [*rows.values()], output, claims)
        elif row is not None:
            _show(model, row, claims)
        else:
            for line in _lines(model):
                try:
                    _show(model, _row(question=line, choices=choice, context=context), claims)
                except UserError as error:  # the next question may be a better one
                    print(f"error: {error}", file=sys.stderr)

    with_errors(work, debug)


def _row(**given: Any) -> Row:
    try:
        return Row.model_validate(given)
    except ValidationError as error:
        raise UserError(first_problem(error).removeprefix(", ")) from None


def _load(checkpoint: str, error_rate: float | None) -> CalibratedModel:
    quiet_libraries()
    console = Console(stderr=True)
    with console.status(f"loading {escape(checkpoint)}"):
        from calibration_tuning.calibrated_model import CalibratedModel

        return CalibratedModel.from_pretrained(checkpoint, error_rate=error_rate)


def _check(model: CalibratedModel, file: Path, rows: dict[int, Row], claims: bool) -> None:
    """Raises `UserError` naming the first line that cannot be asked, before all the others are answered."""
    for number, row in rows.items():
        try:
            model.check(row.asked, row.choices, row.context, row.answer, claims)
        except UserError as error:
            raise UserError(f"{file}, line {number}: {error}") from None


def answered(model: CalibratedModel, rows: list[Row]) -> list[CalibratedAnswer]:
    """Answers in the order of `rows`. Rows with an answer are judged; the others are answered first."""
    given = [(i, row.asked, row.answer, row.context) for i, row in enumerate(rows) if row.answer is not None]
    asked = [i for i, row in enumerate(rows) if row.answer is None]
    judged: dict[int, CalibratedAnswer] = {}
    if given:
        numbers, questions, answers, contexts = zip(*given, strict=True)
        judged |= zip(numbers, model.judge_batch(questions, answers, contexts), strict=True)
    if asked:
        free = [rows[i] for i in asked]
        replies = model.answer_batch(
            [row.asked for row in free], [row.choices for row in free], [row.context for row in free]
        )
        judged |= zip(asked, replies, strict=True)
    return [judged[i] for i in range(len(rows))]


def judged_claims(model: CalibratedModel, row: Row, reply: CalibratedAnswer) -> list[Claim]:
    """Return the claims of the reply with their confidences; an empty list if it has no sentence."""
    return model.claims(row.asked, reply.text, row.context).claims if claim_spans(reply.text) else []


def _show(model: CalibratedModel, row: Row, claims: bool) -> None:
    (reply,) = answered(model, [row])
    console = Console()
    table = Table.grid(padding=(0, 1))
    table.add_row(*_meter(reply.confidence), ", ".join(_remarks(model, reply)))
    for claim in judged_claims(model, row, reply) if claims else ():
        table.add_row(*_meter(claim.confidence), escape(" ".join(claim.text.split())))
    console.print(reply.text or "(no answer)", markup=False, style="bold", highlight=False)
    console.print(table)


def _meter(confidence: float) -> tuple[ProgressBar, str]:
    colour = ("red", "yellow", "green")[min(2, int(3 * confidence))]
    bar = ProgressBar(1.0, confidence, width=BAR, complete_style=colour, finished_style=colour)
    return bar, f"[{colour}]{confidence:.0%}[/]"


def _remarks(model: CalibratedModel, reply: CalibratedAnswer) -> list[str]:
    remarks = []
    if reply.trusted is not None and model.threshold is not None:
        rate = f"{model.threshold.error_rate:.0%} wrong"
        remarks.append(f"trusted at {rate}" if reply.trusted else f"[dim]not trusted at {rate}[/]")
    if reply.is_unfamiliar:
        remarks.append("[yellow]unlike the questions it was tuned on[/]")
    if reply.is_cut:
        remarks.append(f"[yellow]cut at {model.record.max_new_tokens} tokens[/]")
    return remarks


def _lines(model: CalibratedModel) -> Iterator[str]:
    """Questions from a person or a pipe; nothing is asked for in a pipe."""
    asks = sys.stdin.isatty()
    if asks:
        Console().print(f"{escape(model.record.model.path)}, tuned. One question a line; Ctrl-D ends.", style="dim")
    while True:
        try:
            line = Console().input("[bold]? [/]") if asks else _next(sys.stdin)
        except (EOFError, KeyboardInterrupt):
            return
        if line.strip():
            yield line.strip()


def _next(file: IO[str]) -> str:
    line = file.readline()
    if not line:
        raise EOFError
    return line


def _file(model: CalibratedModel, rows: list[Row], output: Path | None, claims: bool) -> None:
    """Answers are written as they come: to a file beside `output`, which takes its place at the end."""
    unfinished = None if output is None else output.with_name(f"{output.name}.part")
    if unfinished is not None:
        write_text(unfinished, "")
    with progress(len(rows), "answering", "questions") as bar:
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            answers = [
                _answer_row(row, reply)
                | ({"claims": [*map(asdict, judged_claims(model, row, reply))]} if claims else {})
                for row, reply in zip(part, answered(model, part), strict=True)
            ]
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in answers)
            if unfinished is not None:
                append_text(unfinished, text)
            elif not _printed(text):
                return
            bar.update(len(part))
    if output is not None and unfinished is not None:
        unfinished.replace(output)
        print(f"{len(rows)} answers: {output}")


def _answer_row(row: Row, reply: CalibratedAnswer) -> dict[str, Any]:
    """Return the input row with the model's answer and confidence. Results of an earlier run are removed from it."""
    results = {
        "answer": reply.text,
        "confidence": reply.confidence,
        "trusted": reply.trusted,
        "familiar": reply.familiar,
        "is_cut": reply.is_cut or None,
    }
    inputs = {name: value for name, value in row.model_dump(exclude_none=True).items() if name not in results}
    return inputs | {name: value for name, value in results.items() if value is not None}


def _printed(text: str) -> bool:
    """Print `text`; return False if the reader has closed the pipe."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


if __name__ == "__main__":
    run_command(main)
