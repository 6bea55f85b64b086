"""A server in this process, a model that answers at once, and how both are asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import uvicorn

from calibration_tuning import CalibratedAnswer

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


def wait_until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def post(address: str, path: str, body: Any, token: str | None = TOKEN) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{address}{path}", json=body, headers=headers, timeout=60)


def chat(text: Any = "What is 1 plus 2?", **more: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], **more}


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
        self.at_once = self.most = self.answered = 0
        self.free = threading.Event()

    def answer_batch(self, questions: Any, choices: Any, contexts: Any, most: int | None) -> list[CalibratedAnswer]:
        self.asked = questions
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.free.wait(20)
        self.at_once -= 1
        self.answered += 1
        return [CalibratedAnswer(HOSTILE, 0.83, familiar=self.familiar, is_cut=self.is_cut, tokens=1)]
