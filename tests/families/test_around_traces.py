"""What stands around a trace of reasoning is the template's, whatever way it has to show one."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from calibration_tuning.lm.prompts import PromptFormat
from tests.families.tokenizers import SMALL, tokenizer_of

USER = "{% for m in messages %}{% if m['role'] == 'user' %}<|user|>{{ m['content'] }}{% else %}"
END = "<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}"
SPECIAL = ("<|user|>", "<|assistant|>", "<|end|>", "<|START_RESPONSE|>")
# A trace out of a content, or out of a field of its own.
PARSED = (
    "{% set said = m['content'] %}{% set thought = m['reasoning_content'] or '' %}{% if '</think>' in said %}"
    "{% set thought = said.split('</think>')[0].split('<think>')[-1].strip() %}"
    "{% set said = said.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
)
OFF = "{% if not enable_thinking %}"
# An answer without its trace, which the template drops.
ANSWER = "{{ m['content'].split('</think>')[-1] }}"


def template(assistant: str, prompt: str) -> str:
    return f"{USER}{assistant}{END}{prompt}{{% endif %}}"


# By family: the template, what stands between the question and the trace, between trace and answer, and, with thinking
# off, between question and answer.
SHOWN = {
    "GLM-4.5": (
        template(
            PARSED + "<|assistant|>{{ '\\n<think>' + thought + '</think>\\n' + said }}",
            f"<|assistant|>{OFF}{{{{ '\\n<think></think>' }}}}{{% endif %}}",
        ),
        ("<|assistant|>\n<think>", "</think>\n", "<|assistant|>\n<think></think>\n"),
    ),
    "Seed-OSS, by a field": (
        template(
            "<|assistant|>{% set thought = m['reasoning_content'] %}{% if thought %}"
            "{{ '\\n<seed:think>' + thought + '</seed:think>' }}{% endif %}{{ '\\n' + m['content'] }}",
            f"<|assistant|>{OFF}{{{{ '\\n<seed:think>\\n</seed:think>' }}}}{{% endif %}}",
        ),
        ("<|assistant|>\n<seed:think>", "</seed:think>\n", "<|assistant|>\n<seed:think>\n</seed:think>"),
    ),
    "DeepSeek-V3.1": (
        template(
            "<|assistant|></think>" + ANSWER,
            "<|assistant|>{{ '<think>' if thinking else '</think>' }}",
        ),
        ("<|assistant|><think>", "</think>", "<|assistant|></think>"),
    ),
    "DeepSeek-V3.1, with both tags": (
        template(
            "<|assistant|><think></think>" + ANSWER,
            "<|assistant|><think>{% if not thinking %}</think>{% endif %}",
        ),
        ("<|assistant|><think>", "</think>", "<|assistant|><think></think>"),
    ),
    "Kimi-K2, which opens no trace": (
        template("<|assistant|><think></think>{{ m['content'] }}", "<|assistant|>"),
        ("<|assistant|><think>", "</think>", "<|assistant|><think></think>"),
    ),
    "Hunyuan, by its prompt without thinking": (
        template(
            "<|assistant|>{{ m['content'] }}",
            f"<|assistant|>{OFF}{{{{ '<think>\\n\\n</think>\\n' }}}}{{% endif %}}",
        ),
        ("<|assistant|><think>\n", "\n</think>\n", "<|assistant|><think>\n\n</think>\n"),
    ),
    "Step-3.5, which always thinks": (
        template(
            PARSED + "{{ '<|assistant|>\\n<think>\\n' + thought + '\\n</think>\\n' + said }}",
            "{{ '<|assistant|>\\n<think>\\n' }}",
        ),
        ("<|assistant|>\n<think>\n", "\n</think>\n", "<|assistant|>\n<think>\n\n</think>\n"),
    ),
    "Qwen3": (
        template(
            PARSED
            + "{{ '<|assistant|>\\n' }}{% if loop.last %}{{ '<think>\\n' + thought + '\\n</think>\\n\\n' }}{% endif %}"
            "{{ said }}",
            f"{{{{ '<|assistant|>\\n' }}}}{OFF}{{{{ '<think>\\n\\n</think>\\n\\n' }}}}{{% endif %}}",
        ),
        ("<|assistant|>\n<think>\n", "\n</think>\n\n", "<|assistant|>\n<think>\n\n</think>\n\n"),
    ),
    "EXAONE 4, with an empty trace in every turn": (
        template(
            "<|assistant|>{{ '\\n<think>\\n\\n</think>\\n\\n' }}" + ANSWER,
            "{{ '<|assistant|>\\n<think>\\n' }}{% if not enable_thinking %}{{ '\\n</think>\\n\\n' }}{% endif %}",
        ),
        ("<|assistant|>\n<think>\n", "\n</think>\n\n", "<|assistant|>\n<think>\n\n</think>\n\n"),
    ),
    "Magistral, by parts": (
        template(
            "<|assistant|>{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}"
            "{{ p['text'] if p['type'] == 'text' else '[THINK]' + p['thinking'] + '[/THINK]' }}{% endfor %}{% endif %}",
            "<|assistant|>",
        ),
        ("<|assistant|>[THINK]", "[/THINK]", "<|assistant|>"),
    ),
    "Command A, with a tag before answers": (
        template(
            "<|assistant|><|START_RESPONSE|>{{ m['content'] }}",
            f"<|assistant|>{OFF}<|START_THINKING|><|END_THINKING|>{{% endif %}}",
        ),
        (
            "<|assistant|><|START_THINKING|>",
            "<|END_THINKING|><|START_RESPONSE|>",
            "<|assistant|><|START_THINKING|><|END_THINKING|><|START_RESPONSE|>",
        ),
    ),
    "R1, which shows none": (
        template("<|assistant|>" + ANSWER, "{{ '<|assistant|><think>\\n' }}"),
        ("<|assistant|><think>\n", "\n</think>\n\n", "<|assistant|><think>\n\n</think>\n\n"),
    ),
    "R1, which closes its own at once": (
        template(
            "<|assistant|>" + ANSWER,
            f"{{{{ '<|assistant|><think>\\n' }}}}{OFF}</think>{{% endif %}}",
        ),
        ("<|assistant|><think>\n", "\n</think>\n\n", "<|assistant|><think>\n</think>"),
    ),
    "ChatML, which knows of none": (
        template("<|assistant|>{{ m['content'] }}", "{{ '<|assistant|><think>\\n' }}"),
        ("<|assistant|><think>\n", "\n</think>\n\n", "<|assistant|><think>\n\n</think>\n\n"),
    ),
}
TAGS = ("<think>", "</think>", "[THINK]", "[/THINK]", "<seed:think>", "</seed:think>")


def prompt_of(family: str, kind: str, thinking: Literal["off", "on"]) -> tuple[Any, PromptFormat]:
    tokenizer = tokenizer_of(kind, (*SPECIAL, *TAGS, "<|START_THINKING|>", "<|END_THINKING|>"), SHOWN[family][0])
    return tokenizer, PromptFormat(tokenizer, "chat", thinking=thinking)


def text_of(tokenizer: Any, ids: list[int], question: str) -> str:
    """What stands behind the question. Some tokenizers show a space that they put behind a special token."""
    return str(tokenizer.decode(ids)).partition(question)[2].replace(" ", "")


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("family", SHOWN)
def test_a_trace_is_opened_and_closed_as_the_template_does_it(family: str, kind: str) -> None:
    opening, closing, without = SHOWN[family][1]
    tokenizer, on = prompt_of(family, kind, "on")
    assert text_of(tokenizer, on.question_ids("Why?"), "Why?") == opening
    assert text_of(tokenizer, on.answering_ids("Why?", "Who?"), "Why?") == f"{opening}Who?{closing}"
    empty = text_of(tokenizer, on.answering_ids("Why?"), "Why?")
    assert empty == f"{opening}{closing}"
    trace = tokenizer("Who?\n", add_special_tokens=False).input_ids
    assert tokenizer.decode(on.closed_trace(trace)).replace(" ", "").endswith("Who?\n" + closing.removeprefix("\n"))
    assert on.trace_room == on.thinking_tokens + len(on.closed_trace(()))
    tokenizer, off = prompt_of(family, kind, "off")
    assert text_of(tokenizer, off.question_ids("Why?"), "Why?") == without
    assert text_of(tokenizer, off.answering_ids("Why?"), "Why?") == without


@pytest.mark.parametrize("family", ["GLM-4.5", "Seed-OSS, by a field", "Step-3.5, which always thinks", "Qwen3"])
def test_trace_and_answer_are_what_the_template_shows(family: str) -> None:
    tokenizer, prompt = prompt_of(family, "byte-level BPE", "on")
    turns = [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "So", "reasoning_content": "Who?"},
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False, enable_thinking=True)
    whole = tokenizer(text, add_special_tokens=False).input_ids
    joined = [*prompt.few_shot_ids(()), *prompt.answering_ids("Why?", "Who?"), *prompt.answer_ids("So")]
    assert joined == whole[: len(joined)]
    assert len(whole) == len(joined) + 1
