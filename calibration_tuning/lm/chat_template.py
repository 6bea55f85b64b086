"""What a tokenizer's chat template writes around the turns of a conversation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from calibration_tuning.errors import UserError
from calibration_tuning.grading.traces import TRACES

DATE = "26 Jul 2024"
"""What a chat template that tells the date is told; the date in the template of Llama 3.1."""
Turns = list[dict[str, str]]
Thinking = Literal["off", "on"]
SWITCHES = ("enable_thinking", "thinking")
"""Variables by which templates switch reasoning: Qwen3, GLM-4.5, SmolLM3; DeepSeek-V3.1, Granite."""
_MARKS = ("\u2402question\u2402", "\u2402answer\u2402", "\u2402verdict\u2402")


@dataclass(frozen=True)
class Frame:
    """The text that the template writes around three contents: question, answer, and the reply to what follows."""

    before_question: str
    before_answer: str
    before_reply: str
    """From the end of the answer; the follow-up question is in it."""
    after_reply: str


@dataclass(frozen=True)
class ChatTemplate:
    """Renders conversations as the tokenizer's own template does. Raises `UserError` where the template fails, or does
    not show what the turns say."""

    tokenizer: PreTrainedTokenizerBase
    thinking: Thinking = "off"
    system_prompt: str | None = None
    """The system message before the turns."""

    def render(self, turns: Turns, generate: bool) -> str:
        """The conversation as text; with `generate`, up to where the model's turn begins."""
        # Some templates (Llama 3.1 and later) put today's date into every prompt: what is asked, trained on and used
        # must be the same on every day.
        template = f"{{%- macro strftime_now(format) -%}}{DATE}{{%- endmacro -%}}{self.tokenizer.get_chat_template()}"
        switches: dict[str, Any] = dict.fromkeys(SWITCHES, self.thinking == "on")
        try:
            rendered: Any = self.tokenizer.apply_chat_template(
                [*self._system, *turns],
                chat_template=template,
                tokenize=False,
                add_generation_prompt=generate,
                date_string=DATE,
                **switches,
            )
        except Exception as error:  # a template is a program of others, and raises what it likes
            told = " ".join(str(error).split())[:200] or type(error).__name__
            if self._system:
                raise UserError(f"system message: the chat template takes none ({told}); leave it out") from None
            raise UserError(f"model.prompt_format: chat, but the chat template fails ({told}); use text") from None
        return str(rendered)

    def frame(self, demonstrations: Turns, follow_up: str) -> Frame:
        """What stands around question, answer and reply when `follow_up` is asked about the answer."""
        question, answer, reply = _MARKS
        turns = [*demonstrations, user(question), assistant(answer), user(follow_up), assistant(reply)]
        rendered = self.render(turns, generate=False)
        parts = []
        for mark in _MARKS:
            if rendered.count(mark) != 1:
                raise UserError(
                    "model.prompt_format: chat, but the chat template does not show the text of a message once (it may "
                    "want a list of parts); use text"
                )
            before, _, rendered = rendered.partition(mark)
            parts.append(before)
        if follow_up not in parts[2]:
            raise UserError("model.prompt_format: chat, but the chat template changes the text of messages; use text")
        return Frame(parts[0], parts[1], parts[2], rendered)

    def check_system(self, follow_up: str) -> None:
        """Raises `UserError` unless a system message stands at the beginning of a conversation, before its questions
        (some templates leave it out, others move it to the last question)."""
        mark = _MARKS[0].replace("question", "system")
        if replace(self, system_prompt=mark).frame([], follow_up).before_question.count(mark) != 1:
            raise UserError(
                "system message: the chat template does not show it at the beginning of a conversation; leave it out, "
                "or put it into the question"
            )

    def before_written_answer(self, frame: Frame) -> str:
        """What stands between a question and the answer that the model is to write.

        The generation prompt, and what the template writes before the content of every assistant's turn (a space, a
        line break). A trace of reasoning that it opens is closed at once. If the model is to think, it ends behind the
        tag that opens a trace, whether the template writes that tag or leaves it to the model.
        """
        prompt = self._generation_prompt
        opened = opened_trace(prompt)
        if self.thinking == "off" and opened is not None:
            prompt = f"{prompt.rstrip()}\n\n{TRACES[opened]}\n\n"
        before = frame.before_answer if frame.before_answer.startswith(prompt) else prompt
        if self.thinking == "off" or opened is not None:
            return before
        return f"{before.partition(self.trace or '')[0]}{self.trace}\n"

    @property
    def _system(self) -> Turns:
        return [] if self.system_prompt is None else [{"role": "system", "content": self.system_prompt}]

    @cached_property
    def _generation_prompt(self) -> str:
        return self.render([user(_MARKS[0])], generate=True).rpartition(_MARKS[0])[2]

    @property
    def can_think(self) -> bool:
        """True if the template writes a trace of reasoning, or has a switch for it."""
        return self.trace is not None or any(name in str(self.tokenizer.get_chat_template()) for name in SWITCHES)

    @cached_property
    def trace(self) -> str | None:
        """The tag that opens a trace of reasoning, where the template knows of traces."""
        template = str(self.tokenizer.get_chat_template())
        known = (begin for begin, end in TRACES.items() if end in template)
        return opened_trace(self._generation_prompt) or next(known, None)


def opened_trace(text: str) -> str | None:
    """The tag of a trace that `text` opens and does not close."""
    return next((begin for begin, end in TRACES.items() if text.rfind(begin) > text.rfind(end)), None)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
