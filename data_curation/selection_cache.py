"""The questions to be asked, chosen once and kept on disk, so that a restarted run resumes with the same questions."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from calibration_tuning.config.run import RunConfig
from calibration_tuning.lm.identity import model_identity
from calibration_tuning.lm.models import context_length, load_model_config
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.records import Demonstration, Question
from calibration_tuning.runs.files import sha256_file, write_text
from calibration_tuning.runs.processes import is_first_process, wait_for_everyone
from data_curation.code_version import check_work
from data_curation.question_sets import EMBEDDED, local_file
from data_curation.selection import Selection, select

_ADAPTER = TypeAdapter(Selection)


def inputs_of(config: RunConfig) -> dict[str, Any]:
    """Everything that decides what curation produces: settings, and the contents of local files."""
    paths = {entry.source: local_file(entry) for entry in config.questions if not entry.path.startswith(EMBEDDED)}
    models = {"model": model_identity(config.model)}
    engine, judge = config.curation.engine, config.curation.judge
    if engine.kind == "recorded":
        paths["curation.engine"] = engine.path
    if judge is not None:
        models["curation.judge"] = model_identity(judge.model)
        paths["curation.judge.prompt"] = judge.prompt
        if judge.engine.kind == "recorded":
            paths["curation.judge.engine"] = judge.engine.path
    # By what they are for, not by their paths: another clone or machine makes the same set.
    files = {name: sha256_file(path) for name, path in paths.items() if path is not None and path.is_file()}
    return {"settings": config.curation_inputs(), "files": files, "models": models}


def planned(config: RunConfig, work: Path) -> Selection:
    """The selection of this run; made by the first process where `work` does not hold it yet, read by all."""
    path = work / "plan"
    work.mkdir(parents=True, exist_ok=True)
    if is_first_process():
        check_work(work)
        if not _is_complete(path):
            print("selecting questions", file=sys.stderr)
            selection = _ADAPTER.dump_json(select(config, prompt_fits(config)))
            write_text(path, f"{hashlib.sha256(selection).hexdigest()}\n{selection.decode()}")
    wait_for_everyone()
    return _ADAPTER.validate_json(path.read_bytes().partition(b"\n")[2])


def _is_complete(path: Path) -> bool:
    """True if the file holds a selection that this version reads, undamaged. Otherwise it is made again."""
    if not path.is_file():
        return False
    digest, _, selection = path.read_bytes().partition(b"\n")
    if hashlib.sha256(selection).hexdigest().encode() != digest:
        return False
    try:
        _ADAPTER.validate_json(selection)
    except ValidationError:
        return False
    return True


def prompt_fits(config: RunConfig) -> Callable[[Question, Sequence[Demonstration]], bool]:
    """A function that says whether a question, its demonstrations and an answer fit into the model's context."""
    prompt_format = load_prompt_format(config.model)
    limit = context_length(load_model_config(config.model), prompt_format.tokenizer)
    blocks: dict[tuple[Demonstration, ...], int] = {}
    check_earlier_turns = cache(prompt_format.check_earlier_turns)

    def fits(question: Question, demonstrations: Sequence[Demonstration]) -> bool:
        if question.earlier:
            check_earlier_turns()
        block = tuple(demonstrations)
        if block not in blocks:
            blocks[block] = len(prompt_format.few_shot_ids(demonstrations))
        room = question.max_new_tokens or config.curation.max_new_tokens
        if question.style == "cloze":
            room = max(len(prompt_format.answer_ids(choice)) for choice in question.choices or [""])
        room += prompt_format.trace_room
        return blocks[block] + len(prompt_format.question_ids(question)) + room <= limit

    return fits
