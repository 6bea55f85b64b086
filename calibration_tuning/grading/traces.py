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
    "<scratchpad>": "</scratchpad>",
    "<reflection>": "</reflection>",
    "<analysis>": "</analysis>",
    "<rationale>": "</rationale>",
    "<start_working_out>": "<end_working_out>",
    "<unused94>": "<unused95>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "◁think▷": "◁/think▷",
    "<|channel|>analysis<|message|>": "<|channel|>final<|message|>",
}
"""Also those that prompts ask for or models write unasked: MedGemma (<unused94>), OpenThinker, Kimi, gpt-oss."""
_BARE_CHANNELS = re.compile(r"\Aanalysis(.*?)assistantfinal", re.DOTALL)
_BARE_ANALYSIS = re.compile(r"\Aanalysis(?=[A-Z][\w'’]*[,:]? [a-z])")
"""gpt-oss's channels where the special tokens are skipped. A space must follow: `analysisResult = 3` is a program."""
_NAME = "(?:answer|final_answer|solution|response)"
_INSIDE = rf"((?:(?!</?{_NAME}>).)*)"
_ANSWER_TAGS = re.compile(
    rf"(?:(?<![`\"'])<{_NAME}>|\A){_INSIDE}(?:</{_NAME}>\s*)+\Z|^[ \t]*<{_NAME}>(?=\s*\S){_INSIDE}\Z",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
"""A tag may be missing: the first if the prompt wrote it, the last if it stopped the reply."""
_END_OF_TURN = re.compile(
    r"(?<=\S)(?:\s*(?:</s>|<eos>|<end_of_turn>|<\|(?:im_end|eot_id|endoftext|end_of_text|end|return)\|>))+\s*\Z"
)
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
    """The answer of a reply: what follows its last trace of reasoning, without the tags around it.

    The end of a trace may stand alone, where the prompt began it. A trace without an end, as in a reply that was cut
    off, leaves no answer: the empty text.
    """
    *_, answer = _END.split(_with_tags(_END_OF_TURN.sub("", reply)))
    if _BEGIN.search(answer):
        return ""
    if answer != reply:
        answer = _AROUND_ANSWERS.sub("", answer)
    if wrapped := _ANSWER_TAGS.search(answer):
        answer = wrapped[1] if wrapped[2] is None else wrapped[2]
    return answer if answer == reply else answer.strip("\r\n")  # indentation is part of a program


def trace_of(reply: str) -> str | None:
    """The reasoning of a reply without its tags, up to the end of the last trace; None where there is none."""
    *traces, rest = _END.split(_with_tags(reply))
    if not traces and not _BEGIN.search(rest):
        return None
    return "\n".join(_BETWEEN_CHANNELS.sub("", _BEGIN.sub("", part)).strip() for part in traces or [rest])


def _with_tags(reply: str) -> str:
    """gpt-oss's bare channel names as tags."""
    return _BARE_ANALYSIS.sub("<think>", _BARE_CHANNELS.sub(r"<think>\1</think>", reply))
