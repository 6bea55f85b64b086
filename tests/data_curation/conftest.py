"""A real HTTP server on loopback that speaks the OpenAI protocol, answers with the tiny model, and fails on demand."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Reply:
    """What the server sends instead of an answer."""

    status: int = 200
    body: bytes = b"{}"
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Promise more bytes than are sent, then close."""
    hang: bool = False
    """Say nothing until the test is over."""


@dataclass(frozen=True)
class Seen:
    path: str
    body: dict[str, Any]
    authorization: str | None
    attempt: int
    """Which time this very body came, from 0."""

    @property
    def prompt(self) -> str:
        return self.body["prompt"] if "prompt" in self.body else self.body["messages"][-1]["content"]

    @property
    def question(self) -> str:
        return self.prompt.rpartition("Question: ")[2].partition("\n")[0]


class Endpoint:
    reply = Reply

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.script: Callable[[Seen], Reply | None] = lambda seen: None
        """Called for every request; None answers it with the model."""
        self.change: Callable[[dict[str, Any]], dict[str, Any]] = lambda reply: reply
        """Changes an honest reply before it is sent."""
        self.scoring: set[str] = {"echo", "prompt_logprobs"}
        """Ways in which it gives the log-probabilities of a prompt; it ignores the others."""
        self.wait_for: int | None = None
        """Hold every request back until so many are there at once."""
        self.seen: list[Seen] = []
        self.most_at_once = 0
        self._at_once = 0
        self._arrived = threading.Condition()
        self._attempts: Counter[str] = Counter()
        # One thread for the model: in each new one, torch would start threads of its own.
        self._model_thread = ThreadPoolExecutor(1)
        self._over = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint._handle(self, json.loads(body))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that gave up

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def questions(self) -> list[str]:
        return [seen.question for seen in self.seen]

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        key = json.dumps(body, sort_keys=True)
        with self._arrived:
            seen = Seen(handler.path, body, handler.headers.get("Authorization"), self._attempts[key])
            self._attempts[key] += 1
            self.seen.append(seen)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._arrived.notify_all()
            if self.wait_for is not None:
                self._arrived.wait_for(lambda: self.most_at_once >= (self.wait_for or 0), timeout=5)
        reply = self.script(seen)
        if reply is None:
            honest = self._chat if handler.path == "/v1/chat/completions" else self._text
            reply = Reply(body=json.dumps(self.change(self._model_thread.submit(honest, body).result())).encode())
        with self._arrived:
            self._at_once -= 1
        if reply.hang:
            self._over.wait(10)
            return
        handler.send_response(reply.status)
        for name, value in {"Content-Type": reply.kind, **reply.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body) + 100 * reply.cut))
        handler.end_headers()
        handler.wfile.write(reply.body)

    def _text(self, body: dict[str, Any]) -> dict[str, Any]:
        is_text = isinstance(body["prompt"], str)
        ids = self.tokenizer(body["prompt"]).input_ids if is_text else body["prompt"]
        text, tokens, logprobs = self._complete(ids, body, body["max_tokens"])
        if body.get("echo") and "echo" in self.scoring:
            tokens = [self.tokenizer.decode([token]) for token in ids] + tokens
            logprobs = [None, *self._read(ids), *logprobs]  # type: ignore[list-item]
        offered = {"tokens": tokens, "token_logprobs": logprobs, "top_logprobs": None, "text_offset": None}
        given = offered if body.get("logprobs") else None
        choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": given}
        if "prompt_logprobs" in body and "prompt_logprobs" in self.scoring:
            choice["prompt_logprobs"] = [None] + [
                {str(token): {"logprob": value, "rank": 1, "decoded_token": self.tokenizer.decode([token])}}
                for token, value in zip(ids[1:], self._read(ids), strict=True)
            ]
        return {"id": "1", "object": "text_completion", "created": 0, "model": body["model"], "choices": [choice]}

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        text = self.tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        text, tokens, logprobs = self._complete(ids, body, body.get("max_completion_tokens") or body["max_tokens"])
        content: list[dict[str, Any]] = [
            {"token": token, "logprob": value, "bytes": None, "top_logprobs": []}
            for token, value in zip(tokens, logprobs, strict=True)
        ]
        message = {"role": "assistant", "content": text}
        offered = {"content": content} if body.get("logprobs") else None
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": offered}
        return {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}

    def _read(self, ids: list[int]) -> list[float]:
        """Log-probability of each token but the first."""
        import torch

        with torch.no_grad():
            logprobs = self.model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
        return [logprobs[i, token].item() for i, token in enumerate(ids[1:])]

    def _complete(self, prompt: list[int], body: dict[str, Any], limit: int) -> tuple[str, list[str], list[float]]:
        """Text, tokens and their log-probabilities, one token at a time over the whole sequence."""
        import torch

        random = np.random.default_rng(body.get("seed"))
        ids: list[int] = []
        values: list[float] = []
        text = ""
        while len(ids) < limit:
            with torch.no_grad():
                logits = self.model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, -1].double()
            token = int(logits.argmax())
            if body["temperature"]:
                p = (logits / body["temperature"]).softmax(-1).numpy()
                token = int(random.choice(len(p), p=p / p.sum()))
            if token == self.tokenizer.eos_token_id:
                break
            ids.append(token)
            values.append(logits.log_softmax(-1)[token].item())
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
            if ends := [text.index(stop) for stop in body.get("stop", []) if stop in text]:
                text = text[: min(ends)]
                break
        return text, [self.tokenizer.decode([token]) for token in ids], values


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For models so small that torch's threads only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def endpoint(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    for name in ("INITIAL_RETRY_DELAY", "MAX_RETRY_DELAY"):
        monkeypatch.setattr(f"openai._base_client.{name}", 0.01)
    endpoint = Endpoint(*tiny)
    yield endpoint
    endpoint.close()


@pytest.fixture
def words(tiny: Any) -> Callable[[str], None]:
    """Lets the tiny model say only whole words: answers that a tokenizer splits just as the model wrote them."""
    import torch

    model, tokenizer = tiny
    vocabulary = [tokenizer.decode([i]) for i in range(len(tokenizer))]

    def only(space: str) -> None:
        """Words that begin with `space`, the end of text and, in text, line breaks."""
        ends = {tokenizer.eos_token_id, *(tokenizer.encode("\n") if space else [])}
        kept = [
            (piece.startswith(space) and piece[len(space) :].isalpha() and len(piece) > 2) or i in ends
            for i, piece in enumerate(vocabulary)
        ]
        assert sum(kept) > 5
        mask = ~torch.tensor(kept)
        model.lm_head.register_forward_hook(lambda module, inputs, logits: logits.masked_fill(mask, -1e9))

    return only


@pytest.fixture
def chain(tiny: Any) -> Callable[..., None]:
    """Makes the tiny model say given pieces one after the other, each following from the one before."""
    import torch

    model, tokenizer = tiny

    def follow(*pieces: str) -> None:
        ids = [tokenizer.encode(piece, add_special_tokens=False) for piece in pieces]
        assert all(len(piece) == 1 for piece in ids)
        bonus = torch.zeros(len(tokenizer), len(tokenizer))
        for (before,), (after,) in pairwise(ids):
            bonus[before, after] = 100.0

        def add(module: Any, args: Any, kwargs: Any, output: Any) -> Any:
            output.logits = output.logits + bonus[kwargs["input_ids"][:, -output.logits.shape[1] :]]
            return output

        model.register_forward_hook(add, with_kwargs=True)

    return follow
