"""The page in a real browser, the command, and requests that stand in line."""

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from starlette.exceptions import HTTPException

import calibration_tuning.serving.__main__ as command
from calibration_tuning import CalibratedModel
from calibration_tuning.records import Demonstration
from calibration_tuning.serving.app import Line, make_app
from tests.calibration_tuning.serving.server import HOSTILE, TOKEN, Slow, chat, post, serve, wait_until
from tests.forked import completed


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
        assert replies[0].json()["error"]["type"] == "server_error"
        assert httpx.get(f"{address}/health", timeout=5).status_code == 200, "health does not stand in line"
        slow.free.set()
        for thread in threads:
            thread.join()
        assert sorted(reply.status_code for reply in replies) == [200] * 3 + [503] * 3
        assert slow.most == 1


@pytest.mark.slow
def test_clients_that_leave_give_up_their_place() -> None:
    slow = Slow()
    with serve(make_app(slow, "slow", waiting=1)) as address, ThreadPoolExecutor() as threads:  # type: ignore[arg-type]
        first = threads.submit(post, address, "/v1/chat/completions", chat())
        wait_until(lambda: slow.at_once == 1)
        for _ in range(2):  # the second finds the place that the first has left
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{address}/v1/chat/completions", json=chat(), timeout=0.3)
            time.sleep(0.1)
        slow.free.set()
        assert first.result(20).status_code == 200
        assert post(address, "/v1/chat/completions", chat()).status_code == 200
        assert slow.answered == 2, "those that have left are not answered"


def test_nothing_is_begun_for_a_client_that_has_left_by_its_turn() -> None:
    async def has_left() -> bool:
        return True

    request, line, begun = SimpleNamespace(receive=anyio.sleep_forever, is_disconnected=has_left), Line(0), []
    with pytest.raises(HTTPException) as refused:
        anyio.run(line.run, request, lambda: begun.append(1))
    assert refused.value.status_code == 499
    assert not begun
    assert (line.here, line.limiter.value) == (0, 1), "the next one has its turn"


@pytest.mark.slow
def test_a_server_that_stops_drops_those_in_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow, servers = Slow(), []

    class Kept(uvicorn.Server):
        def run(self, sockets: Any = None) -> None:
            servers.append(self)
            super().run(sockets)

    monkeypatch.setattr(uvicorn, "Server", Kept)
    monkeypatch.setattr(CalibratedModel, "from_pretrained", lambda *given, **named: slow)
    monkeypatch.setattr(command, "GRACE", 0.1)
    with ThreadPoolExecutor() as threads:
        ended = threads.submit(command.serve, str(tmp_path), "127.0.0.1", 0, 2, None)
        wait_until(lambda: servers and servers[0].started)
        address = re.search(r"http://\S+", capsys.readouterr().out).group()
        begun = threads.submit(post, address, "/v1/chat/completions", chat())
        wait_until(lambda: slow.at_once == 1)
        in_line = threads.submit(post, address, "/v1/chat/completions", chat())
        wait_until(lambda: len(servers[0].server_state.tasks) == 2)
        servers[0].should_exit = True
        replies = [asked.result(10) for asked in (begun, in_line)]
        assert [reply.status_code for reply in replies] == [503] * 2
        assert replies[0].json()["error"]["message"] == "the server is stopping"
        slow.free.set()
        ended.result(20)
        assert slow.answered <= 1, "what stands in line is not answered before the server ends"
    assert "Traceback" not in capsys.readouterr().err


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
        assert page.get_by_role("alert").inner_text().startswith("No reply from the server.")
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
        assert httpx.get(f"{address}/about").json()["has_picture"]
        drawn = tiny_run / "evaluation/plots/reliability_after.png"
        assert httpx.get(f"{address}/reliability.png").content == drawn.read_bytes()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130, -signal.SIGINT)


@pytest.mark.parametrize("place", ["checkpoint/plots", "evaluation/plots"])
def test_the_diagram_is_that_of_the_checkpoint(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As published, and as in a run."""
    checkpoint, diagram = tmp_path / "checkpoint", tmp_path / place / "reliability_after.png"
    checkpoint.mkdir()
    diagram.parent.mkdir(parents=True)
    diagram.touch()
    assert command.reliability_diagram(checkpoint) is None, "of an earlier checkpoint"
    (checkpoint / "thresholds.json").touch()
    assert command.reliability_diagram(checkpoint).samefile(diagram)
    monkeypatch.chdir(checkpoint)
    assert command.reliability_diagram(Path()).samefile(diagram)
    diagram.unlink()
    assert command.reliability_diagram(checkpoint) is None


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
