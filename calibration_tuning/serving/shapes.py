"""What requests may hold, and what replies do: OpenAI's chat completions with confidences."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from starlette.responses import JSONResponse

from calibration_tuning.calibrated_model import CalibratedAnswer
from calibration_tuning.claims import JudgedClaims
from calibration_tuning.conversation import Asked, Conversation
from calibration_tuning.errors import UserError
from calibration_tuning.question_rows import LONGEST, Text

MOST = 64
"""Answers that one request may have judged."""


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """Answers are greedy, and at most as long as in curation, as confidences are of such answers: `temperature` and its
    like are taken and have no effect, as with other servers that lack them. A parameter that asks for another answer,
    or for more than an answer, is refused. A parameter that is null counts as not given, as clients send it so."""

    model_config = ConfigDict(extra="ignore")

    model: str = ""
    """Any name, as there is one model; the reply has its name."""
    messages: list[Any]
    """A conversation, as `Conversation.of` reads it."""
    choices: Annotated[list[Text], Field(min_length=2, max_length=MOST)] | None = None
    """Answers to choose from; not of OpenAI's protocol (`extra_body` of their client)."""
    context: Text | None = None
    """A passage to read, shown above the question; not of OpenAI's protocol either."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] = 1
    tool_choice: Any = "auto"
    """Tools that may be used are not; tools that must be used are refused."""
    function_call: Any = "auto"
    """The older name of `tool_choice`."""
    response_format: Any = "text"
    modalities: list[Literal["text"]] = ["text"]
    audio: Any = None
    logit_bias: Any = None
    logprobs: Any = None
    moderation: Any = None
    stop: Any = None
    top_logprobs: Any = None
    web_search_options: Any = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, body: Any) -> Any:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body

    @field_validator("audio", "logit_bias", "logprobs", "moderation", "stop", "top_logprobs", "web_search_options")
    @classmethod
    def _is_not_asked_for(cls, value: Any, info: ValidationInfo) -> Any:
        # Empty options ask for a search too; anything else that is empty or false asks for nothing.
        if value or info.field_name == "web_search_options":
            raise ValueError("this server does not support it; leave it out")
        return value

    @field_validator("tool_choice", "function_call", "response_format")
    @classmethod
    def _promises_nothing_else_than_text(cls, value: Any, info: ValidationInfo) -> Any:
        kind = value.get("type", value.get("name")) if isinstance(value, dict) else value
        if kind not in ("auto", "none", "text"):
            raise ValueError(f"{kind}: answers are plain text; leave {info.field_name} out")
        return value

    @field_validator("choices")
    @classmethod
    def _not_longer_together(cls, value: list[str] | None) -> list[str] | None:
        if sum(map(len, value or ())) > LONGEST:
            raise ValueError(f"may have {LONGEST:,} characters together")
        return value

    @cached_property
    def conversation(self) -> Conversation:
        return conversation(self.messages)

    @property
    def max_new_tokens(self) -> int | None:
        """The smaller of `max_tokens` and of the newer name for it."""
        return min(filter(None, (self.max_tokens, self.max_completion_tokens)), default=None)

    @property
    def wants_usage(self) -> bool:
        """True if the stream is to end with a chunk that counts tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)


def conversation(messages: list[Any]) -> Conversation:
    """Raises `UserError` for messages that are no conversation, or too long."""
    asked = Conversation.of(messages)
    texts = [asked.question, asked.system or "", *(text for d in asked.earlier for text in (d.question, d.answer))]
    if max(map(len, texts)) > LONGEST:
        raise UserError(f"messages: a turn may have {LONGEST:,} characters")
    return asked


class Pair(BaseModel):
    """An answer to judge, and the question or the conversation that it answers."""

    model_config = ConfigDict(extra="forbid")

    question: Text | None = None
    messages: list[Any] | None = None
    answer: Annotated[str, Field(max_length=LONGEST)]
    context: Text | None = None

    @model_validator(mode="after")
    def _question_or_messages(self) -> Self:
        if (self.question is None) == (self.messages is None):
            raise ValueError("question: give either a question or messages")
        return self

    @property
    def asked(self) -> Asked:
        return self.question if self.messages is None else conversation(self.messages)  # type: ignore[return-value]


Pairs = Annotated[
    Annotated[Pair, Tag("pair")] | Annotated[list[Pair], Field(min_length=1, max_length=MOST), Tag("pairs")],
    Discriminator(lambda body: "pairs" if isinstance(body, list) else "pair"),
]


def judgement(answer: CalibratedAnswer) -> dict[str, Any]:
    return {"confidence": answer.confidence, "trusted": answer.trusted, "familiar": answer.familiar}


def claims(judged: JudgedClaims) -> dict[str, Any]:
    together = {"confidence": judged.confidence, "product": judged.product, "mean": judged.mean}
    return {"claims": [asdict(claim) for claim in judged.claims], **together}


def completion(model: str, answer: CalibratedAnswer, usage: dict[str, int]) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text}
    return _envelope(model, "chat.completion") | {
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(answer), **judgement(answer)}],
        "usage": usage,
    }


def chunks(model: str, answer: CalibratedAnswer, usage: dict[str, int] | None = None) -> list[dict[str, Any]]:
    """The chunks of `stream`: the answer in one piece, because its confidence is known only when it is complete. With
    `usage`, the last chunk holds it and no choice, and the others say that they hold none."""
    head = _envelope(model, "chat.completion.chunk") | ({} if usage is None else {"usage": None})
    delta = {"role": "assistant", "content": answer.text}
    parts: list[dict[str, Any]] = [
        head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        head | {"choices": [{"index": 0, "delta": {}, "finish_reason": _finish(answer), **judgement(answer)}]},
    ]
    return parts if usage is None else [*parts, head | {"choices": [], "usage": usage}]


def _finish(answer: CalibratedAnswer) -> str:
    return "length" if answer.is_cut else "stop"


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def problem(
    message: str, status: int, parameter: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error as OpenAI's clients read it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    content = {"error": {"message": message, "type": kind, "param": parameter, "code": None}}
    return JSONResponse(content, status, headers)
