"""Curation and serving read the same conversations, and refuse the same ones."""

from __future__ import annotations

from typing import Any

import pytest

from calibration_tuning.conversation import Conversation
from calibration_tuning.errors import UserError
from calibration_tuning.question_shapes import Misread, recognised
from calibration_tuning.records import Demonstration

USER, SO = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "developer", "content": "Be brief."}, USER, SO, USER],
        [{"role": "system", "content": "Be"}, {"role": "system", "content": "brief."}, USER, SO, USER],
        [{"role": "human", "content": "Why?"}, {"role": "gpt", "content": "So."}, USER],
        [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}, {"from": "human", "value": "Why?"}],
        [USER, SO, {"role": "User", "content": [{"type": "text", "text": "Why"}, {"type": "text", "text": "not?"}]}],
    ],
)
def test_what_both_read(messages: list[dict[str, Any]]) -> None:
    read, row = Conversation.of(messages), recognised({"messages": messages})
    assert read.earlier == (Demonstration(question="Why?", answer="So."),)
    assert row["earlier"] == [("Why?", "So.")]
    assert read.question == row["question"]
    assert read.system == row.get("context")


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([USER, {"role": "system", "content": "x"}, USER], r"messages\.1: is a system message after the first turn"),
        ([USER, SO | {"tool_calls": [{"id": "1"}]}, USER], r"messages\.1: calls a tool"),
        ([USER, {"role": "tool", "content": "x"}], r"messages\.1\.role: 'tool'"),
        ([USER | {"content": [{"type": "image_url", "text": None}]}], r"messages\.0\.content: must be text"),
        ([USER | {"content": " "}, SO, USER], r"messages\.0\.content: is empty"),
        ([SO, USER], "messages: the first turn must be the user's"),
    ],
)
def test_what_both_refuse(messages: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Conversation.of(messages)
    with pytest.raises(Misread, match=words):
        recognised({"messages": messages})
