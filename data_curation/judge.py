"""A language model as grader. Verdicts are kept in the user's cache; one that cannot be read counts as none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from calibration_tuning.config.engines import SPEED_ONLY, JudgeSettings
from calibration_tuning.config.model import CHECKS_ONLY
from calibration_tuning.errors import UserError
from calibration_tuning.grading.traces import without_trace
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.models import model_identity
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.lm.pypi_source import cache_dir
from calibration_tuning.records import Question
from calibration_tuning.runs.files import fingerprint
from calibration_tuning.runs.processes import process_index
from data_curation.answering import AnswerJournal, answer_all
from data_curation.engines import Engine, Job, build_engine

PROMPT = Path(__file__).with_name("judge_prompt.txt")
FIELDS = ("{question}", "{references}", "{answer}")
_YES_OR_NO = re.compile(r"(?<![^\W_])(?:yes|no)(?![^\W_])", re.IGNORECASE)


def judge(settings: JudgeSettings, pairs: Sequence[tuple[Question, str]], run: str) -> list[float | None]:
    """1.0 or 0.0 for each (question, answer), None where the judge's reply is neither yes nor no.

    `run` names the file that this run's verdicts go to; verdicts of all runs with the same judge and prompt are used.
    """
    template = _template(settings.prompt or PROMPT)
    model = [settings.model.model_dump(mode="json", exclude=CHECKS_ONLY), model_identity(settings.model)]
    engine = settings.engine.model_dump(mode="json", exclude=SPEED_ONLY)
    identity = fingerprint([model, engine, settings.max_new_tokens, template])
    prompts = [_fill(template, question, without_trace(answer)) for question, answer in pairs]
    keys = [fingerprint(prompt) for prompt in prompts]
    asked = {
        key: Request(_as_question(key, prompt), "judge", settings.max_new_tokens)
        for key, prompt in zip(keys, prompts, strict=True)
    }
    journal = AnswerJournal(cache_dir() / "judge" / identity, f"{run}-{process_index()}")

    def make_engine() -> Engine:
        prompt_format = load_prompt_format(settings.model)
        return build_engine(settings.engine, Job(settings.model, prompt_format, {}))

    known = answer_all(make_engine, list(asked.values()), journal, "judging", "answers")
    return [_verdict(known[asked[key].key]) for key in keys]


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
