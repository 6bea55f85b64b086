"""What a reply says, and how long an answer may be."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from calibration_tuning import CalibratedModel
from tests.calibration_tuning.serving.server import HOSTILE, Slow, chat, post


def streamed(reply: httpx.Response) -> list[dict[str, Any]]:
    *parts, last, end = reply.text.split("\n\n")
    assert (last, end) == ("data: [DONE]", "")
    return [json.loads(part.removeprefix("data: ")) for part in parts]


@pytest.mark.slow
@pytest.mark.parametrize(("is_cut", "reason"), [(False, "stop"), (True, "length")])
def test_an_answer_that_is_cut_says_length(quick: tuple[Slow, str], is_cut: bool, reason: str) -> None:
    slow, address = quick
    slow.is_cut = is_cut
    assert post(address, "/v1/chat/completions", chat()).json()["choices"][0]["finish_reason"] == reason
    parts = streamed(post(address, "/v1/chat/completions", chat(stream=True)))
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None, reason]


@pytest.mark.slow
@pytest.mark.parametrize("familiar", [None, 0.0, 0.42])
def test_replies_say_how_familiar_an_answer_is(quick: tuple[Slow, str], familiar: float | None) -> None:
    slow, address = quick
    slow.familiar = familiar
    assert post(address, "/v1/chat/completions", chat()).json()["choices"][0]["familiar"] == familiar
    assert streamed(post(address, "/v1/chat/completions", chat(stream=True)))[-1]["choices"][0]["familiar"] == familiar


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({"max_tokens": 1}, 1),
        ({"max_completion_tokens": 1}, 1),
        ({"max_tokens": 2, "max_completion_tokens": 1}, 1),
        ({"max_tokens": 1, "max_completion_tokens": None}, 1),
        ({"max_tokens": 4096}, 3),  # the tiny run's max_new_tokens
        ({"max_tokens": None}, 3),
    ],
)
def test_max_tokens_holds_and_is_never_more_than_in_curation(
    address: str, model: CalibratedModel, limits: dict[str, Any], most: int
) -> None:
    choice = post(address, "/v1/chat/completions", chat(**limits)).json()["choices"][0]
    expected = model.answer("What is 1 plus 2?", max_new_tokens=most)
    assert choice["message"]["content"] == expected.text
    assert choice["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
    assert choice["finish_reason"] == ("length" if expected.is_cut else "stop")
    if most == 1:
        assert expected.is_cut


@pytest.mark.slow
def test_a_passage_stands_above_the_question(address: str, model: CalibratedModel) -> None:
    passage, question = "Ann has 3 boats.", "How many boats has Ann?"
    alone, below = model.answer(question), model.answer(f"{passage}\n{question}")
    choice = post(address, "/v1/chat/completions", chat(question, context=passage)).json()["choices"][0]
    assert choice["message"]["content"] == below.text
    assert choice["confidence"] == pytest.approx(below.confidence, abs=1e-6)
    assert choice["confidence"] != pytest.approx(alone.confidence, abs=1e-6)
    judged = post(address, "/v1/confidence", {"question": question, "answer": "3", "context": passage}).json()
    assert judged["confidence"] == pytest.approx(model.confidence(question, "3", passage), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "with_usage"),
    [(None, False), ({}, False), ({"include_usage": None}, False), ({"include_usage": True}, True)],
)
def test_a_stream_counts_tokens_when_asked_to(quick: tuple[Slow, str], options: Any, with_usage: bool) -> None:
    parts = streamed(post(quick[1], "/v1/chat/completions", chat(stream=True, stream_options=options)))
    assert len(parts) == 2 + with_usage
    assert all(("usage" in part) == with_usage for part in parts)
    if with_usage:
        assert parts[-1]["choices"] == []
        assert parts[-1]["usage"] == {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        assert [part["usage"] for part in parts[:-1]] == [None, None]


NULLS = (
    "model",
    "choices",
    "context",
    "max_tokens",
    "stream",
    "stream_options",
    "n",
    "temperature",
    "tools",
    "seed",
    "stop",
    "logit_bias",
    "tool_choice",
    "response_format",
)


@pytest.mark.slow
@pytest.mark.parametrize("names", [NULLS, *[(name,) for name in NULLS]])
def test_null_is_not_given(quick: tuple[Slow, str], names: tuple[str, ...]) -> None:
    reply = post(quick[1], "/v1/chat/completions", chat() | dict.fromkeys(names))
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["content"] == HOSTILE
