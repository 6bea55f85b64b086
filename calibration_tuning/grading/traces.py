"""Reasoning traces: the tags that models write them between, and the answer without them."""

from __future__ import annotations

import re
from collections.abc import Iterable

TRACES = {
    "<think>": "</think>",
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
    "<|START_THINKING|>": "<|END_THINKING|>",
}
"""How a trace of reasoning begins and ends: Qwen3, R1 and many others; Magistral; Seed-OSS; Command A."""
_TAGS = {
    **TRACES,
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "◁think▷": "◁/think▷",
    "<|channel|>analysis<|message|>": "<|channel|>final<|message|>",
}
"""With those that prompts ask for or models write unasked, and no chat template writes: OpenThinker; Kimi; gpt-oss."""
_ANSWER_TAGS = re.compile(r"<answer>(.*?)</answer>\s*\Z", re.DOTALL | re.IGNORECASE)
_AROUND_ANSWERS = re.compile(
    r"\A\s*<\|(?:begin_of_solution|START_RESPONSE)\|>\s*|\s*<\|(?:end_of_solution|END_RESPONSE|return)\|>\s*\Z"
)
"""Special tokens around what follows a trace; the last may be the end of the turn, and missing."""
_BETWEEN_CHANNELS = re.compile(r"\s*<\|end\|>\s*<\|start\|>assistant\s*\Z")


def _any_of(tags: Iterable[str]) -> re.Pattern[str]:
    one_of_them = f"(?:{'|'.join(map(re.escape, tags))})"
    # A tag between quotes or backticks is spoken of, not used.
    return re.compile(f"(?<![`\"']){one_of_them}|{one_of_them}(?![`\"'])", re.IGNORECASE)


_BEGIN, _END = _any_of(_TAGS.keys()), _any_of(_TAGS.values())


def without_trace(reply: str) -> str:
    """The answer of a reply: what follows its last trace of reasoning, without `<answer>` tags around it.

    The end of a trace may stand alone, where the prompt began it. A trace without an end, as in a reply that was cut
    off, leaves no answer: the empty text.
    """
    *_, answer = _END.split(reply)
    if _BEGIN.search(answer):
        return ""
    if answer != reply:
        answer = _AROUND_ANSWERS.sub("", answer)
    if wrapped := _ANSWER_TAGS.search(answer):
        answer = wrapped.group(1)
    return answer if answer == reply else answer.strip("\r\n")  # indentation is part of a program


def trace_of(reply: str) -> str | None:
    """The reasoning of a reply without its tags, up to the end of the last trace; None where there is none."""
    *traces, rest = _END.split(reply)
    if not traces and not _BEGIN.search(rest):
        return None
    return "\n".join(_BETWEEN_CHANNELS.sub("", _BEGIN.sub("", part)).strip() for part in traces or [rest])
