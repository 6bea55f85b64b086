"""Replies of OpenAI-compatible servers: which are answers, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from data_curation.engines.endpoint_replies import (
    NoAnswer,
    Written,
    prompt_logprobs,
    server_words,
    written_answer,
)


def chat(content: Any, ended: str = "stop", logprobs: Any = None, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **more}
    return {"choices": [{"index": 0, "message": message, "finish_reason": ended, "logprobs": logprobs}]}


def text(content: Any, ended: str = "stop", logprobs: Any = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": content, "finish_reason": ended, "logprobs": logprobs}]}


def parts(*kinds: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "refusal" if kind == "refusal" else "text": value} for kind, value in kinds]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (text(" Paris"), " Paris"),
        (text(" Paris", "length"), " Paris"),  # cut, but an answer, as in the other engines
        (text("", "stop"), ""),
        (chat("Paris"), "Paris"),
        (chat("Paris", refusal=None, tool_calls=[], function_call=None, reasoning_content=""), "Paris"),
        (chat("Paris", reasoning_content="France, so"), "Paris"),
        (chat("Paris", reasoning="France, so"), "Paris"),
        (chat("<think>Lyon?</think>\n\nParis"), "Paris"),
        (chat("Lyon? No.\n</think>\n\nParis"), "Paris"),  # the prompt opened the trace
        (chat("[THINK]Lyon?[/THINK]Paris"), "Paris"),
        (chat(parts(("text", "Par"), ("text", "is"))), "Paris"),
        (chat(parts(("thinking", "Lyon?"), ("text", "Paris"))), "Paris"),
        (chat(["Par", "is"]), "Paris"),
        (text("<think> is a tag"), "<think> is a tag"),  # a text prompt has no traces
    ],
)
def test_answers(reply: Any, answer: str) -> None:
    assert written_answer(reply).text == answer


@pytest.mark.parametrize(
    ("reply", "reason", "lasting"),
    [
        (text("", "length"), "the answer is empty (the tokens ran out before it: finish_reason length)", True),
        (text(" \n", "length"), "the answer is empty", True),
        (chat("", "length"), "the answer is empty", True),
        (chat(None, "length"), "the answer is empty", True),
        (chat(None, "length", reasoning_content="Hmm"), "all tokens went into reasoning", True),
        (chat("<think>Hmm", "length"), "all tokens went into reasoning", True),
        (chat("<think>Hmm"), "the model reasons, but gives no answer", True),
        (chat(None, reasoning="Hmm"), "the model reasons, but gives no answer", True),
        (chat(parts(("reasoning", "Hmm"))), "the model reasons, but gives no answer", True),
        (chat("", "content_filter"), "content filter", True),
        (chat(None, "content_filter"), "content filter", True),
        (text("", "content_filter"), "content filter", True),
        (chat("The plan is to", "content_filter"), "content filter", True),
        (chat(None, refusal="I can't help with that."), "the model refuses (I can't help with that.)", True),
        (chat(parts(("refusal", "No,\nsorry."))), "the model refuses (No, sorry.)", True),
        (
            chat(None, "tool_calls", tool_calls=[{"type": "function", "function": {"name": "search"}}]),
            "calls the tool search instead of answering",
            True,
        ),
        (chat("", "function_call", function_call={"name": "look"}), "calls the tool look", True),
        (chat(parts(("image_url", "x"), ("audio", "y"))), "parts of the type audio, image_url and no text", True),
        ({"error": {"message": "overloaded", "code": 529}}, "replies with an error (overloaded)", False),
        ({"error": {"message": "too long", "code": 400}}, "replies with an error (too long)", True),
        ({"error": "busy", "choices": None}, "replies with an error (busy)", False),
        (
            {"choices": [{"error": {"message": "upstream died", "code": 502}, "message": None}]},
            "replies with an error (upstream died)",
            False,
        ),
        (chat(None), "not of its protocol", False),
        (chat(3), "not of its protocol", False),
        (chat([3]), "not of its protocol", False),
        ({"choices": []}, "not of its protocol", False),
        ({"choices": {}}, "not of its protocol", False),
        ({"choices": [{"message": "x"}]}, "not of its protocol", False),
        ({"status": "starting"}, '({"status": "starting"})', False),
        ([], "not of its protocol", False),
        (None, "not of its protocol", False),
    ],
)
def test_no_answers(reply: Any, reason: str, lasting: bool) -> None:
    with pytest.raises(NoAnswer) as caught:
        written_answer(reply)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.lasting is lasting


def listed(*values: Any) -> dict[str, Any]:
    return {"tokens": ["a", "b"], "token_logprobs": list(values)}


def content(*values: Any) -> dict[str, Any]:
    return {"content": [{"token": "ab"[i], "logprob": value} for i, value in enumerate(values)]}


@pytest.mark.parametrize("offered", [listed, content])
@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ((-1, -2.5), [-1.0, -2.5]),
        ((None, -2.5), []),
        ((-1, float("nan")), []),
        ((-1, float("-inf")), []),
        ((-1, "x"), []),
        ((-1, True), []),
    ],
)
def test_a_log_probability_that_is_none_keeps_the_answer(offered: Any, values: Any, kept: list[float]) -> None:
    tokens = ["a", "b"] if kept else []
    assert written_answer(text("ab", logprobs=offered(*values))) == Written("ab", tokens, kept)


@pytest.mark.parametrize("logprobs", [None, [], "no", {}, {"content": None}, {"tokens": ["a"], "token_logprobs": None}])
def test_log_probabilities_in_no_known_form(logprobs: Any) -> None:
    assert written_answer(text("ab", logprobs=logprobs)) == Written("ab")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "too long", "type": "BadRequestError", "param": None, "code": 400}, "too long"),
        ({"error": {"message": "too\nlong"}}, "too long"),
        ({"error": "no such model", "error_type": "validation"}, "no such model"),
        (
            {"detail": [{"loc": ["body", "top_k"], "msg": "Extra inputs are not permitted"}]},
            "body.top_k: Extra inputs are not permitted",
        ),
        ({"detail": "Not Found"}, "Not Found"),
        ("<html><h1>502 Bad Gateway</h1></html>", "502 Bad Gateway"),
        ({"status": 7}, '{"status": 7}'),
        ("", ""),
        ("x" * 1000, "x" * 1000),
    ],
)
def test_what_a_server_said(body: Any, words: str) -> None:
    assert server_words(body) == words


def test_an_error_within_errors_without_end() -> None:
    body: Any = "deep"
    for _ in range(500):
        body = {"error": [body]}
    assert server_words(body) == "..."


PROMPT = [5, 6, 7]


def echoed(*values: Any, names: Any = ("x", " y", " z", "!")) -> dict[str, Any]:
    tokens = list(names[: len(values)]) if names else None
    return text("", logprobs={"tokens": tokens, "token_logprobs": list(values)})


def tables(*steps: Any) -> dict[str, Any]:
    return {"choices": [{"text": "", "logprobs": None, "prompt_logprobs": list(steps)}]}


def entry(token: int, value: Any, name: str) -> dict[str, Any]:
    return {"1": {"logprob": -9.0, "decoded_token": "?"}, str(token): {"logprob": value, "decoded_token": name}}


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        (echoed(None, -1, -2), ([-1.0, -2.0], " y z")),
        (echoed(None, -1, -2, -3), ([-1.0, -2.0], " y z")),  # and one generated token
        (echoed(None, -1, -2, names=None), ([-1.0, -2.0], "")),
        (echoed(-3), None),  # of the generated token alone
        (echoed(None, None, -2), None),
        (echoed(None, -1, -2, -3, -4), None),
        (tables(None, entry(6, -1, " y"), entry(7, -2, " z")), ([-1.0, -2.0], " y z")),
        (tables(None, entry(6, -1, " y"), entry(8, -2, " z")), None),  # not of our token
        (tables(None, entry(6, -1, " y")), None),
        (tables(None, None, None), None),
        (text("x"), None),
        (text("x", logprobs={"tokens": ["x"], "token_logprobs": None}), None),
    ],
)
def test_log_probabilities_of_a_prompt(reply: Any, read: Any) -> None:
    assert prompt_logprobs(reply, PROMPT, 2) == read


def test_reasoning_is_kept_beside_the_answer() -> None:
    message = {"content": "Paris", "reasoning_content": "A capital is asked."}
    written = written_answer({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert (written.text, written.trace) == ("Paris", "A capital is asked.")
    inline = written_answer({"choices": [{"message": {"content": "<think>\nA capital.\n</think>\n\nParis"}}]})
    assert (inline.text.strip(), inline.trace) == ("Paris", "A capital.")
    assert written_answer({"choices": [{"message": {"content": "Paris"}}]}).trace is None
