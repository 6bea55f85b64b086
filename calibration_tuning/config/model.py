"""The model: where it comes from, and how it is loaded and asked."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import PositiveInt, SerializerFunctionWrapHandler, field_validator, model_serializer

from calibration_tuning.config.settings import Fraction, HubOrPath, Settings

NOT_INPUTS = {"minimal_answer_mass", "revision"}
"""Settings of a model that results are not known by: one changes what is refused only, and the other is known by the
commit or the files that it led to (`lm/identity.py`)."""


class ModelSettings(Settings):
    path: HubOrPath
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
    """Minimum probability that the untuned model must give to the two answers of the uncertainty query together. Below
    it, the model is probably not answering at that position. 0 accepts any."""
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
