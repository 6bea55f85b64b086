"""The curated set's data card, in the hub's format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import DatasetCardData

from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import answers_of_others
from calibration_tuning.lm.prompts import NO, QUERY, YES
from calibration_tuning.records import SPLITS, FewShot, QueryExample

EXAMPLES_SHOWN = 10
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def data_card(config: RunConfig, record: Mapping[str, Any], few_shot: FewShot, rows: Sequence[QueryExample]) -> str:
    splits = [split for split in SPLITS if record["splits"][split]["examples"]]
    whose = answers_of_others(record) or f"answers of {config.model.path}"
    return "\n".join(
        [
            "---",
            _metadata(config, whose, splits, len(rows)).to_yaml(),
            "---",
            f"# {config.name}: is the proposed answer correct?",
            "",
            f"{whose[0].upper()}{whose[1:]}, graded against references, for training and testing the uncertainty "
            "query of Calibration-Tuning (Kapoor et al. 2024, arXiv 2406.08391). `correct` is the grade; splits share "
            "no question and no group of related questions; `evaluation` holds sets that no training question is from.",
            "",
            *_table("split", {s: record["splits"][s] for s in splits}),
            *_table("source / subject", record["topics"]),
            *_sources(config, record),
            *_base_rates(record["base_rates"]),
            *_lengths(record["lengths"]),
            *_cloze(record["cloze"]),
            *_traces(record["traces"]),
            *_second_grader(config, record["second_grader"]),
            f"Most frequent answers: {_frequent_answers(rows)}.",
            "",
            "## The block before every example",
            "",
            *_fenced("\n\n".join(_shown(d.question, d.answer, bool(d.correct)) for d in few_shot.query)),
            "## Examples",
            "",
            *_fenced("\n\n".join(_shown(row.shown, row.answer, row.correct >= 0.5) for row in _spread(rows))),
        ]
    )


def _metadata(config: RunConfig, whose: str, splits: Sequence[str], size: int) -> DatasetCardData:
    licenses = sorted({entry.license or "other" for entry in config.questions})
    return DatasetCardData(
        pretty_name=f"{config.name}: graded {whose}",
        license=licenses[0] if len(licenses) == 1 else "other",
        task_categories=["text-classification"],
        size_categories=[next((label for limit, label in SIZES.items() if size < limit), "1M<n<10M")],
        tags=["calibration", "uncertainty", "calibration-tuning"],
        configs=[{"config_name": "default", "data_files": [{"split": s, "path": f"{s}.parquet"} for s in splits]}],
    )


def _table(name: str, numbers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    sampled = any("correct_sampled" in n for n in numbers.values())
    head = f"| {name} | examples | answered correctly |" + (" sampled answers correct |" if sampled else "")
    lines = [head, "|---|---:|---:|" + ("---:|" if sampled else "")]
    for key, n in numbers.items():
        more = f" {n['correct_sampled']:.1%} |" if "correct_sampled" in n else " |" if sampled else ""
        lines.append(f"| {_cell(key)} | {n['examples']:,} | {n['correct']:.1%} |{more}")
    return [*lines, ""]


def _sources(config: RunConfig, record: Mapping[str, Any]) -> list[str]:
    entries = {entry.source: entry for entry in config.questions}
    steps = list(next(iter(record["counts"].values())))
    lines = [
        "## Where the questions come from",
        "",
        f"| source | role | licence | {' | '.join(steps)} | natural base rate |",
        f"|---|---|---|{'---:|' * (len(steps) + 1)}",
    ]
    for source, counts in record["counts"].items():
        entry = entries[source]
        cells = " | ".join(f"{counts[step]:,}" for step in steps)
        natural = f"{record['base_rates']['by_source'][source]['correct']:.1%}"
        where = f"{_cell(source)} (`{entry.path}`) | {entry.role} | {entry.license or 'not stated'}"
        lines.append(f"| {where} | {cells} | {natural} |")
    left_out = [
        f"| {reason} | {sum(counts.values()):,} | {_cell(', '.join(f'{s} {n:,}' for s, n in counts.items()))} |"
        for reason, counts in record["dropped"].items()
    ]
    table = ["| left out because | rows | by source |", "|---|---:|---|", *left_out, ""] if left_out else []
    return [
        *lines,
        "",
        *table,
        "Each of these is listed in `dropped.jsonl`; questions that were not drawn are not.",
        "",
    ]


def _base_rates(rates: Mapping[str, Any]) -> list[str]:
    shift = rates["log_odds_shift"]
    text = (
        f"Natural base rate: {rates['natural']:.1%} of the graded answers to training sets are correct; "
        f"in the train split {rates['train']:.1%} are."
    )
    if shift is not None and abs(shift) > 0.05:
        text += f" Add {shift:+.3f} to log-odds learnt on the train split to return to the natural rate."
    return [text, ""]


def _lengths(lengths: Mapping[str, Any]) -> list[str]:
    width, counts = lengths["bin"], lengths["counts"]
    longest = max(counts, default=0)
    bars = [
        f"{i * width:>5}-{(i + 1) * width - 1:<5}{n:>7,}  {'#' * round(40 * n / longest)}" for i, n in enumerate(counts)
    ]
    title = f"Tokens of question, answer and query (the block before them has {lengths['block']} more):"
    return [title, "", *_fenced("\n".join(bars))]


def _cloze(accuracy: Mapping[str, Mapping[str, float]]) -> list[str]:
    if not accuracy:
        return []
    lines = [
        f"| {_cell(s)} | {a['raw']:.1%} | {a['per_character']:.1%} | {a['chance']:.1%} |" for s, a in accuracy.items()
    ]
    return [
        "| cloze: likeliest choice is right | raw | per character | by guessing |",
        "|---|---:|---:|---:|",
        *lines,
        "",
    ]


def _traces(traces: Mapping[str, Any]) -> list[str]:
    if not traces["traces"]:
        return []
    return [
        f"{traces['traces']:,} answers have a trace of reasoning before them, of {traces['tokens']:.0f} tokens on "
        f"average; {traces['cut']:,} were cut at the longest that was allowed. Traces are not judged.",
        "",
    ]


def _second_grader(config: RunConfig, summary: Mapping[str, Any] | None) -> list[str]:
    settings = config.curation.second_grader
    if summary is None or settings is None or summary["agreement"] is None:
        return []
    kappa = "undefined (one verdict only)" if summary["kappa"] is None else f"{summary['kappa']:.2f}"
    return [
        f"A second grader (`{settings.grader}`) on {summary['n']} of the answers agrees on {summary['agreement']:.1%}, "
        f"Cohen's kappa {kappa}; it calls {summary['correct_by_second']:.1%} correct, "
        f"the first {summary['correct_by_first']:.1%}.",
        "",
    ]


def _frequent_answers(rows: Sequence[QueryExample]) -> str:
    common = Counter(row.answer for row in rows).most_common(5)
    return ", ".join(f"{answer!r} ({count})" for answer, count in common)


def _spread(rows: Sequence[QueryExample]) -> list[QueryExample]:
    train = [row for row in rows if row.split == "train"]
    return train[:: max(1, len(train) // EXAMPLES_SHOWN)][:EXAMPLES_SHOWN]


def _shown(question: str, answer: str, correct: bool) -> str:
    return f"Question: {question}\nAnswer: {answer}{QUERY} {YES if correct else NO}"


def _fenced(text: str) -> list[str]:
    # A fence inside an answer must not close the card's own.
    return ["```text", text.replace("```", "'''"), "```", ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
