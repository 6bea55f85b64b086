"""What requests may hold, and what replies do: OpenAI's chat completions with confidences."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from calibration_tuning.calibrated_model import CalibratedAnswer
from calibration_tuning.claims import JudgedClaims
from calibration_tuning.question_rows import LONGEST, Text

MOST = 64
"""Answers that one request may have judged."""


class TextPart(BaseModel):
    type: Literal["text"]
    text: Text


class Message(BaseModel):
    role: str
    content: Text | Annotated[list[TextPart], Field(min_length=1)]

    @field_validator("content")
    @classmethod
    def _not_longer_in_parts(cls, value: str | list[TextPart]) -> str | list[TextPart]:
        if not isinstance(value, str) and sum(len(part.text) for part in value) > LONGEST:
            raise ValueError(f"the parts may have {LONGEST:,} characters together")
        return value

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """Answers are greedy, and at most as long as in curation, as confidences are of such answers: `temperature` and its
    like are taken and have no effect, as with other servers that lack them. A parameter that is null counts as not
    given, as clients send it so."""

    model_config = ConfigDict(extra="ignore")

    model: str = ""
    messages: Annotated[list[Message], Field(min_length=1)]
    choices: Annotated[list[Text], Field(min_length=2, max_length=MOST)] | None = None
    """Answers to choose from; not of OpenAI's protocol (`extra_body` of their client)."""
    context: Text | None = None
    """A passage to read, shown above the question; not of OpenAI's protocol either."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] = 1

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, body: Any) -> Any:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body

    @field_validator("messages", mode="before")
    @classmethod
    def _one_question(cls, value: Any) -> Any:
        roles = (
            [message.get("role") for message in value if isinstance(message, dict)] if isinstance(value, list) else []
        )
        if not roles or roles == ["user"]:
            return value
        if {"system", "developer"} & {*map(str, roles)}:
            raise ValueError("must be one user message, without a system message: checkpoints are tuned without one")
        raise ValueError("must be one user message, without earlier turns: checkpoints are tuned on single questions")

    @field_validator("choices")
    @classmethod
    def _not_longer_together(cls, value: list[str] | None) -> list[str] | None:
        if sum(map(len, value or ())) > LONGEST:
            raise ValueError(f"may have {LONGEST:,} characters together")
        return value

    @property
    def question(self) -> str:
        return self.messages[0].text

    @property
    def max_new_tokens(self) -> int | None:
        """The smaller of `max_tokens` and of the newer name for it."""
        return min(filter(None, (self.max_tokens, self.max_completion_tokens)), default=None)

    @property
    def wants_usage(self) -> bool:
        """True if the stream is to end with a chunk that counts tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)


class Pair(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: Text
    answer: Annotated[str, Field(max_length=LONGEST)]
    context: Text | None = None


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


def problem(message: str, kind: str, parameter: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": kind, "param": parameter, "code": None}}
