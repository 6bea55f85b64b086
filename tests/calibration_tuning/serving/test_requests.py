"""A server with a real checkpoint: the real OpenAI client, and clients that misbehave."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from calibration_tuning import CalibratedModel
from calibration_tuning.errors import RunError
from calibration_tuning.serving.limits import LARGEST
from tests.calibration_tuning.serving.server import TOKEN, Slow, chat, post


@pytest.mark.slow
def test_the_real_client_gets_a_confidence(address: str, model: CalibratedModel) -> None:
    from openai import OpenAI

    client = OpenAI(base_url=f"{address}/v1", api_key=TOKEN, max_retries=0)
    own = model.answer("What is 1 plus 2?")
    reply = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "What is 1 plus 2?"}])
    assert reply.choices[0].message.content == own.text
    assert reply.choices[0].confidence == pytest.approx(own.confidence, abs=1e-6)
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert [found.id for found in client.models.list()] == ["tiny"]
    chosen = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "Why?"}], extra_body={"choices": ["so", "not"]}
    )
    assert chosen.choices[0].message.content in ("so", "not")
    parts = list(
        client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "What is 1 plus 2?"}], stream=True
        )
    )
    assert "".join(part.choices[0].delta.content or "" for part in parts) == own.text
    assert parts[-1].choices[0].confidence == pytest.approx(own.confidence, abs=1e-6)
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 1 plus 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And plus 2?"},
    ]
    own = model.answer(messages=talk)
    reply = client.chat.completions.create(model="tiny", messages=talk, max_tokens=2, temperature=None)
    assert reply.choices[0].message.content == model.answer(messages=talk, max_new_tokens=2).text
    assert reply.usage.completion_tokens <= 2
    assert reply.choices[0].trusted is None, "thresholds were found on single questions"
    parts = list(
        client.chat.completions.create(model="tiny", messages=talk, stream=True, stream_options={"include_usage": True})
    )
    assert parts[-2].choices[0].confidence == pytest.approx(own.confidence, abs=1e-6)
    assert parts[-1].usage.completion_tokens == own.tokens
    assert client.models.retrieve("tiny").id == "tiny"


@pytest.mark.slow
def test_confidences_of_given_answers(address: str, model: CalibratedModel) -> None:
    pair = {"question": "What is 1 plus 2?", "answer": "3"}
    found = post(address, "/v1/confidence", pair).json()
    assert found["confidence"] == pytest.approx(model.confidence(**pair), abs=1e-6)
    many = post(address, "/v1/confidence", [pair, {"question": "Why?", "answer": ""}]).json()
    assert len(many) == 2
    assert many[0]["confidence"] == pytest.approx(found["confidence"], abs=1e-5)
    assert httpx.get(f"{address}/health").json() == {"status": "ok"}


@pytest.mark.slow
def test_claims_of_a_long_answer(address: str, model: CalibratedModel) -> None:
    pair = {"question": "What is 1 plus 2?", "answer": "It is 3. It is odd.", "context": "Ann counts."}
    found = post(address, "/v1/claims", pair).json()
    judged = model.claims(**pair)
    assert [(claim["text"], claim["start"], claim["end"]) for claim in found["claims"]] == [
        ("It is 3.", 0, 8),
        ("It is odd.", 9, 19),
    ]
    assert found["confidence"] == pytest.approx(judged.minimum, abs=1e-6)
    assert found["product"] == pytest.approx(judged.product, abs=1e-6)
    assert found["mean"] == pytest.approx(judged.mean, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/chat/completions", {"messages": []}, 400, "messages"),
        ("/v1/chat/completions", chat(""), 400, "messages"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "system", "content": "a"}]},
            400,
            "the first turn must be the user's",
        ),
        ("/v1/chat/completions", chat(n=2), 400, "n: "),
        ("/v1/chat/completions", chat(max_tokens=0), 400, "max_tokens: "),
        ("/v1/chat/completions", chat(" \n "), 400, "is empty"),
        ("/v1/chat/completions", chat(context="x" * 20_001), 400, "context: "),
        ("/v1/chat/completions", chat(choices=["one"]), 400, "choices: "),
        ("/v1/chat/completions", chat("so " * 2000), 400, "more than the 512 the model reads"),
        ("/v1/chat/completions", chat("x" * 20_001), 400, "a turn may have 20,000 characters"),
        ("/v1/chat/completions", chat([{"type": "text", "text": "x" * 15_000}] * 2), 400, "a turn may have 20,000"),
        ("/v1/chat/completions", chat(tool_choice="required"), 400, "required: answers are plain text; leave tool_"),
        ("/v1/chat/completions", chat(response_format={"type": "json_object"}), 400, "json_object: answers are plain"),
        (
            "/v1/chat/completions",
            chat(function_call={"name": "look"}),
            400,
            "look: answers are plain text; leave funct",
        ),
        ("/v1/chat/completions", chat(modalities=["text", "audio"]), 400, "modalities.1: "),
        ("/v1/chat/completions", chat(choices=["x" * 15_000] * 2), 400, "choices: may have 20,000 characters together"),
        ("/v1/chat/completions", chat(choices=["no", "so " * 2000]), 400, "more than the 512 the model reads"),
        ("/v1/confidence", {"question": "a"}, 400, "answer"),
        ("/v1/confidence", [{"question": "a", "answer": "b"}] * 65, 400, "at most 64 items"),
        ("/v1/confidence", ["x" * LARGEST], 413, "larger than 2,000,000 bytes"),
        ("/v1/claims", {"question": "a", "answer": "..."}, 400, "holds no sentence"),
        ("/v1/claims", {"question": "a", "answer": "So.\n" * 65}, 400, "has 65 sentences; one request may have 64"),
        ("/v1/nothing", {}, 404, "Not Found"),
    ],
)
def test_bad_requests_are_one_sentence(address: str, path: str, body: Any, status: int, message: str) -> None:
    reply = post(address, path, body)
    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]


UNSUPPORTED = [
    ("stop", "\n"),
    ("stop", ["\n"]),
    ("logprobs", True),
    ("top_logprobs", 2),
    ("logit_bias", {"50256": -100}),
    ("audio", {"voice": "alloy", "format": "mp3"}),
    ("web_search_options", {}),
    ("moderation", {"model": "omni-moderation-latest"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), UNSUPPORTED)
def test_what_would_be_missed_is_refused(quick: tuple[Slow, str], name: str, value: Any) -> None:
    reply = post(quick[1], "/v1/chat/completions", chat(**{name: value}))
    assert reply.status_code == 400
    message = f"{name}: this server does not support it; leave it out"
    assert reply.json()["error"] == {"message": message, "type": "invalid_request_error", "param": name, "code": None}


@pytest.mark.slow
def test_what_asks_for_nothing_more_is_taken(quick: tuple[Slow, str]) -> None:
    nothing = {"stop": [], "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "function_call": "none"}
    without_effect = {"temperature": 0.7, "tools": [{"type": "function"}], "seed": 1, "modalities": ["text"]}
    reply = post(quick[1], "/v1/chat/completions", chat(model="gpt-4o", **nothing, **without_effect))
    assert reply.status_code == 200, reply.text
    assert reply.json()["model"] == "slow", "of any name that is asked, and says which it is"


JSON = {"Content-Type": "application/json"}


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/confidence", "/v1/claims"])
@pytest.mark.parametrize(
    ("content", "headers"),
    [('{"model": x}', JSON), ('"so"', JSON), ("", JSON), ("{}", {"Content-Type": "text/plain"})],
)
def test_a_body_that_is_no_json_object(quick: tuple[Slow, str], path: str, content: Any, headers: Any) -> None:
    reply = httpx.post(f"{quick[1]}{path}", content=content, headers=headers)
    assert reply.status_code == 400
    message = "the body must be a JSON object, sent as Content-Type: application/json"
    assert reply.json()["error"] == {"message": message, "type": "invalid_request_error", "param": None, "code": None}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "parameter"),
    [
        ("/v1/confidence", {"question": "a"}, 400, "invalid_request_error", "answer"),
        ("/v1/confidence", [{"question": "a", "answer": 1}], 400, "invalid_request_error", "answer"),
        ("/v1/chat/completions", chat(stream_options=1), 400, "invalid_request_error", "stream_options"),
        ("/v1/nothing", {}, 404, "invalid_request_error", None),
        ("/health", {}, 405, "invalid_request_error", None),
        ("/v1/confidence", ["x" * LARGEST], 413, "invalid_request_error", None),
    ],
)
def test_clients_read_whose_fault_it_is_and_which_parameter(
    quick: tuple[Slow, str], path: str, body: Any, status: int, kind: str, parameter: str | None
) -> None:
    reply = post(quick[1], path, body)
    assert reply.status_code == status
    assert (reply.json()["error"]["type"], reply.json()["error"]["param"]) == (kind, parameter)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RunError("the model has diverged"), "the model has diverged"),
        (MemoryError("of no interest to clients"), "the server failed (MemoryError)"),
    ],
)
def test_what_fails_is_no_bad_request_and_clients_can_read_it(
    address: str, model: CalibratedModel, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fails(*arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(model, "judge_batch", fails)
    reply = post(address, "/v1/confidence", [{"question": "a", "answer": "b"}])
    assert reply.status_code == 500
    assert reply.json()["error"] == {"message": message, "type": "server_error", "param": None, "code": None}


@pytest.mark.slow
def test_nobody_asks_without_the_token(address: str) -> None:
    for token in (None, "wrong", TOKEN + "x"):
        reply = post(address, "/v1/chat/completions", chat(), token)
        assert reply.status_code == 401
        assert reply.json()["error"]["type"] == "invalid_request_error"
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert post(address, "/v1/confidence", {"question": "a", "answer": "b"}, token).status_code == 401
    assert httpx.get(f"{address}/v1/models").status_code == 401
