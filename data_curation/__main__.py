"""python -m data_curation CONFIG: questions -> answers -> grades -> few-shot uncertainty-query examples."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import curation_folder
from calibration_tuning.records import SPLITS, FewShot, GradedAnswer, QueryExample, write_records
from calibration_tuning.runs.checksums import write_sums
from calibration_tuning.runs.files import fingerprint, whole_folder, write_json, write_text
from calibration_tuning.runs.locks import lock_folder
from calibration_tuning.runs.processes import is_first_process, process_index, wait_for_everyone
from calibration_tuning.runs.stage import already_made, run_stage
from calibration_tuning.tracking import Moment, tracked
from calibration_tuning.tracking.artifacts import dataset
from data_curation.code_version import check_set


def curate(config: RunConfig, force: bool) -> None:
    if config.curated is not None:
        curation_folder(config)
        print(f"curated: {config.curated} is used as it is")
        return

    from data_curation.selection_cache import inputs_of

    inputs = inputs_of(config)
    identity = fingerprint(inputs)
    work = config.run_dir / f".curation-{identity}"
    with _alone(config):
        if not already_made(config.curation_dir, "manifest.json", identity, force):
            _curate(config, inputs, identity, work)
            return
        shutil.rmtree(work, ignore_errors=True)  # killed after the set was finished, before this
        if is_first_process():
            check_set(config.curation_dir)


@contextmanager
def _alone(config: RunConfig) -> Iterator[None]:
    """Hold the lock on this run's curation. All curations of a run write the same set, whatever their settings."""
    folder = config.run_dir / ".curation"
    lock = lock_folder(folder) if is_first_process() else None
    try:
        yield
    finally:
        if lock is not None:
            lock.close()  # network file systems do not remove a folder in which a file is open
            shutil.rmtree(folder, ignore_errors=True)


def _curate(config: RunConfig, inputs: dict[str, Any], identity: str, work: Path) -> None:
    from data_curation.answering import AnswerJournal
    from data_curation.grade_answers import agreement, grade_answers, second_grades
    from data_curation.selection_cache import planned

    selection = planned(config, work)
    requests, results = answered(config, selection, AnswerJournal(work / "answers", f"{process_index()}"))
    graded, ungraded = grade_answers(config, requests, results, identity)
    second = second_grades(config, requests, results, identity)
    # The first process deletes the work folder below, so every process must have read it.
    wait_for_everyone()
    if is_first_process():
        opinion = agreement(graded, second) if second else None
        record = _write(config, inputs, selection, graded, ungraded, opinion)
        shutil.rmtree(work)
        report(config, record)
    wait_for_everyone()


def answered(config: RunConfig, selection: Any, journal: Any) -> Any:
    """The requests of this run and an answer, or a lasting failure, for each."""
    from calibration_tuning.lm.answering import requests_for
    from calibration_tuning.lm.prompts import load_prompt_format
    from data_curation.answering import answer_all
    from data_curation.engines import Engine, Job, build_engine
    from data_curation.first_look import look

    settings = config.curation
    requests = requests_for(
        [*selection.asked, *selection.evaluation], settings.few_shot_by, settings.max_new_tokens, settings.samples
    )

    def make_engine() -> Engine:
        prompt_format = load_prompt_format(config.model)
        job = Job(
            config.model,
            prompt_format,
            selection.demonstrations,
            config.seed,
            settings.temperature,
            settings.cloze,
        )
        return build_engine(settings.engine, job)

    first_look = partial(look, config, selection.demonstrations)
    return requests, answer_all(make_engine, requests, journal, "answering", "answers", first_look)


def _write(
    config: RunConfig,
    inputs: dict[str, Any],
    selection: Any,
    graded: Sequence[GradedAnswer],
    ungraded: Sequence[Any],
    opinion: dict[str, Any] | None,
) -> dict[str, Any]:
    """Write the curated set, and return its manifest. `opinion`: how far a second grader agrees."""
    from calibration_tuning.lm.prompts import load_prompt_format
    from data_curation.assemble import curated
    from data_curation.card import data_card
    from data_curation.manifest import manifest

    prompt_format = load_prompt_format(config.model)
    assembled = curated(config, prompt_format, selection, graded)
    drops = [*selection.dropped, *ungraded, *assembled.left_over]
    record = manifest(config, inputs, prompt_format, selection, drops, graded, assembled, opinion)
    with whole_folder(config.curation_dir) as folder:
        write_set(folder, assembled.few_shot, assembled.rows)
        write_text(folder / "dropped.jsonl", "".join(json.dumps(dataclasses.asdict(d)) + "\n" for d in drops))
        write_text(folder / "README.md", data_card(config, record, assembled.few_shot, assembled.rows))
        write_json(folder / "manifest.json", record)
        write_sums(folder)
    return record


def write_set(folder: Path, few_shot: FewShot, rows: list[QueryExample]) -> None:
    for split in SPLITS:
        members = [row for row in rows if row.split == split]
        if members or split != "evaluation":
            write_records(folder / f"{split}.parquet", members)
    write_json(folder / "few_shot.json", few_shot.model_dump())


def report(config: RunConfig, record: dict[str, Any]) -> None:
    totals = {
        step: sum(counts[step] for counts in record["counts"].values())
        for step in next(iter(record["counts"].values()))
    }
    with tracked(config, "curate") as tracker:
        tracker.log(Moment(scalars(record, totals)))
        tracker.log_artifact(dataset(config, record["fingerprint"]))
    print("  " + ", ".join(f"{count:,} {step}" for step, count in totals.items()))
    for split, numbers in record["splits"].items():
        if numbers["examples"]:
            print(f"  {split:<12}{numbers['examples']:>6,} examples, {numbers['correct']:.1%} answered correctly")
    wanted, reached = config.curation.correct_fraction, record["splits"]["train"]["correct"]
    if wanted is not None and abs(reached - wanted) > max(0.01, 1 / config.curation.sizes.train):
        print(
            f"warning: curation.correct_fraction: {wanted} is wanted, but only {reached:.3f} could be reached; "
            "raise curation.oversample",
            file=sys.stderr,
        )
    if config.model.thinking == "on":
        traces, cut = (record["traces"][name] for name in ("traces", "cut"))
        print(f"  {cut:,} of {traces:,} traces of reasoning were cut at model.thinking_tokens")
    print(f"curated set: {config.curation_dir}")


def scalars(record: dict[str, Any], totals: dict[str, int]) -> dict[str, float]:
    """What the manifest counts, for a tracker."""
    return {
        **{f"curation/{step}": count for step, count in totals.items()},
        **{f"dropped/{reason}": sum(counts.values()) for reason, counts in record["dropped"].items()},
        **{
            f"{split}/{name}": value
            for split, of_split in record["splits"].items()
            if of_split["examples"]
            for name, value in of_split.items()
        },
        **{f"base_rate/{name}": record["base_rates"][name] for name in ("natural", "train")},
    }


if __name__ == "__main__":
    run_stage(curate, "Ask the model, grade its answers, and write few-shot uncertainty-query examples.")
