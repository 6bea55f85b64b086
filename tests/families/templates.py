"""Chat templates written to behave like those of families of models, and what is right for each."""

from __future__ import annotations

from dataclasses import dataclass

CHATML_TURN = "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"


@dataclass(frozen=True)
class Template:
    text: str
    special: tuple[str, ...]
    """Tokens that the family's tokenizers hold whole."""
    turn_end: str
    """What the model writes to end an answer."""
    before_verdict: str
    """What stands directly before the verdict, to the end of the line above."""
    thinks: bool = False


def _chatml(prompt: str, first: str = "") -> str:
    return (
        f"{first}{{% for m in messages %}}{CHATML_TURN}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}<|im_start|>assistant\n{prompt}{{% endif %}}"
    )


_SYSTEM = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
_CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
_THINK_TOKENS = ("<think>", "</think>")

_LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
# The assistant's content has a space before it, of which the prompt for an answer knows nothing.
_MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
# As above, with a beginning of text in every exchange and a space before its end.
_LLAMA2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'] | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
_VICUNA = (
    "A chat between a user and an assistant. {% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ 'USER: ' + m['content'] + ' ' }}{% else %}{{ 'ASSISTANT: ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
_PHI3 = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
_ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
# A turn ends where the next header stands; the line break after the header is not in the prompt for an answer.
_GLM4 = (
    "[gMASK]<sop>{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# Earlier turns are shown without a trace, the last one with an empty one.
_QWEN3 = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if loop.last and m['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}"
)
# The prompt for an answer opens a trace, whatever one asks; no turn is shown with one.
_R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|User|>' + m['content'] }}{% else %}"
    "{{ '<|Assistant|>' + m['content'].split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)

TEMPLATES = {
    "SmolLM2, Qwen2.5": Template(_chatml("", _SYSTEM), _CHATML_TOKENS, "<|im_end|>", "<|im_start|>assistant\n"),
    "Llama-3": Template(
        _LLAMA3,
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "Gemma": Template(_GEMMA, ("<start_of_turn>", "<end_of_turn>"), "<end_of_turn>", "<start_of_turn>model\n"),
    "Mistral-Instruct": Template(_MISTRAL, (), "EOS", " [/INST] "),
    "Llama-2-chat": Template(_LLAMA2, (), "EOS", " [/INST] "),
    "Vicuna": Template(_VICUNA, (), "EOS", "ASSISTANT: "),
    "Phi-3": Template(_PHI3, ("<|user|>", "<|assistant|>", "<|end|>"), "<|end|>", "<|assistant|>\n"),
    "Zephyr": Template(_ZEPHYR, (), "EOS", "<|assistant|>\n"),
    "GLM-4": Template(_GLM4, ("[gMASK]", "<sop>", "<|user|>", "<|assistant|>"), "<|user|>", "<|assistant|>\n"),
    "Qwen3": Template(
        _QWEN3,
        (*_CHATML_TOKENS, *_THINK_TOKENS),
        "<|im_end|>",
        "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        thinks=True,
    ),
    "R1": Template(_R1, ("<|User|>", "<|Assistant|>", *_THINK_TOKENS), "EOS", "<|Assistant|>", thinks=True),
}

# What cannot be used, and a part of the sentence that says why.
REFUSED = {
    "content as a list of parts": (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for p in m['content'] %}"
        "{% if p['type'] == 'text' %}{{ p['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}",
        "does not show the text of a message",
    ),
    "no content at all": ("{{ bos_token }}{{ messages | length }}", "does not show the text of a message"),
    "content shown twice": (
        "{% for m in messages %}{{ m['content'] }} {{ m['content'] }}{% endfor %}",
        "does not show the text of a message once",
    ),
    "an error of its own": ("{{ raise_exception('Only tools are supported') }}", r"fails \(Only tools are supported\)"),
    "bad syntax": ("{% for m in messages %}{{ m['content'] }}", "the chat template fails"),
    "another alphabet": (
        "{% for m in messages %}<|im_start|>{{ m['content'] | upper }}<|im_end|>\n{% endfor %}",
        "does not show the text of a message|changes the text",
    ),
}
