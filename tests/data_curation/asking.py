"""Requests, and their answers by the tiny model in this process."""

from typing import Any

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.lm.answering import Answerer, Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import Demonstration, Question
from data_curation.engines import Job

BLOCKS = {"a": [Demonstration(question="What is 1 + 1?", answer="2")], "b": []}
CHOICES = [["the", "France", "of"], ["correct answer", "is"], ["no", "yes", "the capital", "i", "ii"]]


def ask(text: str, block: str = "a", sample: int = 0, tokens: int = 5, **values: Any) -> Request:
    fields = {"id": text, "source": "s", "subject": "x", "group": text, "references": ["r"], "grader": "exact"}
    return Request(Question(question=text, **{**fields, **values}), block, tokens, sample)


def answers(engine: Any, requests: list[Request]) -> dict[str, Any]:
    return {request.key: found for batch in engine.answer(engine.batches(requests)) for request, found in batch}


def job(tokenizer: Any, style: Any = "text", **values: Any) -> Job:
    return Job(
        ModelSettings(path="tiny", revision="main", dtype="bfloat16"), PromptFormat(tokenizer, style), BLOCKS, **values
    )


def in_this_process(tiny: Any, requests: list[Request], style: Any = "text", **values: Any) -> dict[str, Answer]:
    return answers(Answerer(tiny[0], PromptFormat(tiny[1], style), BLOCKS, 8, **values), requests)
