"""Prompts as token ids. The bytes here are an interface: a tuned checkpoint only knows the query it was trained on.

A sequence is [few-shot block | question | answer | uncertainty query]. The parts are tokenized apart and joined as
ids, so that the block's KV cache can be shared, generated answers keep their own ids, and the query always has the
same length (the objective relies on that to find the answer's columns in a left-padded batch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from calibration_tuning.errors import UserError
from calibration_tuning.records import Demonstration

# Kapoor et al. 2024 (arXiv 2406.08391). In text prompts it follows the answer directly; as a chat turn it is stripped.
QUERY = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"
NO, YES = "i", "ii"

STEP_BY_STEP = "Let's think step by step."  # Kojima et al. 2022 (arXiv 2205.11916)
REASON_FIRST = "Think step by step, then write the final answer after 'Answer:'."

DATE = "26 Jul 2024"
"""What a chat template that tells the date is told; the date in the template of Llama 3.1."""

_MARK = "\u241emark\u241e"


@dataclass(frozen=True)
class PromptFormat:
    """How a tokenizer's model is asked: as plain text or through its chat template.

    Raises `UserError` if the two answers of the uncertainty query are not one token each, and different.
    """

    tokenizer: PreTrainedTokenizerBase
    style: Literal["text", "chat"]

    def __post_init__(self) -> None:
        if self.style == "chat" and not self.tokenizer.chat_template:
            raise UserError("model.prompt_format: chat, but the tokenizer has no chat template; use text")
        ids = [self._encode(self._answer_text(option)) for option in (NO, YES)]
        if any(len(option) != 1 for option in ids) or ids[0] == ids[1]:
            raise UserError(
                f"model.path: the tokenizer splits the query's answers {NO!r} and {YES!r} into {ids}; each must be "
                "one token, and different, for a confidence to be read off one position"
            )

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, style: str) -> PromptFormat:
        if style == "auto":
            style = "chat" if tokenizer.chat_template else "text"
        return cls(tokenizer, style)  # type: ignore[arg-type]

    @cached_property
    def answer_tokens(self) -> tuple[int, int]:
        """Token ids of (no, yes)."""
        no, yes = (self._encode(self._answer_text(option))[0] for option in (NO, YES))
        return no, yes

    @cached_property
    def query_ids(self) -> list[int]:
        """What follows an answer: the uncertainty query up to the position whose next token is yes or no."""
        return self.follow_up_ids(QUERY)

    def follow_up_ids(self, text: str) -> list[int]:
        """What follows an answer when `text` is asked about it, up to where the reply begins."""
        if self.style == "text":
            return self._encode(text)
        turns = [_user("?"), _assistant(_MARK), _user(text.strip())]
        return self._encode(self._render(turns).partition(_MARK)[2])

    def stop_ids(self, multiline: bool = False) -> list[int]:
        """Tokens that end an answer: end of text or turn and, in text prompts, every token that holds a line break
        (unless the answer may have several lines)."""
        ends = {i for i in [self.tokenizer.eos_token_id] if i is not None}
        return sorted(ends if self.style == "chat" or multiline else ends | self._line_breaks)

    @cached_property
    def _line_breaks(self) -> set[int]:
        pieces = self.tokenizer.batch_decode([[i] for i in range(len(self.tokenizer))])
        return {i for i, piece in enumerate(pieces) if "\n" in piece}

    @property
    def next_question(self) -> str | None:
        """What a model would write next after an answer of several lines."""
        return "\nQuestion:" if self.style == "text" else None

    def few_shot_ids(self, demonstrations: Sequence[Demonstration]) -> list[int]:
        """The block before a question; demonstrations with a verdict (`correct`) show the uncertainty query too."""
        if self.style == "chat":
            shown = [turn for d in demonstrations for turn in _chat_demonstration(d)]
            # Up to where the next user's text begins: the template's system turn and headers are shared as well.
            return self._encode(self._render([*shown, _user(_MARK)]).partition(_MARK)[0])
        # Tokenizers cut "\n\n" differently before a word than at the end of a text; here a question always follows,
        # and its first token must not change what servers that tokenize the whole text at once would see.
        following = self._encode("Question")
        ids = self._encode("".join(map(_text_demonstration, demonstrations)) + "Question")
        return self._bos() + ids[: len(ids) - len(following)]

    def answer_messages(self, demonstrations: Sequence[Demonstration], question: str) -> list[dict[str, str]]:
        """The chat turns whose next one is the answer, for servers that apply the chat template themselves."""
        return [*(turn for d in demonstrations for turn in _chat_demonstration(d)), _user(question)]

    def answer_text(self, demonstrations: Sequence[Demonstration], question: str) -> str:
        """The text prompt up to where the answer begins, for servers that tokenize themselves."""
        return "".join(map(_text_demonstration, demonstrations)) + _text_question(question)

    def question_ids(self, question: str) -> list[int]:
        """The question up to where its answer begins."""
        if self.style == "chat":
            return self._encode(question + self._render([_user(_MARK)]).partition(_MARK)[2])
        return self._encode(_text_question(question))

    def reasoning_ids(self, question: str) -> list[int]:
        """The question up to where the reasoning before its answer begins."""
        if self.style == "chat":
            return self.question_ids(f"{question}\n{REASON_FIRST}")
        return self._encode(f"Question: {question}\n{STEP_BY_STEP}")

    @cached_property
    def answer_now_ids(self) -> list[int]:
        """What ends the reasoning and begins the answer, within the same turn in a chat."""
        return self._encode("\nAnswer:")

    def answer_ids(self, answer: str) -> list[int]:
        """Ids of an answer given as text (references, other people's answers)."""
        return self._encode(self._answer_text(answer.strip()))

    def _answer_text(self, text: str) -> str:
        # "Answer:" is followed by a space; a chat template's assistant header ends with a line break.
        return text if self.style == "chat" else f" {text}"

    def _bos(self) -> list[int]:
        bos = self.tokenizer.bos_token_id
        # A chat template writes the begin-of-text token itself, so only text prompts ask for this.
        return [bos] if bos is not None and self.tokenizer("").input_ids[:1] == [bos] else []

    def _encode(self, text: str) -> list[int]:
        encode = self.tokenizer.encode
        ids = encode(text, add_special_tokens=False)
        # SentencePiece puts a space before a text; here the text always continues another one.
        head = encode("\n", add_special_tokens=False)
        if len(head) > 1 and text:
            return encode("\n" + text, add_special_tokens=False)[len(head) :]
        return ids

    def _render(self, turns: list[dict[str, str]]) -> str:
        # Some templates (Llama 3.1 and later) put today's date into every prompt: what is asked, trained on and used
        # must be the same on every day.
        template = f"{{%- macro strftime_now(format) -%}}{DATE}{{%- endmacro -%}}{self.tokenizer.get_chat_template()}"
        rendered: Any = self.tokenizer.apply_chat_template(
            turns, chat_template=template, tokenize=False, add_generation_prompt=True, date_string=DATE
        )
        return rendered


def _text_question(question: str) -> str:
    return f"Question: {question}\nAnswer:"


def _text_demonstration(demonstration: Demonstration) -> str:
    shown = f"{_text_question(demonstration.question)} {demonstration.answer}"
    if demonstration.correct is not None:
        shown += f"{QUERY} {YES if demonstration.correct else NO}"
    return shown + "\n\n"


def _chat_demonstration(demonstration: Demonstration) -> list[dict[str, str]]:
    turns = [_user(demonstration.question), _assistant(demonstration.answer)]
    if demonstration.correct is not None:
        turns += [_user(QUERY.strip()), _assistant(YES if demonstration.correct else NO)]
    return turns


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
