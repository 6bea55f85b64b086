"""A language model as grader. Its replies are kept in the user's cache. A reply that cannot be read gives no
verdict."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from functools import cache, partial
from pathlib import Path

from calibration_tuning.config.engines import SPEED_ONLY, JudgeSettings
from calibration_tuning.config.model import NOT_INPUTS
from calibration_tuning.errors import UserError
from calibration_tuning.grading.traces import without_trace
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.identity import model_identity
from calibration_tuning.lm.models import context_length, load_model_config
from calibration_tuning.lm.prompts import PromptFormat, load_prompt_format
from calibration_tuning.lm.pypi_source import cache_dir
from calibration_tuning.records import Question
from calibration_tuning.runs.files import fingerprint, sha256_file
from calibration_tuning.runs.processes import is_first_process, process_index, wait_for_everyone
from data_curation.answering import AnswerJournal, answer_all
from data_curation.engines import Engine, Failure, Finished, Job, build_engine

PROMPT = Path(__file__).with_name("judge_prompt.txt")
FIELDS = ("{question}", "{references}", "{answer}")
_YES_OR_NO = re.compile(r"(?<![^\W_])(?:yes|no)(?![^\W_])", re.IGNORECASE)


def judge(settings: JudgeSettings, pairs: Sequence[tuple[Question, str]], run: str) -> list[float | None]:
    """1.0 or 0.0 for each (question, answer), None where the judge's reply is neither yes nor no.

    `run` names the file that this run's verdicts go to; verdicts of all runs with the same judge and prompt are used.
    """
    template = _template(settings.prompt or PROMPT)
    model = [settings.model.model_dump(mode="json", exclude=NOT_INPUTS), model_identity(settings.model)]
    # Recorded replies are known by what they are, not by where they are.
    engine = settings.engine.model_dump(mode="json", exclude={*SPEED_ONLY, "path"})
    path = settings.engine.path if settings.engine.kind == "recorded" else None
    recorded = sha256_file(path) if path is not None and path.is_file() else None
    identity = fingerprint([model, engine, recorded, settings.max_new_tokens, template])
    prompts = [_fill(template, question, without_trace(answer)) for question, answer in pairs]
    keys = [fingerprint(prompt) for prompt in prompts]
    asked = {
        key: Request(_as_question(key, prompt), "judge", settings.max_new_tokens)
        for key, prompt in zip(keys, prompts, strict=True)
    }
    journal = Replies(cache_dir() / "judge" / identity, run)
    prompt_format = cache(partial(load_prompt_format, settings.model))

    def make_engine() -> Engine:
        return build_engine(settings.engine, Job(settings.model, prompt_format(), {}, where="curation.judge.engine"))

    known = journal.read()
    new = [request for request in asked.values() if request.key not in known]
    too_long: set[str] = set()
    if new and settings.engine.kind == "transformers":  # vLLM and servers refuse what is too long themselves
        too_long = _too_long(settings, prompt_format(), new)
    requests = [request for request in asked.values() if request.key not in too_long]
    replies = answer_all(make_engine, requests, journal, "judging", "answers")
    return [_verdict(replies.get(asked[key].key)) for key in keys]


class Replies(AnswerJournal):
    """A judge's replies, kept for all runs, and its failures, kept for this call only: the judge may work again next
    time."""

    def __init__(self, folder: Path, run: str) -> None:
        super().__init__(folder, f"{run}-{process_index()}")
        failures = folder / "failures" / run
        wait_for_everyone()  # those of the last call may still be read
        if is_first_process():
            shutil.rmtree(failures, ignore_errors=True)
        wait_for_everyone()
        self._failures = AnswerJournal(failures, f"{process_index()}")

    def read(self) -> dict[str, Answer | Failure]:
        return self._failures.read() | super().read()

    def append(self, finished: Iterable[Finished]) -> None:
        results = list(finished)
        if answers := [(request, result) for request, result in results if isinstance(result, Answer)]:
            super().append(answers)
        if failures := [(request, result) for request, result in results if isinstance(result, Failure)]:
            self._failures.append(failures)


def _too_long(settings: JudgeSettings, prompt_format: PromptFormat, requests: Sequence[Request]) -> set[str]:
    """The keys of requests that are too long for the judge, with a warning."""
    room = context_length(load_model_config(settings.model), prompt_format.tokenizer)
    room -= settings.max_new_tokens + prompt_format.trace_room + len(prompt_format.few_shot_ids([]))
    too_long = {r.key for r in requests if len(prompt_format.question_ids(r.question)) > room}
    if too_long and is_first_process():
        print(
            f"warning: curation.judge: {len(too_long)} of {len(requests)} answers get no verdict, as with their "
            "questions they are longer than the judge reads; choose one with a longer context",
            file=sys.stderr,
        )
    return too_long


def _verdict(reply: object) -> float | None:
    """What the reply begins with, unless it says the other word as well ("yes or no?")."""
    if not isinstance(reply, Answer):
        return None
    text = without_trace(reply.text)
    before, *_ = _YES_OR_NO.split(text)
    words = {word.casefold() for word in _YES_OR_NO.findall(text)}
    return float(words == {"yes"}) if len(words) == 1 and not re.search(r"[^\W_]", before) else None


def _template(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"curation.judge.prompt: {path} cannot be read ({error})") from None
    if missing := [field for field in FIELDS if field not in text]:
        raise UserError(f"curation.judge.prompt: {path} lacks {', '.join(missing)}")
    return text.strip()


def _fill(template: str, question: Question, answer: str) -> str:
    # One pass, so that an answer that holds "{references}" stays as it is.
    values = {"question": question.shown, "references": "; ".join(question.references), "answer": answer or "(none)"}
    return re.sub(r"\{(question|references|answer)\}", lambda match: values[match.group(1)], template)


def _as_question(key: str, prompt: str) -> Question:
    return Question(id=key, source="judge", subject="judge", group=key, question=prompt, references=["yes"], grader="")
