"""`calibration-tuning serve`: the real OpenAI client, a real browser, and clients that misbehave."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn

from calibration_tuning import CalibratedAnswer, CalibratedModel
from calibration_tuning.conversation import Conversation
from calibration_tuning.errors import RunError
from calibration_tuning.records import Demonstration
from calibration_tuning.serving.app import make_app
from calibration_tuning.serving.limits import LARGEST
from tests.forked import completed

TOKEN = "s3cret"
HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


@contextmanager
def serve(app: Any) -> Iterator[str]:
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")
    listening = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> CalibratedModel:
    return CalibratedModel.from_pretrained(tiny_run / "checkpoint", device="cpu")


@pytest.fixture(scope="module")
def address(model: CalibratedModel, tiny_run: Path) -> Iterator[str]:
    with serve(make_app(model, "tiny", TOKEN, picture=tiny_run / "checkpoint/reliability.png")) as found:
        yield found


def post(address: str, path: str, body: Any, token: str | None = TOKEN) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{address}{path}", json=body, headers=headers, timeout=60)


def chat(text: Any = "What is 1 plus 2?", **more: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], **more}


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
            "the last one must be the user's",
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
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert post(address, "/v1/confidence", {"question": "a", "answer": "b"}, token).status_code == 401
    assert httpx.get(f"{address}/v1/models").status_code == 401


class Slow:
    """A model that takes its time, and shouts."""

    is_cut = False
    familiar: float | None = None
    threshold = None
    record = SimpleNamespace(model=SimpleNamespace(path="base"), calibrator=SimpleNamespace(kind="platt"))
    format_for = staticmethod(
        lambda start: SimpleNamespace(
            few_shot_ids=lambda block, earlier: [1] * len(earlier),
            question_ids=lambda text: [1],
            answer_ids=lambda text: [1],
        )
    )

    def __init__(self) -> None:
        self.at_once = self.most = 0
        self.free = threading.Event()

    def answer_batch(self, questions: Any, choices: Any, contexts: Any, most: int | None) -> list[CalibratedAnswer]:
        self.asked = questions
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.free.wait(20)
        self.at_once -= 1
        return [CalibratedAnswer(HOSTILE, 0.83, familiar=self.familiar, is_cut=self.is_cut, tokens=1)]


@pytest.fixture
def quick() -> Iterator[tuple[Slow, str]]:
    slow = Slow()
    slow.free.set()
    with serve(make_app(slow, "slow")) as address:  # type: ignore[arg-type]
        yield slow, address


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


@pytest.mark.slow
def test_a_model_says_when_its_answer_was_cut(model: CalibratedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [f"What is {i} plus 2?" for i in range(4)]
    whole = model.answer_batch(questions)
    lengths = [len(model.prompt_format.answer_ids(answer.text)) for answer in whole]
    monkeypatch.setattr(model, "record", model.record.model_copy(update={"max_new_tokens": 1}))
    cut = model.answer_batch(questions)
    assert [answer.is_cut for answer in cut] == [length >= 1 for length in lengths]
    assert any(answer.is_cut for answer in cut)
    assert not model.answer(questions[0], ["a", "b"]).is_cut
    assert not model.judge_batch(["a"], ["b"])[0].is_cut


@pytest.mark.slow
def test_requests_stand_in_line_and_the_line_ends() -> None:
    slow = Slow()
    with serve(make_app(slow, "slow", waiting=2)) as address:  # type: ignore[arg-type]
        replies: list[httpx.Response] = []
        ask = lambda: replies.append(post(address, "/v1/chat/completions", chat()))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 10
        while len(replies) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [reply.status_code for reply in replies] == [503] * 3, "one is answered, two wait"
        assert replies[0].headers["Retry-After"] == "1"
        assert httpx.get(f"{address}/health", timeout=5).status_code == 200, "health does not stand in line"
        slow.free.set()
        for thread in threads:
            thread.join()
        assert sorted(reply.status_code for reply in replies) == [200] * 3 + [503] * 3
        assert slow.most == 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_asks_and_shows_and_is_not_taken_in(browser: Any, scheme: Any, tmp_path: Path) -> None:
    slow = Slow()
    slow.free.set()
    picture = Path("docs/report.png")
    with serve(make_app(slow, "slow", TOKEN, picture=picture)) as address:  # type: ignore[arg-type]
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        page.get_by_label("Question").fill("Why?")
        page.get_by_role("button", name="Ask").click()
        page.get_by_role("alert").wait_for()
        assert page.get_by_role("alert").inner_text() == "Wrong or missing bearer token."
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_label("Question").press("Enter")
        page.locator("#answers li").wait_for()
        assert page.locator(".answer").inner_text() == HOSTILE
        assert page.locator(".percent").inner_text() == "83%"
        assert page.locator(".warning").count() == 0
        slow.familiar, slow.is_cut = 0.03, True
        page.get_by_label("Question").press("Enter")
        page.locator("#answers li").nth(1).wait_for()
        assert page.locator("#answers li").first.locator(".warning").all_inner_texts() == [
            "Unlike the questions it was tuned on",
            "Cut: the answer is as long as answers may be",
        ]
        slow.free.clear()
        page.get_by_label("Follow up").check()
        page.get_by_label("Question").press("Enter")
        page.get_by_role("status").wait_for()
        assert page.get_by_role("status").inner_text().strip().startswith("Answering and judging, ")
        assert page.get_by_role("button").is_disabled()
        page.screenshot(path=str(tmp_path / f"busy-{scheme}.png"), full_page=True)
        slow.free.set()
        page.locator("#answers li").nth(2).wait_for()
        assert not page.get_by_role("status").is_visible()
        assert slow.asked[0].earlier == (Demonstration(question="Why?", answer=HOSTILE),)
        page.get_by_label("Question").fill("  ")
        page.get_by_role("button").click()
        page.get_by_text("Write a question first.").wait_for()
        assert page.get_by_role("button").inner_text() == "Ask"
        assert page.title() == "Does it know?"
        assert page.locator("#diagram").evaluate("image => image.complete && image.naturalWidth > 0")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
        assert [text for text in said if "401" not in text] == []
        page.close()


@pytest.mark.slow
def test_a_server_that_is_gone_is_told_in_a_sentence(browser: Any) -> None:
    slow = Slow()
    with serve(make_app(slow, "slow")) as address:  # type: ignore[arg-type]
        page = browser.new_page()
        page.goto(address)
        page.route("**/v1/**", lambda route: route.abort())
        page.get_by_label("Question").fill("Why?")
        page.get_by_label("Question").press("Enter")
        page.get_by_role("alert").wait_for()
        assert page.get_by_role("alert").inner_text().startswith("The server does not answer.")
        page.unroute("**/v1/**")
        page.route("**/v1/**", lambda route: route.fulfill(status=502, body="<html>Bad gateway</html>"))
        page.get_by_label("Question").press("Enter")
        page.get_by_text("The server replies 502.").wait_for()
        page.close()


@pytest.mark.slow
def test_the_command_serves_and_ends(tiny_run: Path, tmp_path: Path) -> None:
    examples, question = [{"question": "Why?", "answer": "Because of 7."}], "What is 1 plus 2?"
    file = tmp_path / "examples.jsonl"
    file.write_text(json.dumps(examples[0]))
    command = [sys.executable, "-m", "calibration_tuning.serving", str(tiny_run / "checkpoint"), "--port", "0"]
    command += ["--examples", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."})
    try:
        line = process.stdout.readline()
        address = re.search(r"http://\S+", line).group()
        assert "(no token)" in line
        (choice,) = post(address, "/v1/chat/completions", chat(question), token=None).json()["choices"]
        expected = CalibratedModel.from_pretrained(tiny_run / "checkpoint", examples=examples).answer(question)
        assert choice["message"]["content"] == expected.text
        assert choice["message"]["content"] != CalibratedModel.from_pretrained(tiny_run).answer(question).text
        assert choice["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
        assert "Content-Security-Policy" in httpx.get(address).headers
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130, -signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.org"])
def test_others_need_a_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALIBRATION_TUNING_TOKEN", raising=False)
    result = completed("calibration_tuning.serving", "nowhere", "--host", host)
    assert result.returncode == 2
    assert "set CALIBRATION_TUNING_TOKEN" in result.stderr


@pytest.mark.slow
def test_a_port_that_is_taken(tiny_run: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = completed("calibration_tuning.serving", tiny_run / "checkpoint", "--port", port)
    assert result.returncode == 2
    assert f"--port {port}: cannot be listened on" in result.stderr


@pytest.mark.slow
def test_white_space_around_a_question_does_not_count(address: str, model: CalibratedModel) -> None:
    plain, spaced = (post(address, "/v1/chat/completions", chat(text)).json() for text in ("Why?", " \nWhy? \n"))
    assert spaced["choices"][0]["message"] == plain["choices"][0]["message"]
    confidence = model.answer("Why?").confidence
    for reply in (plain, spaced):
        assert reply["choices"][0]["confidence"] == pytest.approx(confidence, abs=1e-6)
    pair = post(address, "/v1/confidence", {"question": "\t Why?\n", "answer": "So"}).json()
    assert pair["confidence"] == pytest.approx(model.confidence("Why?", "So"), abs=1e-6)
