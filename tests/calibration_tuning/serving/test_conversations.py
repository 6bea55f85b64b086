"""Which conversations are answered, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from calibration_tuning.conversation import Conversation
from calibration_tuning.records import Demonstration
from tests.calibration_tuning.serving.server import Slow, post

USER, SO = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}

BRIEF = {"role": "system", "content": "Be brief."}

PAIR = Demonstration(question="Why?", answer="So.")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([USER], Conversation("Why?")),
        ([BRIEF, USER], Conversation("Why?", system="Be brief.")),
        ([BRIEF | {"role": "developer"}, USER], Conversation("Why?", system="Be brief.")),
        ([BRIEF, BRIEF, USER], Conversation("Why?", system="Be brief.\n\nBe brief.")),
        ([BRIEF | {"content": ""}, USER], Conversation("Why?")),
        ([USER, SO, USER], Conversation("Why?", (PAIR,))),
        ([BRIEF, USER, SO, USER, SO, USER], Conversation("Why?", (PAIR, PAIR), "Be brief.")),
        ([USER, USER], Conversation("Why?\n\nWhy?")),
        (
            [USER, SO | {"content": None, "tool_calls": []}, USER],
            Conversation("Why?", (PAIR.model_copy(update={"answer": ""}),)),
        ),
        (
            [USER | {"content": [{"type": "text", "text": "Why"}, {"type": "text", "text": "not?"}]}],
            Conversation("Why\nnot?"),
        ),
    ],
)
def test_conversations(quick: tuple[Slow, str], messages: Any, expected: Conversation) -> None:
    slow, address = quick
    reply = post(address, "/v1/chat/completions", {"model": "slow", "messages": messages})
    assert reply.status_code == 200, reply.text
    assert slow.asked == [expected]
    assert reply.json()["usage"]["prompt_tokens"] == 1 + len(expected.earlier)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([USER, SO], "messages: the last one must be the user's"),
        ([SO, USER], "messages: the first turn must be the user's"),
        ([USER, BRIEF, USER], "messages.1: is a system message after the first turn"),
        ([USER, SO | {"tool_calls": [{"id": "1"}]}, USER], "messages.1: calls a tool"),
        ([{"role": "tool", "content": "x"}], "messages.0.role: 'tool'; only messages by"),
        ([{"role": "user", "content": None}], "messages.0.content: is empty"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "messages.0.content: must be text"),
        ([{"content": "Why?"}], "messages.0.role: None"),
        (["Why?"], "messages.0: is a str; a message has role and content"),
        (None, "messages"),
        ("Why?", "messages"),
        ([], "messages"),
    ],
)
def test_other_conversations_are_refused_in_a_sentence(quick: tuple[Slow, str], messages: Any, words: str) -> None:
    reply = post(quick[1], "/v1/chat/completions", {"model": "slow", "messages": messages})
    assert reply.status_code == 400
    assert words in reply.json()["error"]["message"]
