"""What a reply of an OpenAI-compatible endpoint means: an answer, or in words why there is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from calibration_tuning.grading.traces import trace_of, without_trace

WORDS = ("error", "message", "detail", "msg", "errors", "reason")
"""Where servers put what they have to say: OpenAI and vLLM, TGI, FastAPI, others."""
ASIDE = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message that hold a model's reasoning: vLLM, DeepSeek and SGLang; newer vLLM and OpenRouter; Ollama."""
REFUSED = (400, 413, 422)
"""Statuses that say something is wrong with one request."""


class NoAnswer(Exception):
    """A reply without an answer. `lasting`: the same request would fail again."""

    def __init__(self, reason: str, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


@dataclass(frozen=True)
class Written:
    """A written answer, the reasoning before it set aside."""

    text: str
    tokens: list[str] = field(default_factory=list)
    """Of the reply, with the reasoning's where the server counts these in."""
    logprobs: list[float] = field(default_factory=list)
    """Natural log-probability of each token; empty unless there is a number for every one."""
    trace: str | None = None
    """The reasoning; None for a reply without one. Empty where the server keeps it to itself."""


def server_words(body: Any) -> str:
    """The message in a server's error body, in one line; the whole body if it has no message."""
    return " ".join(_words(body, depth=0).split())


def _words(body: Any, depth: int) -> str:
    if isinstance(body, str):
        return re.sub(r"<[^>]*>", " ", body)
    if depth > len(WORDS):
        return "..."
    if isinstance(body, list):
        return "; ".join(_words(item, depth + 1) for item in body)
    if not isinstance(body, dict):
        return json.dumps(body)
    name = next((name for name in WORDS if body.get(name)), None)
    if name is None:
        return json.dumps(body, ensure_ascii=False)
    place = body.get("loc")  # FastAPI: which field a complaint is about
    where = f"{'.'.join(map(str, place))}: " if isinstance(place, list) else ""
    return where + _words(body[name], depth + 1)


def first_choice(body: Any) -> dict[str, Any]:
    """The reply's only choice. Raises `NoAnswer` for an error in place of it, and for a reply of another protocol."""
    if isinstance(body, dict):
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        problem = body.get("error") or (isinstance(choice, dict) and choice.get("error"))
        if problem:
            code = problem.get("code") if isinstance(problem, dict) else None
            raise NoAnswer(f"the endpoint replies with an error ({server_words(problem)})", lasting=code in REFUSED)
        if isinstance(choice, dict):
            return choice
    raise _foreign(body)


def _foreign(body: Any) -> NoAnswer:
    return NoAnswer(f"the endpoint's reply is not of its protocol ({server_words(body) or 'empty'})", lasting=False)


def written_answer(body: Any) -> Written:
    """The answer in a reply of `/completions` or `/chat/completions`.

    Raises `NoAnswer` for an error, a refusal, a tool call, an answer that a content filter cut, an answer that is empty
    because the tokens ran out, reasoning without an answer, and parts that are not text.
    """
    choice = first_choice(body)
    message = choice.get("message", choice)
    if not isinstance(message, dict):
        raise _foreign(body)
    _check_is_answer(choice, message)
    content = message.get("content") if "message" in choice else choice.get("text")
    text, other_parts = _text_of(content)
    aside = [message[name] for name in ASIDE if message.get(name)]
    trace = str(aside[0]) if aside else "" if {*ASIDE} & other_parts else None
    if text is not None and "message" in choice:
        trace = trace or trace_of(text)
        text = without_trace(text)
    if not (text or "").strip() and choice.get("finish_reason") == "length":
        cause = "all tokens went into reasoning" if trace is not None else "the tokens ran out before it"
        raise NoAnswer(f"the answer is empty ({cause}: finish_reason length); raise max_new_tokens", lasting=True)
    if trace is not None and not (text or "").strip():
        raise NoAnswer("the model reasons, but gives no answer", lasting=True)
    if text is None:
        if other_parts:
            raise NoAnswer(
                f"the reply has parts of the type {', '.join(sorted(other_parts))} and no text", lasting=True
            )
        raise _foreign(body)
    tokens, logprobs = _token_logprobs(choice.get("logprobs"))
    return Written(text, tokens, logprobs, trace)


def _check_is_answer(choice: dict[str, Any], message: dict[str, Any]) -> None:
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    refusal = message.get("refusal") or next((part["refusal"] for part in parts if part.get("refusal")), None)
    if refusal:
        raise NoAnswer(f"the model refuses ({server_words(refusal)})", lasting=True)
    calls = message.get("tool_calls") or message.get("function_call")
    if calls:
        call = calls[0] if isinstance(calls, list) else calls
        function = call.get("function", call) if isinstance(call, dict) else {}
        raise NoAnswer(
            f"the model calls the tool {server_words(function.get('name'))} instead of answering", lasting=True
        )
    if choice.get("finish_reason") == "content_filter":
        raise NoAnswer("the endpoint's content filter cut the answer (finish_reason content_filter)", lasting=True)


def _text_of(content: Any) -> tuple[str | None, set[str]]:
    """The text of a message's content, None without any; and the types of its parts that are no text."""
    if content is None or isinstance(content, str):
        return content, set()
    if not isinstance(content, list) or not all(isinstance(part, str | dict) for part in content):
        raise _foreign(content)
    texts: list[str] = []
    other_kinds: set[str] = set()
    for part in content:
        text = part if isinstance(part, str) else part.get("text")
        kind = "text" if isinstance(part, str) else str(part.get("type"))
        if kind in ("text", "output_text") and isinstance(text, str):
            texts.append(text)
        else:
            other_kinds.add(kind)
    return "".join(texts) if texts else None, other_kinds


def _token_logprobs(given: Any) -> tuple[list[str], list[float]]:
    """Tokens and their log-probabilities; neither where the server gives none, or not a number for each token."""
    tokens: Any
    values: Any
    if not isinstance(given, dict):
        return [], []
    if isinstance(given.get("content"), list):
        pairs = [pair if isinstance(pair, dict) else {} for pair in given["content"]]
        tokens, values = [pair.get("token") for pair in pairs], [pair.get("logprob") for pair in pairs]
    else:
        tokens, values = given.get("tokens"), given.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return [], []
    if not all(isinstance(token, str) for token in tokens) or not all(map(_is_number, values)):
        return [], []
    return tokens, [float(value) for value in values]


def prompt_logprobs(body: Any, prompt: Sequence[int], count: int) -> tuple[list[float], str] | None:
    """Natural log-probabilities of the last `count` of the prompt's token ids, and the text the server shows for them.

    From vLLM's `prompt_logprobs` (for every position a table from token id to log-probability), or from the
    prompt echoed before at most one generated token. None where the reply has neither.
    """
    choice = first_choice(body)
    values: list[Any] = []
    shown: list[Any] = []
    steps = choice.get("prompt_logprobs")
    given = choice.get("logprobs")
    if isinstance(steps, list) and len(steps) == len(prompt):
        last = zip(steps[-count:], prompt[-count:], strict=True)
        entries = [step.get(str(token)) if isinstance(step, dict) else None for step, token in last]
        values = [entry.get("logprob") if isinstance(entry, dict) else None for entry in entries]
        shown = [entry.get("decoded_token") if isinstance(entry, dict) else None for entry in entries]
    elif isinstance(given, dict) and len(given.get("token_logprobs") or ()) in (len(prompt), len(prompt) + 1):
        part = slice(len(prompt) - count, len(prompt))
        values, shown = list(given["token_logprobs"])[part], list(given.get("tokens") or ())[part]
    if len(values) != count or not all(map(_is_number, values)):
        return None
    return [float(value) for value in values], "".join(map(str, shown)) if all(shown) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
