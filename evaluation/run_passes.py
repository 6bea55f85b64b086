"""Run the passes over the curated answers, adapter off and on: shared by processes, journaled, never repeated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from calibration_tuning.checkpoint import load_checkpoint, read_record
from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import RunError
from calibration_tuning.lm.batches import by_length
from calibration_tuning.lm.models import default_device
from calibration_tuning.records import FewShot, GradedAnswer
from calibration_tuning.runs.files import read_json
from calibration_tuning.runs.journal import Journal
from calibration_tuning.runs.processes import is_first_process, process_count, process_index, wait_for_everyone
from calibration_tuning.runs.progress import progress
from evaluation.findings import Measured, drop_outdated, journals, key, states_of
from evaluation.passes import PASSES
from evaluation.passes.asked import BOTH, Asked, State

Tasks = Mapping[str, Sequence[GradedAnswer]]
"""By pass: the answers it looks at."""


@dataclass(frozen=True)
class Unit:
    """A batch: rows that share a block, looked at by one pass in one state of the model."""

    name: str
    state: State
    rows: Sequence[GradedAnswer]

    def is_in(self, done: Mapping[str, Mapping[str, Any]]) -> bool:
        return all(key(self.state, row) in done[self.name] for row in self.rows)


def gather(config: RunConfig, tasks: Tasks) -> Measured:
    """Everything the tasks ask for, in every process. What an earlier evaluation measured is not measured again."""
    method = read_record(config.checkpoint_dir).method
    own = journals(config, tasks)
    everything = [Unit(name, state, rows) for name, rows in tasks.items() for state in states_of(name, method)]
    done = {name: journal.rows() for name, journal in own.items()}
    if not all(unit.is_in(done) for unit in everything):
        _measure_share(config, tasks, done, own)
    wait_for_everyone()
    done = {name: journal.rows() for name, journal in own.items()}
    if missing := [unit.name for unit in everything if not unit.is_in(done)]:
        raise RunError(f"evaluating: measurements of {missing[0]} are missing; the same command makes just these")
    if is_first_process():
        drop_outdated(config.measurements_dir, own)
    return Measured(done, method)


def asked_of(config: RunConfig) -> Asked:
    few_shot = read_json(config.curation_dir / "few_shot.json", "calibration-tuning curate CONFIG")
    checkpoint = load_checkpoint(config.checkpoint_dir, trust_remote_code=config.model.trust_remote_code)
    return Asked(
        checkpoint.to(default_device()),
        FewShot.model_validate(few_shot),
        config.evaluation,
        checkpoint.record.max_new_tokens,
        config.curation.cloze,
        config.curation.temperature,
        config.seed,
    )


def units(asked: Asked, tasks: Tasks) -> Iterator[Unit]:
    """Batches in an order that is the same on every run: by state, pass and block, longest first within."""
    size, method = asked.settings.batch_size, asked.checkpoint.record.method
    for state in BOTH:
        for name, rows in tasks.items():
            if state not in states_of(name, method):
                continue
            pass_ = PASSES[name]
            alike: dict[Any, list[GradedAnswer]] = defaultdict(list)
            for row in rows:
                alike[tuple(pass_.block(asked.few_shot, row)), pass_.kind(row)].append(row)
            for (block, _), own in alike.items():
                width = max(pass_.width(row) for row in own)
                extra = len(asked.prompt.few_shot_ids(block))
                lengths = [range(len(asked.question_and_answer(row))) for row in own]
                for batch in by_length(lengths, max(1, size // width), MAX_BATCH_TOKENS // width, extra):
                    yield Unit(name, state, [own[i] for i in batch])


def _measure_share(
    config: RunConfig, tasks: Tasks, done: Mapping[str, Mapping[str, Any]], own: Mapping[str, Journal]
) -> None:
    asked = asked_of(config)
    # Dealt out before what is done is left out, as another process may already have done more.
    dealt = list(units(asked, tasks))[process_index() :: process_count()]
    # A batch that was written in part is measured again as a whole: its rounding must be that of an unbroken run.
    mine = [unit for unit in dealt if not unit.is_in(done)]
    total, left = (sum(len(unit.rows) for unit in some) for some in (dealt, mine))
    if left < total:
        print(f"evaluating: {total - left:,} of {total:,} measurements are there already")
    with progress(left, "evaluating", "measurements") as bar:
        for unit in mine:
            bar.set_postfix_str(f"{unit.name} {unit.state}", refresh=False)
            block = PASSES[unit.name].block(asked.few_shot, unit.rows[0])
            with torch.no_grad(), asked.in_state(unit.state):
                values = PASSES[unit.name].measure(asked, unit.rows, unit.state, block)
            rows = zip(unit.rows, values, strict=True)
            own[unit.name].append_rows({"key": key(unit.state, row), **value} for row, value in rows)
            bar.update(len(unit.rows))
