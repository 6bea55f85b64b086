"""Run the passes over the curated answers, adapter off and on: shared by processes, journaled, never repeated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from calibration_tuning.checkpoint import CalibrationRecord, load_checkpoint
from calibration_tuning.config.engines import MAX_BATCH_TOKENS
from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.errors import RunError
from calibration_tuning.lm.batches import by_length
from calibration_tuning.lm.models import default_device
from calibration_tuning.records import GradedAnswer
from calibration_tuning.runs.journal import Journal
from calibration_tuning.runs.processes import is_first_process, process_count, process_index, wait_for_everyone
from calibration_tuning.runs.progress import progress
from evaluation.findings import Findings, drop_outdated, journals, key, states_of
from evaluation.passes import PASSES
from evaluation.passes.base import BOTH, PassContext, State

Tasks = Mapping[str, Sequence[GradedAnswer]]
"""By pass: the answers it looks at."""
Done = Mapping[str, Mapping[str, Any]]
"""The findings by pass, then by `key`."""


@dataclass(frozen=True)
class Unit:
    """A batch: rows that share a block, looked at by one pass in one state of the model."""

    name: str
    state: State
    rows: Sequence[GradedAnswer]

    def is_in(self, done: Done) -> bool:
        return all(key(self.state, row) in done[self.name] for row in self.rows)


def run_passes(config: RunConfig, curated: CuratedSet, record: CalibrationRecord, tasks: Tasks) -> Findings:
    """Run the tasks and return their findings, in every process. Findings of an earlier evaluation are not made
    again."""
    pass_journals = journals(config, tasks)
    everything = [Unit(name, state, rows) for name, rows in tasks.items() for state in states_of(name, record.method)]
    done = {name: journal.rows() for name, journal in pass_journals.items()}
    if not all(unit.is_in(done) for unit in everything):
        _run_share(build_context(config, curated, record), tasks, done, pass_journals)
    wait_for_everyone()
    done = {name: journal.rows() for name, journal in pass_journals.items()}
    if missing := [unit.name for unit in everything if not unit.is_in(done)]:
        raise RunError(
            f"evaluating: measurements of {missing[0]} are missing; run the same command to make only the missing ones"
        )
    if is_first_process():
        drop_outdated(config.findings_dir, pass_journals)
    return Findings(done, record.method)


def build_context(config: RunConfig, curated: CuratedSet, record: CalibrationRecord) -> PassContext:
    trust_code = config.model.trust_remote_code
    return PassContext(
        load_checkpoint(config.checkpoint_dir, trust_remote_code=trust_code, record=record, device=default_device()),
        curated.few_shot,
        config.evaluation,
        config.curation.max_new_tokens,
        config.curation.cloze,
        config.curation.temperature,
        config.seed,
    )


def units(context: PassContext, tasks: Tasks) -> Iterator[Unit]:
    """Batches in an order that is the same on every run: by state, pass and block, longest first within."""
    batch_size, method = context.settings.batch_size, context.checkpoint.record.method
    for state in BOTH:
        for name, rows in tasks.items():
            if state not in states_of(name, method):
                continue
            pass_ = PASSES[name]
            alike: dict[Any, list[GradedAnswer]] = defaultdict(list)
            for row in rows:
                alike[tuple(pass_.block(context.few_shot, row)), pass_.kind(row)].append(row)
            for (block, _), members in alike.items():
                copies = max(pass_.width(row) for row in members)
                extra = len(context.prompt.few_shot_ids(block))
                lengths = [len(context.question_and_answer(row)) for row in members]
                for batch in by_length(lengths, batch_size, MAX_BATCH_TOKENS, extra, copies):
                    yield Unit(name, state, [members[i] for i in batch])


def _run_share(context: PassContext, tasks: Tasks, done: Done, pass_journals: Mapping[str, Journal]) -> None:
    # Units are shared out before the finished ones are removed, as another process may already have finished more.
    dealt = list(units(context, tasks))[process_index() :: process_count()]
    # A batch that was written in part is run again in full: its rounding must be that of an uninterrupted run.
    waiting = [unit for unit in dealt if not unit.is_in(done)]
    total, remaining = (sum(len(unit.rows) for unit in listed) for listed in (dealt, waiting))
    if remaining < total:
        print(f"evaluating: {total - remaining:,} of {total:,} measurements already exist")
    with progress(remaining, "evaluating", "measurements") as bar:
        for unit in waiting:
            bar.set_postfix_str(f"{unit.name} {unit.state}", refresh=False)
            block = PASSES[unit.name].block(context.few_shot, unit.rows[0])
            with torch.no_grad(), context.in_state(unit.state):
                values = PASSES[unit.name].measure(context, unit.rows, unit.state, block)
            rows = zip(unit.rows, values, strict=True)
            pass_journals[unit.name].append_rows({"key": key(unit.state, row), **value} for row, value in rows)
            bar.update(len(unit.rows))
