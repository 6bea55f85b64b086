"""The vLLM engine against the model in this process: python -m tests.vllm.in_process KIND, which is text, chat,
thinking-off or thinking-on."""

from __future__ import annotations

import sys

import torch

from calibration_tuning.config.engines import TransformersEngine, VllmEngine
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.lm.answering import Answerer, Request
from calibration_tuning.lm.caches import encode_prefix
from calibration_tuning.lm.chat_template import Thinking
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.likelihood import continuation_logprobs
from data_curation.engines import Job, build_engine
from tests.vllm.asking import MODEL, cloze, job, sampled, thinking_model, written
from tests.vllm.comparison import LOGPROBS_WITHIN, Checks, answers


def check_engine(checks: Checks, model: ModelSettings) -> None:
    here = job(model)
    local = local_engine(here)
    writing, choosing, drawing = written(160, multiline=40), cloze(40), sampled(written(40), 2)
    expected, chosen = answers(local, writing), answers(local, choosing)
    engine = build_engine(VllmEngine(gpu_memory_utilization=0.4), here)
    checks.same_answers("written", answers(engine, writing), expected)
    checks.same_choices("cloze", answers(engine, choosing), chosen)
    drawn = checks.sampled("sampled", engine, drawing, expected)
    scored = drawn_logprobs(local, drawing, drawn)
    checks.note(
        "log-probabilities of the sampled tokens",
        bool(scored) and max(scored) < LOGPROBS_WITHIN,
        f"{len(scored)} tokens within {max(scored, default=float('nan')):.1e}",
    )


def check_thinking(checks: Checks, thinking: Thinking) -> None:
    """The template opens a trace of reasoning. `off` closes it; with `on` the model writes it first."""
    here = job(thinking_model(thinking))
    asked = written(40 if thinking == "off" else 8)  # a trace is long
    expected = answers(local_engine(here), asked)
    checks.same_answers("written", answers(build_engine(VllmEngine(gpu_memory_utilization=0.4), here), asked), expected)


def local_engine(here: Job) -> Answerer:
    engine = build_engine(TransformersEngine(), here)
    assert isinstance(engine, Answerer)
    return engine


@torch.no_grad()
def drawn_logprobs(local: Answerer, requests: list[Request], drawn: dict[str, Answer]) -> list[float]:
    """How far the log-probabilities of sampled tokens are from those that the model in this process gives them."""
    differences: list[float] = []
    for request in requests:
        answer = drawn.get(request.key)
        if answer is None or not answer.token_ids:
            continue
        prompt_format = local.prompt_format
        prefix = encode_prefix(local.model, prompt_format.few_shot_ids(local.blocks[request.block]))
        rows = [prompt_format.question_ids(request.question.text)]
        [[expected]] = continuation_logprobs(local.model, prefix, rows, [[answer.token_ids]])
        differences += [abs(x - y) for x, y in zip(answer.token_logprobs, expected, strict=True)]
    return differences


def main(kind: str) -> int:
    checks = Checks(f"{kind}, in process")
    if kind.startswith("thinking"):
        check_thinking(checks, "on" if kind == "thinking-on" else "off")
    else:
        check_engine(checks, MODEL.model_copy(update={"prompt_format": kind}))
    return len(checks.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
