"""A question as the last message of a conversation, read from a list of messages as chat clients send them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from calibration_tuning.errors import UserError
from calibration_tuning.records import Demonstration, below
from calibration_tuning.values import kind_of

Messages = Sequence[Mapping[str, Any]]
ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


@dataclass(frozen=True)
class Start:
    """What stands before a question besides the few-shot examples; questions of one start share a batch."""

    system: str | None = None
    """None is the checkpoint's."""
    earlier: tuple[Demonstration, ...] = ()


PLAIN = Start()


@dataclass(frozen=True)
class Conversation:
    """The last message of the user, with the turns before it.

    `earlier`: each message of the user with its reply, in order. `system`: the system message; None leaves it to the
    checkpoint, which may have one of its own (`model.system_prompt`).
    """

    question: str
    earlier: tuple[Demonstration, ...] = ()
    system: str | None = None

    @property
    def start(self) -> Start:
        return Start(self.system, self.earlier)

    @classmethod
    def of(cls, messages: Messages) -> Conversation:
        """Read `[{"role": "user", "content": "..."}, ...]`.

        System messages (or `developer`) come first. Then user and assistant take turns, the user first and last;
        messages in a row by the same side are joined by an empty line. A content is text or a list of text parts. An
        empty system message counts as none. Raises `UserError` naming the message that does not fit.
        """
        if not isinstance(messages, Sequence) or isinstance(messages, str):
            raise UserError(f"messages: is {kind_of(messages)}; pass a list of messages with role and content")
        turns: list[tuple[str, list[str]]] = []
        for number, message in enumerate(messages):
            role, text = _read(number, message)
            if turns and turns[-1][0] == role:
                turns[-1][1].append(text)
            elif role == "system" and turns:
                raise UserError(f"messages.{number}: is a system message after the first turn; put it first")
            else:
                turns.append((role, [text]))
        texts = ["\n\n".join(parts) for _, parts in turns]
        system = texts.pop(0).strip() or None if turns and turns[0][0] == "system" else None
        if not texts or turns[-1][0] != "user":
            raise UserError("messages: the last one must be the user's; that is the question")
        if len(texts) % 2 == 0:
            raise UserError("messages: the first turn must be the user's, not the assistant's")
        pairs = zip(texts[::2], texts[1::2], strict=False)  # the last text is the question
        return cls(texts[-1], tuple(Demonstration(question=q, answer=a) for q, a in pairs), system)


Asked = str | Conversation
"""A question by itself, or as the last message of a conversation."""


def as_asked(question: Asked | None, messages: Messages | None) -> Asked:
    """Whichever of the two is given. Raises `UserError` unless it is one of them."""
    if (question is None) == (messages is None):
        raise UserError("question: give either a question or messages")
    return Conversation.of(messages) if messages is not None else question  # type: ignore[return-value]


def by_start(conversations: Sequence[Conversation]) -> dict[Start, list[int]]:
    """The conversations' numbers by what stands before their questions, which is read once."""
    groups: dict[Start, list[int]] = defaultdict(list)
    for number, conversation in enumerate(conversations):
        groups[conversation.start].append(number)
    return groups


def as_conversations(questions: Sequence[Asked], contexts: Sequence[str | None] | None) -> list[Conversation]:
    """The questions below their passages. Raises `UserError` for one that is empty or no text, such as messages."""
    passages: Sequence[str | None] = [None] * len(questions) if contexts is None else contexts
    if isinstance(questions, str) or len(passages) != len(questions):
        raise ValueError(f"questions must be a list, with a passage for each; got {len(passages)} passages")
    whole = [asked if isinstance(asked, Conversation) else Conversation(asked) for asked in questions]
    asked_texts = [conversation.question for conversation in whole]
    for name, texts in (("question", asked_texts), ("context", [text for text in passages if text is not None])):
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise UserError(f"{name} {number}: is {kind_of(text)}, not text; pass the text, or messages=[...]")
            if not text.strip():
                raise UserError(f"{name} {number}: is empty")
    return [
        replace(conversation, question=below(context and context.strip(), conversation.question.strip()))
        for context, conversation in zip(passages, whole, strict=True)
    ]


def _read(number: int, message: Any) -> tuple[str, str]:
    """Side and text of a message."""
    if not isinstance(message, Mapping):
        raise UserError(f"messages.{number}: is {kind_of(message)}; a message has role and content")
    role = ROLES.get(str(message.get("role")))
    if role is None:
        raise UserError(
            f"messages.{number}.role: {message.get('role')!r}; only messages by system, user and assistant are read"
        )
    if message.get("tool_calls") or message.get("function_call"):
        raise UserError(f"messages.{number}: calls a tool; calibration is of answers in text, so tools are not read")
    text = _text(number, message.get("content")).strip()
    if role == "user" and not text:
        raise UserError(f"messages.{number}.content: is empty")
    return role, text


def _text(number: int, content: Any) -> str:
    if content is None:
        return ""
    parts = content if isinstance(content, Sequence) and not isinstance(content, str | bytes) else [{"text": content}]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise UserError(f"messages.{number}.content: must be text, or a list of text parts (images are not read)")
    return "\n".join(map(str, texts))
