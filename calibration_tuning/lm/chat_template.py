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
Turns = list[dict[str, Any]]
Thinking = Literal["off", "on"]
SWITCHES = ("enable_thinking", "thinking")
"""Variables by which templates switch reasoning: Qwen3, GLM-4.5, SmolLM3; DeepSeek-V3.1, Granite."""
_MARKS = ("\u2402question\u2402", "\u2402answer\u2402", "\u2402verdict\u2402")
_SYSTEM, _TRACE = "\u2402system\u2402", "\u2402trace\u2402"
_TEXT = "a  b\n\n\tC, <&\"'> {} \\n `d`: É 東京 *e*\r\n" + "[f] and so on, " * 100
"""What templates escape, join, strip, wrap or cut off."""
_TAGS = " ".join(tag for tags in TRACES.items() for tag in tags)
_LONG = 64
"""Turns of the long conversation with which templates are tried."""


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
        template = f"{{%- macro strftime_now(format) -%}}{DATE}{{%- endmacro -%}}{self._source}"
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
            message = " ".join(str(error).split())[:200] or type(error).__name__
            if self._system:
                raise UserError(f"system message: the chat template takes none ({message}); leave it out") from None
            raise UserError(f"model.prompt_format: chat, but the chat template fails ({message}); use text") from None
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

    def check_turns(self, follow_up: str) -> None:
        """Raises `UserError` unless the template shows every message of a long conversation once and unchanged, and
        asks for an answer as it asks in a finished conversation."""
        texts = [f"{_TEXT}{_TAGS if n % 2 == 0 else ''}\u2402{n}\u2402{_TEXT}end" for n in range(_LONG)]
        turns = [(user, assistant)[n % 2](text) for n, text in enumerate(texts)]
        rest = before = self.frame(turns, follow_up).before_question
        for n, text in enumerate(texts):
            _, shown, rest = rest.partition(text)
            if not shown or before.count(f"\u2402{n}\u2402") != 1:
                raise UserError(
                    "model.prompt_format: chat, but the chat template does not show every message of a long "
                    "conversation once and unchanged; use text"
                )
        asked, _, prompt = self.render([*turns, user(_MARKS[0])], generate=True).rpartition(_MARKS[0])
        if (asked, prompt) != (before, self._generation_prompt):
            raise UserError(
                "model.prompt_format: chat, but the chat template asks for an answer differently behind earlier turns, "
                "or before the answer is there; use text"
            )

    def check_system(self, follow_up: str) -> None:
        """Raises `UserError` unless a system message stands unchanged at the beginning of a conversation, before its
        questions (some templates leave it out, others move it to the last question)."""
        text = f"{_TEXT}{_SYSTEM}{_TEXT}end"
        shown = replace(self, system_prompt=text).frame([], follow_up).before_question.count(text)
        if shown != 1 or (self.system_prompt or "").strip() not in self.frame([], follow_up).before_question:
            raise UserError(
                "system message: the chat template does not show it unchanged at the beginning of a conversation; "
                "leave it out, or put it into the question"
            )

    @cached_property
    def before_written_answer(self) -> str:
        """What stands between a question and the answer that the model is to write.

        The generation prompt, and what the template writes before the content of every assistant's turn (a space, a
        line break). A trace of reasoning that it opens is closed at once. If the model is to think, it ends behind the
        tag that opens a trace, whether the template writes that tag or leaves it to the model.
        """
        if self.thinking == "on":
            return self.around_trace[0]
        prompt, before = self._generation_prompt, self._before_answer
        if opened_trace(prompt) is not None:
            closing = self.around_trace[1]
            prompt = f"{prompt.rstrip()}\n{closing}" if closing.startswith("\n") else f"{prompt}{closing}"
        elif not before.startswith(prompt):
            prompt += self._begins_answer
        return before if before.startswith(prompt) else prompt

    @cached_property
    def around_trace(self) -> tuple[str, str]:
        """The texts between a question and a trace of reasoning, and between the trace and the answer.

        They are as in the template's rendering of an answer with its trace, or with an empty trace. If it shows
        neither, the tags are on separate lines.
        """
        prompt, begin, end = self._generation_prompt, *self._tags
        opening, _, closing = self._shown_trace.partition(_TRACE)
        if opened_trace(prompt) is not None:
            opening = prompt
        elif begin not in opening or not opening.startswith(prompt):
            before = self._before_answer if self._before_answer.startswith(prompt) else prompt
            opening = f"{before.partition(begin)[0]}{begin}\n"
            if not closing and self._begins_answer:
                opening, closing = f"{prompt}{begin}", f"{end}{self._begins_answer}"
        return opening, closing or f"\n{end}\n\n"

    @cached_property
    def _shown_trace(self) -> str:
        """The template's text between a question and an answer with a trace. A mark stands for the trace. Empty if the
        template shows no trace."""
        prompt, answer, begin, end = self._generation_prompt, _MARKS[1], *self._tags
        # Templates take a trace out of the content (Qwen3), out of a field (Seed-OSS) or as a part (Magistral). Others
        # show an empty trace at most: before every answer (Kimi), or in the prompt without thinking (Hunyuan).
        tagged = (f"{begin}{_TRACE}{end}", f"{begin}\n{_TRACE}\n{end}\n\n")
        parsed = [self._before_content({"content": text + answer}) for text in tagged]
        if all(map(str.endswith, parsed, tagged)):  # it knows of no traces, so ours is a part of the answer
            parsed = []
        aside = self._before_content({"content": answer, "reasoning_content": _TRACE})
        parts = [{"type": "thinking", "thinking": _TRACE}, {"type": "text", "text": answer}]
        empty = replace(self, thinking="off")._generation_prompt
        # A prompt that ends with the closing tag leaves what follows it to the model.
        shown = (aside, *parsed, self._before_content({"content": parts}), "" if empty.endswith(end) else empty)
        text = next((text for text in shown if end in text), "")
        if not text or _TRACE in text:
            return text
        head, _, rest = text.rpartition(end)
        header, opened, between = head.rpartition(begin)
        written = prompt.rpartition(begin)[2] if opened_trace(prompt) is not None else None
        if not opened:  # the closing tag stands alone
            return f"{_TRACE}{end}{rest}" if written == "" else f"{_TRACE}\n{end}{rest}"
        before = between[: len(between) // 2] if written is None else written
        return f"{header}{begin}{before}{_TRACE}{between.removeprefix(before)}{end}{rest}"

    def _before_content(self, turn: dict[str, Any]) -> str:
        """What stands between a question and the answer in `turn`; "" where the template does not take such a turn."""
        try:
            rendered = self.render([user(_MARKS[0]), {"role": "assistant", **turn}], generate=False)
        except UserError:
            return ""
        before, shown, _ = rendered.rpartition(_MARKS[0])[2].partition(_MARKS[1])
        return before if shown else ""

    @property
    def _begins_answer(self) -> str:
        """What the template writes before an answer if the model may think before that: <|START_RESPONSE|>."""
        if self.trace is None:
            return ""
        header = self._generation_prompt.partition(self.trace)[0]
        begins = self._before_answer.removeprefix(header) if self._before_answer.startswith(header) else ""
        return "" if begins.isspace() or any(tag in begins for tag in self._tags) else begins

    @cached_property
    def _before_answer(self) -> str:
        return self.frame([], "?").before_answer

    @cached_property
    def written(self) -> str:
        """All that the template writes around messages of every role, with the marks that stand for them."""
        question, answer, _ = _MARKS
        turns = [user(question), assistant(answer)]
        text = self.render(turns, generate=False) + self.render(turns[:1], generate=True)
        try:
            return text + replace(self, system_prompt=_SYSTEM).render(turns, generate=False)
        except UserError:  # it takes no system message
            return text

    @property
    def _tags(self) -> tuple[str, str]:
        """The tags of a trace."""
        return self.trace or "", TRACES[self.trace or ""]

    @property
    def _system(self) -> Turns:
        return [] if self.system_prompt is None else [{"role": "system", "content": self.system_prompt}]

    @cached_property
    def _generation_prompt(self) -> str:
        return self.render([user(_MARKS[0])], generate=True).rpartition(_MARKS[0])[2]

    @property
    def can_think(self) -> bool:
        """True if the template writes a trace of reasoning, or has a switch for it."""
        return self.trace is not None or any(name in self._source for name in SWITCHES)

    @cached_property
    def _source(self) -> str:
        """The template's text."""
        try:
            return str(self.tokenizer.get_chat_template())
        except ValueError:
            named = ", ".join(sorted(self.tokenizer.chat_template))
            raise UserError(
                f"model.prompt_format: chat, but none of the tokenizer's chat templates ({named}) is named default; "
                "use text"
            ) from None

    @cached_property
    def trace(self) -> str | None:
        """The tag that opens a trace of reasoning, where the template knows of traces."""
        known = (begin for begin, end in TRACES.items() if end in self._source)
        return opened_trace(self._generation_prompt) or next(known, None)


def opened_trace(text: str) -> str | None:
    """The tag of a trace that `text` opens and does not close."""
    return next((begin for begin, end in TRACES.items() if text.rfind(begin) > text.rfind(end)), None)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}
