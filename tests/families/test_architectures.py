"""What is read off a model, with shared blocks and padding, is what plain forward passes over single rows give."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from calibration_tuning.lm.caches import encode_prefix
from calibration_tuning.lm.generation import Decoding, generate_answers
from calibration_tuning.lm.likelihood import continuation_logprobs
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.query import score_answers
from calibration_tuning.records import Demonstration
from tests.families.architectures import SETTINGS, random_model
from tests.families.conftest import Matrix
from tests.families.templates import TEMPLATES
from tests.families.tokenizers import tokenizer_of

SHOWN = [Demonstration(question="Which planet?", answer="Jupiter", correct=True)]
QUESTIONS = ["Why?", "Which planet is the largest one of them all?"]
ANSWERS = ["So", "It is, an answer that is longer than the other"]


@pytest.fixture(scope="module", params=SETTINGS)
def asked(request: pytest.FixtureRequest) -> tuple[str, Any, PromptFormat]:
    tokenizer = tokenizer_of("byte-level BPE", TEMPLATES["SmolLM2, Qwen2.5"].special)
    return request.param, random_model(request.param, len(tokenizer)), PromptFormat(tokenizer, "text")


def plain_logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].float()


@pytest.mark.slow
def test_confidences(asked: tuple[str, Any, PromptFormat], matrix: Matrix) -> None:
    name, model, prompt = asked
    block = prompt.few_shot_ids(SHOWN)
    rows = [prompt.judged_ids(q) + prompt.answer_ids(a) for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
    scores = score_answers(model, prompt, block, rows, batch_size=2)
    no, yes = prompt.answer_tokens
    for i, row in enumerate(rows):
        p = plain_logits(model, [*block, *row, *prompt.query_ids])[-1].softmax(-1)
        assert scores.confidence[i] == pytest.approx((p[yes] / (p[yes] + p[no])).item(), abs=1e-5)
        assert scores.mass[i] == pytest.approx((p[yes] + p[no]).item(), abs=1e-5)
    matrix.add(name, "confidences")


def test_log_probabilities_of_answers(asked: tuple[str, Any, PromptFormat], matrix: Matrix) -> None:
    name, model, prompt = asked
    block = prompt.few_shot_ids(SHOWN)
    rows = [prompt.question_ids(question) for question in QUESTIONS]
    continuations = [[prompt.answer_ids(answer) for answer in ANSWERS] for _ in rows]
    with torch.no_grad():
        prefix = encode_prefix(model, block)
        found = continuation_logprobs(model, prefix, rows, continuations)
    for row, parts, logprobs in zip(rows, continuations, found, strict=True):
        for part, values in zip(parts, logprobs, strict=True):
            logits = plain_logits(model, [*block, *row, *part]).log_softmax(-1)
            start = len(block) + len(row) - 1
            expected = [logits[start + k, token].item() for k, token in enumerate(part)]
            assert values == pytest.approx(expected, abs=1e-4)
    matrix.add(name, "log-probabilities")


@pytest.mark.slow
def test_answers(asked: tuple[str, Any, PromptFormat], matrix: Matrix) -> None:
    name, model, prompt = asked
    block = prompt.few_shot_ids(SHOWN)
    rows = [prompt.question_ids(question) for question in QUESTIONS]
    found = generate_answers(model, prompt, block, rows, Decoding(5), 2)
    stops = set(prompt.stop_ids())
    for row, answer in zip(rows, found, strict=True):
        ids = [*block, *row]
        for _ in range(5):
            token = int(plain_logits(model, ids)[-1].argmax())
            if token in stops:
                break
            ids.append(token)
        assert list(answer.token_ids) == ids[len(block) + len(row) :]
    matrix.add(name, "answers")
