"""The results in the checkpoint's model card, between two marks, so that evaluating again replaces them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibration_tuning.runs.files import write_text
from evaluation import sentences, tables
from evaluation.report import markdown_cell

BEGIN, END = "<!-- evaluation: begin -->", "<!-- evaluation: end -->"
PICTURE = "reliability.png"


def update_card(checkpoint: Path, evaluation: Path, metrics: Mapping[str, Any]) -> None:
    """Rewrite the section of `checkpoint/README.md`, and put the reliability diagram beside it."""
    card = checkpoint / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    head, _, rest = text.partition(BEGIN)
    tail = rest.rpartition(END)[2]
    shutil.copyfile(evaluation / "plots" / "reliability_after.png", checkpoint / PICTURE)
    write_text(card, f"{head.rstrip()}\n\n{BEGIN}\n{section(metrics)}\n{END}\n{tail.lstrip()}")


def section(metrics: Mapping[str, Any]) -> str:
    rows = [
        f"| {row.label} | {row.before} | {row.after} | {row.difference} | {row.verdict} |"
        for row in tables.main_rows(metrics)
    ]
    return "\n".join(
        [
            "## Does it know what it knows?",
            "",
            f"{sentences.verdict_sentence(metrics)} {sentences.credit_sentence(metrics)} "
            f"{sentences.rivals_sentence(metrics)}",
            "",
            "| metric | before | after | difference | |",
            "|---|---:|---:|---:|---|",
            *rows,
            "",
            f"95% intervals over questions (n = {metrics['headline']['test']['n']}, {metrics['bootstrap_samples']} "
            f"resamples, seed {metrics['seed']}); verdicts Holm-corrected over the table.",
            "",
            f"![Reliability diagram after tuning]({PICTURE})",
            "",
            markdown_cell(sentences.worst_subject_sentence(metrics)),
        ]
    )
