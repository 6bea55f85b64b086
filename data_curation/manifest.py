"""`manifest.json`: what a curated set is made of and from what, and where every row that is not in it went."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from scipy.special import logit

from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import SCHEMA_VERSION
from calibration_tuning.lm.likelihood import likeliest
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import SPLITS, GradedAnswer
from calibration_tuning.runs.files import fingerprint
from data_curation.assemble import Curated, sequence_length
from data_curation.code_version import code
from data_curation.duplicates import Dropped
from data_curation.selection import Selection

LENGTH_BIN = 64


def manifest(
    config: RunConfig,
    inputs: Mapping[str, Any],
    prompt_format: PromptFormat,
    selection: Selection,
    drops: Sequence[Dropped],
    graded: Sequence[GradedAnswer],
    assembled: Curated,
    agreement: Mapping[str, Any] | None,
) -> dict[str, Any]:
    rows = assembled.rows
    answered, in_set = (Counter(row.source for row in listed) for listed in (graded, rows))
    return {
        "schema_version": SCHEMA_VERSION,
        "inputs_fingerprint": fingerprint(inputs),
        "fingerprint": fingerprint([assembled.few_shot.model_dump(), *(row.model_dump() for row in rows)]),
        **inputs,
        "code": code(),
        "questions": selection.read,
        "versions": {name: version(name) for name in ("calibration-tuning", "torch", "transformers", "datasets")},
        "counts": {
            source: {**steps, "graded": answered[source], "kept": in_set[source]}
            for source, steps in selection.counts.items()
        },
        "dropped": _by_reason(drops),
        "splits": {split: summary([row for row in rows if row.split == split]) for split in SPLITS},
        "topics": {topic: summary([r for r in rows if r.topic == topic]) for topic in sorted({r.topic for r in rows})},
        "base_rates": base_rates(config, graded, assembled),
        "lengths": {
            "block": len(prompt_format.few_shot_ids(assembled.few_shot.query)),
            "bin": LENGTH_BIN,
            "counts": _histogram([sequence_length(row, prompt_format) for row in rows]),
        },
        "cloze": cloze_accuracy(graded),
        "traces": traces(graded, prompt_format.thinking_tokens),
        "second_grader": agreement,
    }


def summary(rows: Sequence[GradedAnswer]) -> dict[str, Any]:
    """Number of examples, mean correctness, and that of sampled answers where there are any."""
    numbers: dict[str, Any] = {
        "examples": len(rows),
        "correct": sum(row.correct for row in rows) / len(rows) if rows else 0.0,
    }
    sampled = [row.sample_accuracy for row in rows if row.sample_accuracy is not None]
    return numbers | ({"correct_sampled": sum(sampled) / len(sampled)} if sampled else {})


def traces(rows: Sequence[GradedAnswer], most: int) -> dict[str, Any]:
    """How many answers have a trace of reasoning before them, its mean length, and how many were cut."""
    lengths = [row.trace_tokens for row in rows if row.trace is not None]
    return {
        "traces": len(lengths),
        "tokens": sum(lengths) / len(lengths) if lengths else None,
        "cut": sum(length >= most for length in lengths),
    }


def base_rates(config: RunConfig, graded: Sequence[GradedAnswer], assembled: Curated) -> dict[str, Any]:
    """The model's accuracy by source, and in the train split, which may have been thinned.

    `log_odds_shift` must be added to log-odds learnt on the train split to undo the thinning: logit of the natural rate
    minus logit of the train split's rate. Null where one of the rates is 0 or 1.
    """
    natural = {
        entry.source: summary([row for row in graded if row.source == entry.source]) for entry in config.questions
    }
    training = {entry.source for entry in config.questions if entry.role == "train"}
    before = summary([row for row in graded if row.source in training])["correct"]
    after = summary([row for row in assembled.rows if row.split == "train"])["correct"]
    shift = float(logit(before) - logit(after)) if 0 < before < 1 and 0 < after < 1 else None
    return {"natural": before, "train": after, "log_odds_shift": shift, "by_source": natural}


def cloze_accuracy(rows: Sequence[GradedAnswer]) -> dict[str, dict[str, float]]:
    """How often the likeliest choice is right, by source: raw, per character, and by guessing."""
    by_source: dict[str, list[GradedAnswer]] = defaultdict(list)
    for row in rows:
        if row.style == "cloze" and row.choice_logprobs:
            by_source[row.source].append(row)
    return {
        source: {
            **{by: sum(_is_right(row, by) for row in members) / len(members) for by in ("raw", "per_character")},
            "chance": sum(1 / len(row.choices or [0]) for row in members) / len(members),
        }
        for source, members in sorted(by_source.items())
    }


def _is_right(row: GradedAnswer, by: Any) -> bool:
    choices = row.choices or []
    return choices[likeliest(choices, row.choice_logprobs or [], by)] in row.references


def _by_reason(drops: Sequence[Dropped]) -> dict[str, dict[str, int]]:
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for row in drops:
        reasons[row.reason][row.source] += 1
    return {reason: dict(sorted(counts.items())) for reason, counts in sorted(reasons.items())}


def _histogram(lengths: Sequence[int]) -> list[int]:
    """How many lengths are in [0, 64), [64, 128), ..."""
    counts = Counter(length // LENGTH_BIN for length in lengths)
    return [counts[i] for i in range(max(counts, default=-1) + 1)]
