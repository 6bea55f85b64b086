"""Requests to an OpenAI-compatible endpoint: neutral sampling, log-probabilities of given texts, what a server says."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from calibration_tuning.errors import RunError
from calibration_tuning.lm.chat_template import SWITCHES, ChatTemplate
from calibration_tuning.lm.prompts import PromptFormat
from data_curation.engines.endpoint_replies import REFUSED, NoAnswer, prompt_logprobs, server_words

NEUTRAL: dict[str, Any] = {
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}
"""Sampling from the model's own probabilities. Servers apply a generation_config's settings unless they are told so."""
FOREIGN = ("top_k", "min_p", "repetition_penalty", "chat_template_kwargs")
"""Parameters that are not of OpenAI's protocol; vLLM and SGLang know them."""
OLDER = {"max_completion_tokens": "max_tokens"}
"""What servers that do not know a parameter called it before."""
SCORING: dict[str, dict[str, Any]] = {
    "echo": {"echo": True, "logprobs": 1},
    "prompt_logprobs": {"prompt_logprobs": 0},
}
"""Ways to ask for the log-probabilities of a prompt: OpenAI's first protocol (vLLM, SGLang, Together); vLLM's own."""
LONGEST_SHOWN = 300
"""Characters of a server's words that are repeated."""
_UNKNOWN = re.compile(
    r"unrecogni[sz]ed|unknown|unexpected|not permitted|(extra|additional|unsupported) "
    r"(argument|field|input|parameter|propert)",
    re.IGNORECASE,
)


class Endpoint:
    """A server, and what has been learnt about it: which parameters it does not take, how it scores a prompt."""

    def __init__(self, client: Any, name: str, key: str, prompt_format: PromptFormat) -> None:
        self.name = name
        """Setting, address and model, for messages."""
        self._client = client
        self._key = key
        self._tokenizer = prompt_format.tokenizer
        self._neutral = dict(NEUTRAL)
        self._untaken: set[str] = set()
        """Parameters that the server does not take."""
        if prompt_format.style == "chat" and ChatTemplate(prompt_format.tokenizer).can_think:
            # The server renders the template; it must switch reasoning as the other engines do.
            switch = prompt_format.thinking == "on"
            self._neutral["chat_template_kwargs"] = dict.fromkeys(SWITCHES, switch)
        self._scoring: str | None = None

    async def post(self, path: str, body: dict[str, Any], optional: dict[str, Any] | None = None) -> Any:
        """The reply as parsed JSON. Neutral sampling parameters and those of `optional` are left out, with a warning,
        if the server rejects them. A parameter of `OLDER` that it rejects is sent under its older name.

        Raises `NoAnswer` for a reply that is not JSON, and the client library's errors.
        """
        from openai import APIStatusError

        optional = {**self._neutral, **(optional or {})}
        untaken = set(self._untaken)
        rejected = ""
        while True:
            accepted = {name: value for name, value in optional.items() if name not in untaken}
            needed = {OLDER[name] if name in OLDER and name in untaken else name: body[name] for name in body}
            try:
                content = await self._client.post(path, cast_to=bytes, body={**needed, **accepted})
            except APIStatusError as error:
                names = _blamed(error, [*accepted, *(name for name in needed if name in OLDER)])
                if not names:
                    raise
                untaken |= {*names}
                rejected = rejected or self.message_of(error)
                continue
            self._learn(untaken - self._untaken, rejected)
            try:
                return writable(json.loads(content))
            except (ValueError, RecursionError):
                excerpt = server_words(content.decode(errors="replace")) or "empty"
                raise NoAnswer(f"the endpoint's reply is not of its protocol ({excerpt})", lasting=False) from None

    def _learn(self, untaken: set[str], reason: str) -> None:
        self._untaken |= untaken
        if names := sorted(untaken - OLDER.keys()):
            print(
                f"warning: {self.name} does not take {', '.join(names)} ({reason}); the server's defaults apply",
                file=sys.stderr,
            )

    async def continuation_logprobs(self, model: str, prompt: Sequence[int], tokens: Sequence[int]) -> list[float]:
        """Natural log-probability of each of `tokens` after `prompt` (ids of our tokenizer).

        Raises `RunError` where the server offers none, or reads other tokens than ours.
        """
        from openai import APIStatusError

        ids = [*prompt, *tokens]
        refusals: list[APIStatusError] = []
        for method in [self._scoring] if self._scoring else SCORING:
            body = {"model": model, "prompt": ids, "max_tokens": 1, "temperature": 0.0, **SCORING[method]}
            try:
                reply = await self.post("/completions", body)
            except APIStatusError as error:
                if error.status_code not in REFUSED:
                    raise
                refusals.append(error)
                continue
            read = prompt_logprobs(reply, ids, len(tokens))
            if read is not None:
                self._scoring = method
                self._check_same_tokens(tokens, read[1])
                return read[0]
        # A prompt that is too long is refused either way, and says nothing about what the server offers.
        all_refused = len(refusals) == len(SCORING) and not any(re.search("echo|logprobs", _body(e)) for e in refusals)
        if refusals and (self._scoring or all_refused):
            raise refusals[0]
        reason = f" ({self.message_of(refusals[0])})" if refusals else ""
        raise RunError(
            f"{self.name} gives no log-probabilities of a prompt{reason}, which style cloze needs; use "
            "an endpoint that does (vllm serve), the engine transformers or vllm, or style choice"
        )

    def _check_same_tokens(self, tokens: Sequence[int], shown: str) -> None:
        ours, theirs = (text.strip() for text in (str(self._tokenizer.decode(list(tokens))), shown))
        is_plain = ours.isascii() and theirs.isascii() and not theirs.startswith("token_id:") and "<0x" not in theirs
        if theirs and is_plain and ours != theirs:
            raise RunError(
                f"{self.name} reads {theirs!r} where the tokenizer of model.path wrote {ours!r}; "
                "model.path must be the model that the endpoint serves"
            )

    def message_of(self, error: Any) -> str:
        """The server's message in an error, in the form of `excerpt`."""
        return self.excerpt(
            writable(server_words(error.body if error.body else error.response.text) or "without a word")
        )

    def excerpt(self, text: str) -> str:
        """The beginning of a text, with the API key masked. The key is masked before the text is cut, because a part of
        it would not be recognised."""
        return (text.replace(self._key, "***") if self._key else text)[:LONGEST_SHOWN]


def writable(value: Any) -> Any:
    """Parsed JSON whose texts can be written to a file. Half of a surrogate pair, which no file can hold, becomes a
    question mark."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [writable(part) for part in value]
    return {writable(key): writable(part) for key, part in value.items()} if isinstance(value, dict) else value


def _body(error: Any) -> str:
    return str(error.response.text)


def _blamed(error: Any, sent: Iterable[str]) -> list[str]:
    """Which of the parameters `sent` a server's refusal is about: those it names; if it complains of a parameter that
    it does not name, those that are not of OpenAI's protocol."""
    if error.status_code not in (*REFUSED, 403):  # 403: OpenAI, of log-probabilities that a model does not give
        return []
    text = _body(error)
    if named := [name for name in sent if re.search(rf"\b{name}\b", text, re.IGNORECASE)]:
        return named
    return [name for name in sent if name in FOREIGN] if _UNKNOWN.search(text) else []
