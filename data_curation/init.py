"""python -m data_curation.init FOLDER --data FILE: a first YAML for a file of questions and right answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
import yaml

from calibration_tuning.command_line import DebugOption, ForceOption, run_command, with_errors
from calibration_tuning.config.curation import SplitSizes
from calibration_tuning.config.questions import MixtureEntry
from calibration_tuning.config.run import RunConfig
from calibration_tuning.config.settings import nearest, validate
from calibration_tuning.errors import UserError
from calibration_tuning.grading.number_parsing import plain_number
from calibration_tuning.question_shapes import Misread, recognised
from calibration_tuning.records import Question
from calibration_tuning.runs.files import write_text
from data_curation.duplicates import drop_duplicates
from data_curation.passages import PASSAGES
from data_curation.question_sets import CountFromOne, Loaded, load_questions, reference
from data_curation.read_rows import READERS, Row, Unreadable, is_file_path, read_file
from data_curation.selection import take_demonstrations

SHOTS = 3
"""Demonstrations before each question."""
QUERY_SHOTS = 2
FEWEST = 60
"""Questions below which no split says anything."""
FEW_A_SUBJECT = 30
"""With fewer questions, a subject cannot spare demonstrations."""
SHORT = 8
"""Answers of up to this many words can be compared with the right answer letter by letter."""
SHARES = {"test": 0.25, "calibration": 0.15, "validation": 0.075}
DATA_COLUMN = "Column with the {} (default: found by its name)."


def main(
    folder: Annotated[Path, typer.Argument(help="Where run.yaml is written.", show_default=False)],
    data: Annotated[
        Path,
        typer.Option(help="csv, tsv, json, jsonl or parquet with questions and right answers.", show_default=False),
    ],
    model: Annotated[str, typer.Option(help="Model to tune: a hub id or a folder.")] = "Qwen/Qwen2.5-0.5B-Instruct",
    question: Annotated[str | None, typer.Option(help=DATA_COLUMN.format("questions"), show_default=False)] = None,
    answer: Annotated[str | None, typer.Option(help=DATA_COLUMN.format("right answers"), show_default=False)] = None,
    context: Annotated[str | None, typer.Option(help=DATA_COLUMN.format("passage"), show_default=False)] = None,
    force: ForceOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a first YAML for your own file of questions and right answers, with sizes that the file allows.

    Example: calibration-tuning init support --data tickets.csv --model Qwen/Qwen2.5-0.5B-Instruct
    """

    def work() -> None:
        target = folder / "run.yaml"
        if target.exists() and not force:
            raise UserError(f"{target}: already exists; name another folder, or overwrite it with --force")
        text, summary = first_config(folder, data, model, {"question": question, "answer": answer, "context": context})
        folder.mkdir(parents=True, exist_ok=True)
        write_text(target, text)
        print(summary)
        print(f"{target}: read it, then run\n  calibration-tuning run {target}")

    with_errors(work, debug)


def first_config(folder: Path, data: Path, model: str, columns: dict[str, str | None]) -> tuple[str, str]:
    """The YAML's text, and a sentence about the file. `columns`: those of question, answer and context, where given.

    Raises `UserError` for a file that cannot be read, columns that cannot be told, or too few questions.
    """
    if not is_file_path(str(data)):
        raise UserError(f"--data {data}: is none of {', '.join(READERS)} (.gz too)")
    entry = {"path": str(data.resolve()), **_templates(data, columns)}
    try:
        loaded = load_questions(_checked(entry), None)
    except CountFromOne as error:
        entry["label"] = error.label
        loaded = load_questions(_checked(entry), None)
    entry |= grading(loaded.questions)
    loaded = load_questions(_checked(entry), None)
    by = few_shot_by(loaded.questions)
    unique, _ = drop_duplicates(loaded.questions, 0.8, system_messages=loaded.system_messages)
    askable = take_demonstrations(unique, SHOTS, by, 0)[1]
    sizes = sizes_for(len(askable))
    if sizes is None:
        raise UserError(
            f"{data}: {len(askable)} questions can be asked ({_count(loaded)}, {len(unique)} distinct); "
            f"at least {FEWEST} are needed, and some hundreds for intervals that say something"
        )
    values = _settings(folder, model, entry, sizes, by, loaded.questions)
    validate(values, RunConfig, where="init")
    return _as_text(
        values, data
    ), f"{data}: {_count(loaded)}, {len(unique)} distinct, {sum(sizes.values())} to be asked"


def grading(questions: Sequence[Question]) -> dict[str, Any]:
    """Style and grader that fit the right answers: a letter, a number, a few words, or a text that needs a judge."""
    answers = [question.references[0] for question in questions]
    if all(question.choices and question.references[0] in question.choices for question in questions):
        return {"style": "choice", "grader": "choice"}
    if all(plain_number(answer) is not None for answer in answers):
        return {"grader": "numeric"}
    return {"grader": "fuzzy" if median(len(answer.split()) for answer in answers) <= SHORT else "judge"}


def sizes_for(askable: int) -> dict[str, int] | None:
    """Questions per split out of `askable`, at most the default sizes; None where they are too few.

    Some are kept back for the demonstrations of the query, and for answers that turn out too long.
    """
    total = int(0.97 * (askable - 3 * QUERY_SHOTS))
    if total < FEWEST:
        return None
    most = SplitSizes()
    sizes = {name: min(getattr(most, name), int(share * total)) for name, share in SHARES.items()}
    return {"train": min(most.train, total - sum(sizes.values())), **sizes}


def few_shot_by(questions: Sequence[Question]) -> Any:
    subjects = {question.subject for question in questions}
    return "subject" if len(questions) >= FEW_A_SUBJECT * len(subjects) else "source"


def _count(loaded: Loaded) -> str:
    if not loaded.bad:
        return f"{loaded.rows} rows"
    number, reason = loaded.bad[0]
    return f"{loaded.rows} rows, {len(loaded.bad)} of them left out (row {number}: {reason})"


def _checked(entry: dict[str, Any]) -> MixtureEntry:
    return validate(entry, MixtureEntry, where="init")


def _templates(data: Path, columns: dict[str, str | None]) -> dict[str, str]:
    """Templates of the columns that were given, and of a passage; the others are recognised by their names."""
    given = {field: name for field, name in columns.items() if name is not None}
    names: list[str] = []
    known: dict[str, Any] = {}
    for row in read_file(data):
        if isinstance(row, Unreadable):
            continue
        names += [str(name) for name in row if str(name) not in names]
        fields = _recognised(row)
        known = known or fields
        if {"question", "answer"} <= {*given, *fields}:
            known = fields
            break
    for field, name in given.items():
        if name not in names:
            raise UserError(f"--{field} {name}: {data} has no such column; {nearest(name, names)}")
    for field in ("question", "answer"):
        if field not in given and field not in known:
            raise UserError(
                f"{data}: no column is known to hold the {field}; give --{field}, one of {', '.join(names)}"
            )
    passages = [name for name in names if name.strip().casefold() in PASSAGES]
    # A passage that belongs to the answers is recognised with them only.
    if passages and "context" not in given and (given or "context" not in known):
        given["context"] = passages[0]
    return {field: f"{{{{ {reference(name)} }}}}" for field, name in given.items()}


def _recognised(row: Row) -> dict[str, Any]:
    try:
        return recognised(row)
    except Misread as error:
        return error.understood | {error.field: None}


def _settings(
    folder: Path, model: str, entry: dict[str, Any], sizes: dict[str, int], by: str, questions: Sequence[Question]
) -> dict[str, Any]:
    letters = sorted(len(question.target) for question in questions)
    long = 8 * (1 + (letters[int(0.95 * len(letters))] // 3 + 8) // 8)  # some three letters are a token
    curation: dict[str, Any] = {
        "sizes": sizes,
        "answer_few_shot": SHOTS,
        "few_shot_by": by,
        "query_few_shot": QUERY_SHOTS,
        "max_new_tokens": long,
    }
    if entry["grader"] == "judge":
        curation["judge"] = {"model": {"path": JUDGE_MODEL}}
    return {
        "name": re.sub(r"[^A-Za-z0-9._-]+|^[._-]+", "-", folder.resolve().name).strip("-._") or "run",
        "output_dir": str(folder.resolve() / "runs"),
        "model": {"path": model},
        "questions": [entry],
        "curation": curation,
        "training": {"epochs": 3, "batch_size": 16},
        "tracking": {"to": "none"},
    }


COMMENTS = {
    "questions": "The columns, as templates; `grader` says how an answer is compared (docs/curation.md).",
    "curation": "Sizes are what the file allows; test questions are never trained on.",
    "tracking": "Or wandb, tensorboard, trackio.",
}
JUDGE_MODEL = "Qwen/Qwen2.5-7B-Instruct"
"""Small models reject right answers (docs/curation.md)."""
JUDGE = (
    "The answers are texts: `curation.judge` grades them. It must be larger than the tuned model; small ones misjudge."
)


def _as_text(values: dict[str, Any], data: Path) -> str:
    parts = [f"# Made from {data.name} by `calibration-tuning init`. All settings: `--print-config`."]
    for name, value in values.items():
        if name in COMMENTS:
            parts.append(f"\n# {COMMENTS[name]}")
        if name == "curation" and "judge" in value:
            parts.append(f"# {JUDGE}")
        parts.append(yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True, width=110).rstrip())
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    run_command(main)
