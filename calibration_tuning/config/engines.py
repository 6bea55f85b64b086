"""The engines that make a model answer, and the judge that grades answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    field_validator,
)

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.settings import Fraction, LocalPath, Settings

MAX_BATCH_TOKENS = 16_384


class TransformersEngine(Settings):
    """The model in this process; under `accelerate launch`, one copy per process."""

    kind: Literal["transformers"] = "transformers"
    batch_size: PositiveInt = 64
    """Sequences per forward pass, at most."""
    max_batch_tokens: PositiveInt = MAX_BATCH_TOKENS
    """Tokens per forward pass, at most: few-shot block, question and answer of every sequence, padding counted in."""


class VllmEngine(Settings):
    """vLLM in this process (environment of `make vllm`); several processes share the questions."""

    kind: Literal["vllm"] = "vllm"
    tensor_parallel_size: PositiveInt = 1
    """GPUs that hold one copy of the model together."""
    gpu_memory_utilization: Fraction = 0.9
    """Share of a GPU's memory that vLLM may take."""


class OpenAIEngine(Settings):
    """Any endpoint that speaks the OpenAI protocol, such as `vllm serve` (extra `openai`)."""

    kind: Literal["openai"] = "openai"
    base_url: str
    """Address of the endpoint, such as `http://localhost:8000/v1`."""
    served_model: str | None = None
    """Name of the model at the endpoint; by default `model.path`."""
    concurrency: PositiveInt = 32
    """Requests at a time, at most."""
    timeout: PositiveFloat = 120
    """Seconds after which a request is cancelled and retried."""
    max_retries: NonNegativeInt = 6
    """Retries after the first attempt, with exponential backoff, for timeouts, 408, 409, 429 and 5xx."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; the key itself is never written anywhere."""

    @field_validator("base_url")
    @classmethod
    def _no_secrets(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL such as http://localhost:8000/v1")
        if parts.password or parts.username or parts.query:
            raise ValueError("holds a password or a query, which would end up in files; use the api_key_env variable")
        return value


class RecordedEngine(Settings):
    """Answers made elsewhere, read from a file with one `{"id", "answer"}` (and `token_logprobs`) a line."""

    kind: Literal["recorded"] = "recorded"
    path: LocalPath
    """The file with the answers."""


def _section(value: Any) -> Any:
    if not isinstance(value, dict | BaseModel):
        raise ValueError("must be a section such as {kind: vllm}")
    return value


def _kind(value: Any) -> str:
    return str(value.get("kind", "transformers") if isinstance(value, dict) else value.kind)


EngineSettings = Annotated[
    Annotated[TransformersEngine, Tag("transformers")]
    | Annotated[VllmEngine, Tag("vllm")]
    | Annotated[OpenAIEngine, Tag("openai")]
    | Annotated[RecordedEngine, Tag("recorded")],
    Discriminator(_kind),
    BeforeValidator(_section),
]
# What changes the speed of an engine but not its answers.
SPEED_ONLY = {
    "batch_size",
    "max_batch_tokens",
    "concurrency",
    "timeout",
    "max_retries",
    "api_key_env",
    "gpu_memory_utilization",
}


class JudgeSettings(Settings):
    """A language model that grades answers; its verdicts are kept in the user's cache."""

    model: ModelSettings
    engine: EngineSettings = TransformersEngine()
    prompt: LocalPath | None = None
    """Text file with `{question}`, `{references}` and `{answer}`, asking for yes or no; there is one by default."""
    max_new_tokens: PositiveInt = 8
    """Longest verdict in tokens."""
