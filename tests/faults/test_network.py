"""Hub, tracker and endpoint out of reach or answering nonsense: one sentence, what was finished is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.conftest import STAGES
from tests.faults.test_disk import one_sentence

if TYPE_CHECKING:
    from tests.faults.conftest import Outcomes, Stages

pytestmark = pytest.mark.slow
NOBODY = "http://127.0.0.1:9"
GOOD = {"id": "x", "object": "text_completion", "created": 0, "model": "tiny"}
KEY = "sk-0123456789abcdef"


def good(handler: BaseHTTPRequestHandler) -> None:
    """A right answer, or a wrong one, by the question's last digit."""
    body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
    numbers = [int(word) for word in body["prompt"].rpartition("Question: ")[2].split("?")[0].split() if word.isdigit()]
    text = f" {sum(numbers) + numbers[-1] % 2}"
    logprobs = {"tokens": [text], "token_logprobs": [-0.5], "top_logprobs": None, "text_offset": None}
    choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": logprobs}
    send(handler, 200, json.dumps(GOOD | {"choices": [choice]}).encode())


def send(handler: BaseHTTPRequestHandler, status: int, content: bytes, missing: int = 0) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content) + missing))
    handler.end_headers()
    handler.wfile.write(content)


BAD: dict[str, Callable[[BaseHTTPRequestHandler], Any]] = {
    "429 for ever": lambda handler: send(handler, 429, b'{"error": {"message": "slow down"}}'),
    "500 for ever": lambda handler: send(handler, 500, b"oh no"),
    "garbage": lambda handler: send(handler, 200, b"<html>not what you think</html>"),
    "half a body": lambda handler: send(handler, 200, b'{"id": "x", "choi', missing=100),
    "no reply": lambda handler: handler.server.over.wait(30),  # type: ignore[attr-defined]
}


class Endpoint(ThreadingHTTPServer):
    daemon_threads = True
    answers_before = 20
    """Right replies before it turns bad."""

    def __init__(self) -> None:
        endpoint = self
        self.over = threading.Event()
        self.reply: Callable[[BaseHTTPRequestHandler], Any] = good
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.asked += 1
                (good if endpoint.asked <= endpoint.answers_before else endpoint.reply)(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that gave up


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint()
    yield found
    found.over.set()
    found.shutdown()
    found.server_close()


@pytest.mark.parametrize("fault", BAD)
def test_endpoint(stages: Stages, outcomes: Outcomes, endpoint: Endpoint, fault: str) -> None:
    stages.restore("before-data_curation")
    engine = {
        "kind": "openai",
        "base_url": f"http://127.0.0.1:{endpoint.server_address[1]}/v1",
        "concurrency": 2,
        "timeout": 1,
        "max_retries": 1,
    }
    settings = [f"curation.engine={json.dumps(engine)}", "curation.samples=0"]
    endpoint.reply = BAD[fault]
    code = stages.run("data_curation", *settings, environment={"OPENAI_API_KEY": KEY})
    assert code == 1, f"{code}: {stages.said}"
    one_sentence(stages)
    assert KEY not in stages.said
    kept = sum(path.read_bytes().count(b"\n") for path in stages.run_dir.glob(".curation-*/answers/*.jsonl"))
    assert kept == endpoint.answers_before
    endpoint.reply, before = good, endpoint.asked
    assert stages.run("data_curation", *settings, environment={"OPENAI_API_KEY": KEY}) == 0, stages.said
    counts = json.loads((stages.run_dir / "curation/manifest.json").read_text())["counts"]["sums"]
    assert endpoint.answers_before + endpoint.asked - before == counts["asked"]
    outcomes.add(
        f"endpoint: {fault}, after {kept} answers", "data_curation", "one sentence; went on and asked none twice"
    )


@pytest.mark.parametrize("stage", STAGES)
def test_tracker(stages: Stages, outcomes: Outcomes, stage: str) -> None:
    """W&B that nobody reaches costs a warning, and is written on disk."""
    stages.restore(f"before-{stage}")
    environment = {"WANDB_BASE_URL": NOBODY, "WANDB_API_KEY": "5ec2e7" * 6 + "5ec2", "WANDB_INIT_TIMEOUT": "2"}
    settings = ["tracking.to=wandb", "tracking.wandb=online"]
    assert stages.run(stage, *settings, environment=environment) == 0, stages.said
    (warning,) = [line for line in stages.said.splitlines() if line.startswith("warning: ")]
    assert "W&B is not reachable" in warning
    assert "Traceback" not in stages.said
    assert environment["WANDB_API_KEY"] not in stages.said
    assert list(stages.run_dir.glob("wandb/offline-run-*/*.wandb"))
    assert stages.digests(stage) == stages.expected[stage]
    outcomes.add("W&B out of reach", stage, "a warning, tracked on disk; the same bytes")


def test_hub(stages: Stages, outcomes: Outcomes) -> None:
    """A process of its own: the client reads its endpoint, and whether it is offline, when it is imported."""
    stages.restore("before-data_curation")
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    result = subprocess.run(
        [sys.executable, "-m", "data_curation", str(stages.config), "model.path=nobody/nothing"],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"HF_ENDPOINT": NOBODY},
    )
    assert result.returncode in (1, 2), result.stderr
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "nobody/nothing" in error
    assert NOBODY in error, "it was asked"
    assert "Traceback" not in result.stderr
    outcomes.add("hub out of reach", "data_curation", "one sentence that names the model")
