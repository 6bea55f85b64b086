"""The evidence of a run: its curated set is read, and the model is asked what is not known yet."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from calibration_tuning.checkpoint import CalibrationRecord
from calibration_tuning.config.evaluation import EstimatorName
from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.lm.prompts import PromptFormat, load_prompt_format
from calibration_tuning.readout.stacked import load_readout
from calibration_tuning.records import GradedAnswer
from calibration_tuning.runs.processes import is_first_process
from evaluation.estimators import ESTIMATORS
from evaluation.evidence import Evidence, measured
from evaluation.other_answers import other_splits
from evaluation.passes import PASSES
from evaluation.passes.rows import Answers, drawn
from evaluation.passes.text import window_room
from evaluation.run_passes import Tasks, run_passes
from evaluation.texts import read_documents, windows

FITTED_ON = 2000
"""Training answers, at most, that P(IK) and the density are fitted on; each is read once or twice more for that."""


def collect(config: RunConfig, curated: CuratedSet, record: CalibrationRecord) -> Evidence:
    """Read the curated set and ask the model; every process calls it."""
    names = ("calibration", "test", *(("evaluation",) if curated.has("evaluation") else ()))
    splits: dict[str, Sequence[GradedAnswer]] = {name: curated.split(name) for name in names}  # type: ignore[arg-type]
    prompt_format = load_prompt_format(config.model, record.prompt_style)
    added_splits = other_splits(config.evaluation.other_answers, splits, prompt_format)
    texts = _texts(config, prompt_format)
    training = drawn(curated.split("train"), FITTED_ON, config.seed)
    answers = Answers(splits, added_splits, config.evaluation, config.seed, texts, training)
    findings = run_passes(config, curated, record, pass_tasks(answers, measured(config.evaluation, record)))
    readout = None if record.readout is None else load_readout(record.readout, config.checkpoint_dir)
    findings = replace(findings, readout=readout, training=training)
    return Evidence(config, curated.manifest, record, splits | added_splits, findings, texts)


def pass_tasks(answers: Answers, estimators: Sequence[EstimatorName]) -> Tasks:
    """The passes that the settings or the estimators ask for, each with the answers it looks at."""
    needed = {name for estimator in estimators for name in ESTIMATORS[estimator].passes}
    tasks = {
        name: [row for row in pass_.rows(answers) if pass_.applies(row)]
        for name, pass_ in PASSES.items()
        if name in needed or pass_.runs(answers.settings)
    }
    return {name: rows for name, rows in tasks.items() if rows}


def _texts(config: RunConfig, prompt_format: PromptFormat) -> list[GradedAnswer]:
    settings = config.evaluation.text
    if settings is None:
        return []
    encode = partial(prompt_format.tokenizer.encode, add_special_tokens=False)
    room = window_room(config.model, prompt_format.tokenizer)
    rows = windows(read_documents(settings), encode, settings, room)
    tokens = sum(len(row.token_ids) for row in rows)
    if tokens < settings.tokens and is_first_process():
        print(
            f"warning: evaluation.text.tokens: {settings.tokens} are wanted, {settings.path} has {tokens}",
            file=sys.stderr,
        )
    return rows
