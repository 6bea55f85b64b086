"""The curated set's manifest (for programs) and data card (for people, in the hub's format)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import yaml

from calibration_tuning.files import fingerprint
from calibration_tuning.prompts import NO, QUERY, YES
from calibration_tuning.records import SPLITS, FewShot, QueryExample
from calibration_tuning.run_config import RunConfig

EXAMPLES_SHOWN = 10


def manifest(
    config: RunConfig, inputs: str, few_shot: FewShot, rows: Sequence[QueryExample], counts: dict[str, int]
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "inputs_fingerprint": inputs,
        "fingerprint": fingerprint([few_shot.model_dump(), *(row.model_dump() for row in rows)]),
        "settings": config.curation_inputs(),
        "versions": {name: version(name) for name in ("calibration-tuning", "torch", "transformers", "datasets")},
        "counts": counts | {"kept": len(rows), "query_demonstrations": len(few_shot.query)},
        "splits": {split: _numbers([row for row in rows if row.split == split]) for split in SPLITS},
        "topics": {topic: _numbers([r for r in rows if r.topic == topic]) for topic in sorted({r.topic for r in rows})},
    }


def data_card(config: RunConfig, record: dict[str, Any], few_shot: FewShot, rows: Sequence[QueryExample]) -> str:
    header = {
        "pretty_name": f"{config.name}: graded answers of {config.model.path}",
        "task_categories": ["text-classification"],
        "language": ["en"],
        "tags": ["calibration", "uncertainty", "calibration-tuning"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}.parquet"} for split in SPLITS],
            }
        ],
    }
    return "\n".join(
        [
            "---",
            yaml.safe_dump(header, sort_keys=False).strip(),
            "---",
            f"# {config.name}: is the proposed answer correct?",
            "",
            f"Greedy answers of `{config.model.path}`, graded against references, for training and testing the "
            "uncertainty query of Calibration-Tuning (Kapoor et al. 2024, arXiv 2406.08391). `correct` is the grade; "
            "splits share no question and no group of related questions.",
            "",
            "| split | examples | answered correctly |",
            "|---|---:|---:|",
            *(f"| {s} | {n['examples']} | {n['correct']:.1%} |" for s, n in record["splits"].items()),
            "",
            "| source / subject | examples | answered correctly |",
            "|---|---:|---:|",
            *(f"| {s} | {n['examples']} | {n['correct']:.1%} |" for s, n in record["topics"].items()),
            "",
            f"Questions read: {record['counts']['raw']}; distinct: {record['counts']['distinct']}; "
            f"asked: {record['counts']['asked']}; kept: {record['counts']['kept']}. "
            f"Most frequent answers: {_frequent_answers(rows)}.",
            "",
            "## The block before every example",
            "",
            "```text",
            "\n\n".join(_shown(d.question, d.answer, bool(d.correct)) for d in few_shot.query),
            "```",
            "",
            "## Examples",
            "",
            "```text",
            "\n\n".join(_shown(r.text, r.answer, r.correct >= 0.5) for r in _spread(rows)),
            "```",
            "",
        ]
    )


def _numbers(rows: Sequence[QueryExample]) -> dict[str, Any]:
    return {"examples": len(rows), "correct": sum(r.correct for r in rows) / len(rows) if rows else 0.0}


def _frequent_answers(rows: Sequence[QueryExample]) -> str:
    common = Counter(row.answer for row in rows).most_common(5)
    return ", ".join(f"{answer!r} ({count})" for answer, count in common)


def _spread(rows: Sequence[QueryExample]) -> list[QueryExample]:
    train = [row for row in rows if row.split == "train"]
    return train[:: max(1, len(train) // EXAMPLES_SHOWN)][:EXAMPLES_SHOWN]


def _shown(question: str, answer: str, correct: bool) -> str:
    # A fence inside an answer must not close the card's own.
    text = f"Question: {question}\nAnswer: {answer}{QUERY} {YES if correct else NO}"
    return text.replace("```", "'''")
