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


def chatml_of(content: str, messages: str = "messages") -> str:
    """ChatML with another content of a turn, or with other turns."""
    return _chatml("").replace("m['content']", content).replace("in messages", f"in {messages}")


# By how the template changes a text. The assistant's alone, too, but for traces, which templates take out of answers.
CHANGES = {
    "HTML entities": "m['content'] | e",
    "one line break for two": "m['content'].replace('\n\n', '\n')",
    "one space for two": "m['content'] | replace('  ', ' ')",
    "no tabs": "m['content'] | replace('\t', ' ')",
    "a beginning": "m['content'][:200]",
    "a longer beginning": "m['content'][:3000]",
    "an end": "m['content'][-200:]",
    "an ellipsis": "m['content'] | truncate",
    "a beginning of words": "m['content'].split() | join(' ')",
    "the first line": "m['content'].split('\n')[0]",
    "wrapped lines": "m['content'] | wordwrap",
    "indented lines": "m['content'] | indent",
    "other brackets": "m['content'] | replace('<', '(')",
    "other quotes": "m['content'] | replace('\"', \"'\")",
    "no tags": "m['content'] | striptags",
    "JSON": "m['content'] | tojson",
    "lower case": "m['content'] | lower",
    "a capital": "m['content'][:1] | upper + m['content'][1:]",
}
_OF_ROLE = "({change}) if m['role'] == '{role}' else m['content']"

# A first question that is written in another way than later ones: how they begin.
FIRST = {
    "a default system message": ("[INST] <<SYS>>\nYou are helpful.\n<</SYS>>\n\n", "[INST] "),
    "another header": ("Human: ", "\nHuman:\n"),
    "no header": ("", "Question: "),
    "a space more": ("Human:", "Human: "),
}
_FIRST = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ FIRST if loop.first else LATER }}{{ m['content'] }}"
    "{% else %}{{ ' Assistant: ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' Assistant:' }}{% endif %}"
)

# What cannot be used, and a part of the sentence that says why.
REFUSED = {
    **{
        f"{what}, {role}": (chatml_of(_OF_ROLE.format(change=change, role=role)), "unchanged|changes the text")
        for what, change in CHANGES.items()
        for role in ("user", "assistant")
    },
    "traces taken out of questions": (chatml_of("m['content'].split('</think>')[-1]"), "once and unchanged"),
    "other tags taken out of questions": (chatml_of("m['content'] | replace('[THINK]', '')"), "once and unchanged"),
    **{
        f"the last {count} turns": (chatml_of("m['content']", f"messages[-{count}:]"), "once and unchanged")
        for count in (4, 6, 16, 40)
    },
    "the first turns and the last": (
        chatml_of("m['content']", "(messages[:4] + messages[-4:] if messages | length > 8 else messages)"),
        "once and unchanged",
    ),
    "questions without earlier answers": (
        chatml_of("m['content'] if m['role'] == 'user' or loop.revindex < 4 else ''"),
        "once and unchanged",
    ),
    "earlier turns in another order": (
        chatml_of("m['content']", "(messages[:-4] | reverse | list + messages[-4:])"),
        "once and unchanged",
    ),
    "words before the last question": (
        "{% if messages[-1]['role'] == 'user' %}{% set said = 'Be brief. ' %}{% else %}{% set said = '' %}{% endif %}"
        + chatml_of("(said if loop.last else '') + m['content']"),
        "asks for an answer differently",
    ),
    "another header for the first answer": (
        chatml_of("m['content']").replace(
            "<|im_start|>assistant\n", "<|im_start|>assistant\n{{ 'First: ' if messages | length < 3 else '' }}"
        ),
        "asks for an answer differently",
    ),
    **{
        f"a first question with {what}": (
            _FIRST.replace("FIRST", repr(first)).replace("LATER", repr(later)),
            "behind few-shot examples",
        )
        for what, (first, later) in FIRST.items()
    },
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
