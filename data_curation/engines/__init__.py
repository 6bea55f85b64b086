"""Engines answer questions: a model in this process, vLLM, an OpenAI-compatible endpoint, or recorded answers.

An engine has `batches(requests)`, the units of work, the same on every run, and `answer(batches)`, which yields answers
as they are finished. To add an engine, write a function here that makes it, and a settings class beside the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import Demonstration


@dataclass(frozen=True)
class Failure:
    """No answer."""

    reason: str
    lasting: bool
    """The same request would fail again (it was refused); otherwise the next run asks again."""


Finished = tuple[Request, Answer | Failure]


class Engine(Protocol):
    def batches(self, requests: Sequence[Request]) -> list[list[Request]]: ...

    def answer(self, batches: Iterable[list[Request]]) -> Iterator[Sequence[Finished]]: ...

    def answer_mass(self, block: Sequence[int], sequences: Sequence[Sequence[int]]) -> Sequence[float] | None:
        """Probability of the uncertainty query's two answers together after each `question + answer` id sequence
        behind `block`; None where the engine cannot say."""
        ...


@dataclass(frozen=True)
class Job:
    """What every engine needs to know."""

    model: ModelSettings
    prompt_format: PromptFormat
    blocks: dict[str, list[Demonstration]]
    seed: int = 0
    temperature: float = 1.0
    cloze: Any = "per_character"
    where: str = "curation.engine"
    """The section of the engine's settings, for messages."""


def _transformers(settings: Any, job: Job) -> Engine:
    from calibration_tuning.lm.answering import Answerer
    from calibration_tuning.lm.models import default_device, load_model

    model = load_model(job.model, default_device())
    return Answerer(
        model,
        job.prompt_format,
        job.blocks,
        settings.batch_size,
        job.seed,
        job.temperature,
        job.cloze,
        settings.max_batch_tokens,
    )


def _vllm(settings: Any, job: Job) -> Engine:
    from data_curation.engines.vllm import Vllm

    return Vllm(settings, job)


def _openai(settings: Any, job: Job) -> Engine:
    from data_curation.engines.openai import OpenAI

    return OpenAI(settings, job)


def _recorded(settings: Any, job: Job) -> Engine:
    from data_curation.engines.recorded import Recorded

    return Recorded(settings, job)


ENGINES: dict[str, Callable[[Any, Job], Engine]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "openai": _openai,
    "recorded": _recorded,
}


def build_engine(settings: Any, job: Job) -> Engine:
    return ENGINES[settings.kind](settings, job)
