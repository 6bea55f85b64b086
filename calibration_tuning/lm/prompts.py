"""Prompts as token ids. The bytes here are an interface: a tuned checkpoint only knows the query it was trained on.

A sequence is [few-shot block | question | answer | uncertainty query]. A system message begins the block. The earlier
turns of a conversation end it, or begin the question where a row of a question set has turns of its own. The parts are
separate, so that the block's KV cache can be shared, generated answers keep their ids, and the query always has the
same length (the objective relies on that to find the answer's columns in a left-padded batch). Joined they are the ids
of the whole text, or of the whole conversation as the tokenizer's chat template renders it: this is checked when a
`PromptFormat` is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from transformers import PreTrainedTokenizerBase

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm.chat_template import TRACES, ChatTemplate, Frame, Thinking, Turns, assistant, user
from calibration_tuning.lm.models import load_ends, load_tokenizer
from calibration_tuning.lm.seams import FOLLOWERS, Encoder, after, movable, short_context
from calibration_tuning.lm.text_prompt import (
    ANSWER,
    NO,
    QUERY,
    QUESTION,
    YES,
    demonstration_text,
    question_text,
    system_text,
)
from calibration_tuning.records import Demonstration, Question

STEP_BY_STEP = "Let's think step by step."  # Kojima et al. 2022 (arXiv 2205.11916)
REASON_FIRST = "Think step by step, then write the final answer after 'Answer:'."

_SHOWN = ("What is the capital of France?", "Paris")
"""A question and an answer with which the parts are checked against the whole."""
_BLOCK = (Demonstration(question="What is 1 + 1?", answer="2", correct=True),)
"""A few-shot block, for the same."""
_TURN = (Demonstration(question="Where is the Seine?", answer="In France."),)
"""An earlier turn, for the same."""


def load_prompt_format(
    settings: ModelSettings, style: str | None = None, tokenizer: PreTrainedTokenizerBase | None = None
) -> PromptFormat:
    """How the model of these settings is asked; `style` takes the place of `settings.prompt_format`.

    The model's tokenizer is loaded if none is given. Raises `UserError` as `PromptFormat` does, and where the tokenizer
    cannot be loaded.
    """
    style = style or settings.prompt_format
    ends, thinking, length = load_ends(settings), settings.thinking, settings.thinking_tokens
    if tokenizer is None:
        tokenizer = load_tokenizer(settings)
    return PromptFormat.of(tokenizer, style, ends, thinking, length, settings.system_prompt)


@dataclass(frozen=True)
class PromptFormat:
    """How a model is asked: as plain text or through its tokenizer's chat template.

    `ends`: token ids that end a text or a turn besides the tokenizer's end of text, such as those of the model's
    generation_config.json (`load_prompt_format` reads them). `thinking`: whether a reasoning model writes its
    trace, of at most `thinking_tokens` tokens, before it answers. `system_prompt`: the system message at the beginning.

    Raises `UserError` where the parts of a prompt, joined, would not be the ids of the whole prompt, where the template
    cannot be used or does not show the system message, and where the two answers of the query are not one token each,
    and different.
    """

    tokenizer: PreTrainedTokenizerBase
    style: Literal["text", "chat"]
    ends: Collection[int] = ()
    thinking: Thinking = "off"
    thinking_tokens: int = 1024
    system_prompt: str | None = None

    def __post_init__(self) -> None:
        if self.style == "chat" and not self.tokenizer.chat_template:
            raise UserError("model.prompt_format: chat, but the tokenizer has no chat template; use text")
        if self.thinking == "on" and (self.style == "text" or self._template.trace is None):
            raise UserError("model.thinking: on, but the chat template writes no trace of reasoning; set it to off")
        if self.style == "chat":
            _ = self._frame  # before anything is read off a template that shows no text
            if self._system is not None:
                self._template.check_system(QUERY.strip())
            self._template.check_turns(QUERY.strip())
        _ = self.answer_tokens
        self._check_joined()

    @classmethod
    def of(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        style: str,
        ends: Collection[int] = (),
        thinking: Thinking = "off",
        thinking_tokens: int = 1024,
        system_prompt: str | None = None,
    ) -> PromptFormat:
        """The format of that style; `auto` is chat where the tokenizer has a chat template."""
        if style == "auto":
            style = "chat" if tokenizer.chat_template else "text"
        return cls(tokenizer, style, ends, thinking, thinking_tokens, system_prompt)  # type: ignore[arg-type]

    def with_system(self, system_prompt: str | None) -> PromptFormat:
        """The same format with another system message."""
        return self if system_prompt == self.system_prompt else replace(self, system_prompt=system_prompt)

    @cached_property
    def answer_tokens(self) -> tuple[int, int]:
        """Token ids of (no, yes): where the two whole prompts part that end in these verdicts."""
        no, yes = (self._sequence_ids(*_SHOWN, verdict) for verdict in (NO, YES))
        border = len(_common(no, yes))
        verdicts = {*no[border : border + 1], *yes[border : border + 1]}
        if no[border + 1 :] != yes[border + 1 :] or len(verdicts - {self.tokenizer.unk_token_id}) < 2:
            tokens = [self.tokenizer.convert_ids_to_tokens(ids[border:][:3]) for ids in (no, yes)]
            raise UserError(
                f"model.path: the tokenizer splits the query's answers {NO!r} and {YES!r} into {tokens[0]} and "
                f"{tokens[1]}; each must be one token, known and different: a confidence is read off one position"
            )
        return no[border], yes[border]

    @cached_property
    def query_ids(self) -> list[int]:
        """What follows an answer: the uncertainty query up to the position whose next token is yes or no."""
        return self.follow_up_ids(QUERY)

    def follow_up_ids(self, text: str) -> list[int]:
        """What follows an answer when `text` is asked about it, up to where the reply begins."""
        follow_up, space = self._before_reply(text), "" if self.style == "chat" else " "
        return _common(*(after(self._encoder, self._judged_context, f"{follow_up}{space}{v}") for v in (NO, YES)))

    def stop_ids(self, multiline: bool = False) -> list[int]:
        """Tokens that end an answer: end of text or turn and, in text prompts, every token that holds a line break
        (unless the answer may have several lines)."""
        eos = self.tokenizer.eos_token_id
        ends = {*self.ends, *(() if eos is None else [eos]), *(() if self._turn_end is None else [self._turn_end])}
        return sorted(ends if self.style == "chat" or multiline else ends | self._line_breaks)

    def stop_text(self, multiline: bool = False) -> str | None:
        """What a model would write after an answer if no token ends it: the next question, or the template's end of a
        turn where that is no token by itself."""
        if self.style == "text":
            return f"\n{QUESTION}" if multiline else None
        return None if self._turn_end is not None else self._turn_end_text

    @cached_property
    def _turn_end_text(self) -> str | None:
        """What the template writes directly after an answer, to the end of its line and before the user's next words:
        "### Instruction:". None where nothing stands between the two. A line break before it belongs to it, as an
        answer may contain the same words: "Being Human: a comedy"."""
        text = self._frame.before_reply.partition(QUERY.strip())[0].rstrip()
        end = text.lstrip()
        line_break = "\n" if text[: len(text) - len(end)].endswith("\n") else ""
        return line_break + end.partition("\n")[0].rstrip() if end else None

    @cached_property
    def _turn_end(self) -> int | None:
        """The special token that the template writes directly after an answer, if there is one: <|im_end|>."""
        if self.style == "text":
            return None
        first = after(self._encoder, self._judged_context, self._frame.before_reply.lstrip())[0]
        return first if first in self.tokenizer.added_tokens_decoder else None

    @cached_property
    def _line_breaks(self) -> set[int]:
        pieces = self.tokenizer.batch_decode([[i] for i in range(len(self.tokenizer))])
        return {i for i, piece in enumerate(pieces) if "\n" in piece}

    def few_shot_ids(self, demonstrations: Sequence[Demonstration], earlier: Sequence[Demonstration] = ()) -> list[int]:
        """The block before a question; demonstrations with a verdict (`correct`) show the uncertainty query too.

        `earlier`: the turns of the conversation before the question, a message and its reply at a time. The block goes
        up to where the question's text begins: the beginning of text, the system message and the header of the
        question are in it.
        """
        return self._encoder.ids_of(self._block_text([*demonstrations, *earlier]))

    def answer_messages(self, demonstrations: Sequence[Demonstration], question: Question | str) -> Turns:
        """The chat turns before the answer, for servers that apply the chat template themselves."""
        system = [] if self.system_prompt is None else [{"role": "system", "content": self.system_prompt}]
        earlier, text = _asked(question)
        return [*system, *_turns([*demonstrations, *earlier]), user(text.strip())]

    def answer_text(self, demonstrations: Sequence[Demonstration], question: Question | str) -> str:
        """The text prompt up to where the answer begins, for servers that tokenize themselves."""
        earlier, text = _asked(question)
        shown = "".join(map(demonstration_text, [*demonstrations, *earlier]))
        return f"{system_text(self.system_prompt)}{shown}{question_text(text)}"

    def question_ids(self, question: Question | str) -> list[int]:
        """The question up to where the model begins to write: its answer or, if it thinks, its trace. White space
        around the question does not count. A row's earlier turns come before its question."""
        return self._question(*_asked(question), self._before_written_answer)

    def answering_ids(self, question: Question | str, trace: str | None = None) -> list[int]:
        """Ids of the question, up to the place where the model's answer begins. With thinking on, that is after the
        trace; None stands for an empty trace."""
        if self.thinking == "off":
            return self.question_ids(question)
        return [*self.question_ids(question), *self.closed_trace(self._encoder.continued(trace or "", plain=True))]

    @cached_property
    def trace_end(self) -> str | None:
        """The tag that closes a trace; None unless the model is to think."""
        return TRACES[self._template.trace or ""] if self.thinking == "on" else None

    def closed_trace(self, trace_ids: Sequence[int]) -> list[int]:
        """A trace and what stands between it and the answer: its closing tag, as the template writes it."""
        closing = self._template.around_trace[1].removesuffix(self._answer_seam)
        if trace_ids and str(self.tokenizer.decode(list(trace_ids[-1:]))).endswith("\n"):
            closing = closing.removeprefix("\n")
        return [*trace_ids, *self._encoder.continued(closing)]

    @property
    def trace_room(self) -> int:
        """The most tokens that stand between a question and its answer because the model thinks."""
        return self.thinking_tokens + len(self.closed_trace(())) if self.thinking == "on" else 0

    def judged_ids(self, question: Question | str) -> list[int]:
        """The question up to where a given answer begins, for a prompt in which something is asked about the answer.

        Differs from `question_ids` only for templates that write something else around answers of earlier turns, such
        as those of reasoning models.
        """
        before_answer = self._frame.before_answer if self.style == "chat" else ANSWER
        return self._question(*_asked(question), before_answer)

    def reasoning_ids(self, question: Question | str) -> list[int]:
        """The question up to where the reasoning before its answer begins."""
        earlier, text = _asked(question)
        if self.style == "chat":
            return self._question(earlier, f"{text}\n{REASON_FIRST}", self._before_written_answer)
        return self._question(earlier, text, f"\n{STEP_BY_STEP}")

    @cached_property
    def answer_now_ids(self) -> list[int]:
        """What ends the reasoning and begins the answer, within the same turn in a chat."""
        return after(self._encoder, self._judged_context, ANSWER)

    def answer_ids(self, answer: str) -> list[int]:
        """Ids of an answer that is given as text (references, other people's answers); empty for an empty answer."""
        if not answer.strip():
            return []
        text = self._encoder.protected(answer.strip())
        return after(self._encoder, self._answer_context, f"{self._answer_seam}{text}")

    @cached_property
    def _encoder(self) -> Encoder:
        written = ""
        if self.tokenizer.chat_template:
            with suppress(UserError):  # of a template that fails; `_frame` raises it where the template is used
                written = ChatTemplate(self.tokenizer, self.thinking).written
        return Encoder(self.tokenizer, begins=self.style == "text", written=written)

    @cached_property
    def _template(self) -> ChatTemplate:
        return ChatTemplate(self.tokenizer, self.thinking, self._system)

    @cached_property
    def _system(self) -> str | None:
        return None if self.system_prompt is None else self._encoder.protected(self.system_prompt)

    @cached_property
    def _frame(self) -> Frame:
        return self._template.frame([], QUERY.strip())

    @cached_property
    def _before_written_answer(self) -> str:
        return self._template.before_written_answer if self.style == "chat" else ANSWER

    @cached_property
    def _question_seam(self) -> str:
        """What stands between the block and the question's text, but belongs to the question's first token."""
        begins = self._frame.before_question if self.style == "chat" else f"{QUESTION} "
        return begins[movable(self._encoder, begins) :]

    @cached_property
    def _question_context(self) -> str:
        begins = self._block_text(())
        followers = [self._question_seam + follower for follower in FOLLOWERS]
        return short_context(self._encoder, begins, followers)

    @cached_property
    def _answer_seam(self) -> str:
        """What stands before an answer, but belongs to its first token: a space, mostly."""
        text = self._question_context + self._question_seam + _SHOWN[0]
        begins = text + (self._frame.before_answer if self.style == "chat" else f"{ANSWER} ")
        return begins[movable(self._encoder, begins) :]

    @cached_property
    def _answer_context(self) -> str:
        text = self._question_context + self._question_seam + _SHOWN[0]
        begins = text + (self._frame.before_answer if self.style == "chat" else f"{ANSWER} ")
        return begins[: len(begins) - len(self._answer_seam)]

    @cached_property
    def _judged_context(self) -> str:
        """A question with an answer, after which something is asked."""
        return f"{self._answer_context}{self._answer_seam}{_SHOWN[1]}"

    def _block_text(self, demonstrations: Sequence[Demonstration]) -> str:
        text = self._before_question(demonstrations)
        return text[: len(text) - len(self._question_seam)]

    def _before_question(self, demonstrations: Sequence[Demonstration]) -> str:
        if self.style == "chat":
            turns = _turns(demonstrations, self._encoder.protected)
            return self._template.frame(turns, QUERY.strip()).before_question
        shown = "".join(demonstration_text(d, self._encoder.protected) for d in demonstrations)
        return f"{system_text(self._system)}{shown}{QUESTION} "

    def _question(self, earlier: Sequence[Demonstration], question: str, before_answer: str) -> list[int]:
        turns = self._before_question(earlier)[len(self._before_question(())) :] if earlier else ""
        text = f"{self._question_seam}{turns}{self._encoder.protected(question.strip())}"
        return after(self._encoder, self._question_context, text + before_answer.removesuffix(self._answer_seam))

    def _before_reply(self, follow_up: str) -> str:
        if self.style == "text":
            return follow_up
        return self._template.frame([], follow_up.strip()).before_reply

    def _sequence_ids(
        self, question: str, answer: str, verdict: str, before: Sequence[Demonstration] = ()
    ) -> list[int]:
        """Ids of a whole prompt with its verdict, tokenized as a single text."""
        shown = [*before, Demonstration(question=question, answer=answer, correct=verdict == YES)]
        if self.style == "text":
            text = "".join(map(demonstration_text, shown))
            return self._encoder.ids_of(f"{system_text(self._system)}{text.rstrip()}")
        return self._encoder.ids_of(self._template.render(_turns(shown), generate=False))

    def _check_joined(self) -> None:
        """Are the parts, joined, the ids of the whole?"""
        for block in ((), _BLOCK, _TURN):  # some templates write the first question in another way than later ones
            self._check_joined_behind(block)

    def check_earlier_turns(self) -> None:
        """Raises `UserError` where a question with earlier turns would not be what the whole conversation is."""
        self._check_joined_behind((), _TURN)
        self._check_joined_behind(_BLOCK, _TURN)

    def _check_joined_behind(self, block: Sequence[Demonstration], earlier: Sequence[Demonstration] = ()) -> None:
        question, answer = _SHOWN
        seams = ("question", "answer", "uncertainty query", "verdict")
        before_answer = self._frame.before_answer if self.style == "chat" else ANSWER
        asked = self._question(earlier, question, before_answer)
        parts = [self.few_shot_ids(block), asked, self.answer_ids(answer), self.query_ids]
        sequence = self._sequence_ids(question, answer, YES, [*block, *earlier])
        joined = [token for part in parts for token in part]
        joined.append(self.answer_tokens[1])
        ends = [sum(map(len, parts[: k + 1])) for k in range(4)]
        for end, seam in zip(ends, seams, strict=True):
            if joined[: end + 1] != sequence[: end + 1]:
                fix = "use another model.prompt_format" if self.system_prompt is None else "use no system message"
                fix = "leave out questions with earlier turns, or " + fix if earlier else fix
                raise UserError(
                    f"model.path: the tokenizer cuts a prompt differently at the beginning of the {seam}"
                    f"{' behind few-shot examples' if block else ''} than the prompt's parts, so the model would read "
                    f"another text; {fix}"
                )


def _asked(question: Question | str) -> tuple[Sequence[Demonstration], str]:
    """The turns before a question, and its text."""
    return ((), question) if isinstance(question, str) else (question.earlier, question.text)


def _common(first: list[int], second: list[int]) -> list[int]:
    """The ids that both begin with."""
    count = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    return first[: min(len(first), len(second)) if count is None else count]


def _turns(demonstrations: Sequence[Demonstration], protected: Callable[[str], str] = str) -> Turns:
    turns: Turns = []
    for demonstration in demonstrations:
        turns += [user(protected(demonstration.question.strip())), assistant(protected(demonstration.answer.strip()))]
        if demonstration.correct is not None:
            turns += [user(QUERY.strip()), assistant(YES if demonstration.correct else NO)]
    return turns
