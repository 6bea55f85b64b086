"""A question as the last message of a conversation, read from messages as chat clients send and data sets hold them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from calibration_tuning.errors import UserError
from calibration_tuning.records import Demonstration, below
from calibration_tuning.values import NotText, as_text, is_missing, kind_of

Messages = Sequence[Mapping[str, Any]]
ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "system": "system",
    "developer": "system",
}
"""The side that a message is by."""


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
        """Read messages as `turns_of` does. Raises `UserError` naming the one that does not fit; the user's is last."""
        if not isinstance(messages, Sequence) or isinstance(messages, str):
            raise UserError(f"messages: is {kind_of(messages)}; pass a list of messages with role and content")
        try:
            system, pairs, question = turns_of("messages", messages)
        except ValueError as error:
            raise UserError(str(error)) from None
        if question is None:
            raise UserError("messages: the last one must be the user's; that is the question")
        return cls(question, tuple(Demonstration(question=q, answer=a) for q, a in pairs), system)


Asked = str | Conversation
"""A question by itself, or as the last message of a conversation."""


def as_asked(question: Asked | None, messages: Messages | None) -> Asked:
    """Return the question, or the conversation in `messages`. Raises `UserError` unless exactly one is given."""
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
    """Return the questions below their passages. Raises `UserError` for a question that is empty or not text, such as
    messages."""
    asked = listed("questions", questions)
    passages = [None] * len(asked) if contexts is None else listed("contexts", contexts, len(asked))
    conversations = [question if isinstance(question, Conversation) else Conversation(question) for question in asked]
    for name, texts in (("question", [conversation.question for conversation in conversations]), ("context", passages)):
        for number, text in enumerate(texts):
            if name == "context" and text is None:
                continue
            if not isinstance(text, str):
                raise UserError(f"{name} {number}: is {kind_of(text)}, not text; pass the text, or messages=[...]")
            if not text.strip():
                raise UserError(f"{name} {number}: is empty")
    return [
        replace(conversation, question=below(context and context.strip(), conversation.question.strip()))
        for context, conversation in zip(passages, conversations, strict=True)
    ]


def listed(name: str, values: Any, count: int | None = None) -> list[Any]:
    """Return the values of an argument that takes a list. Raises `UserError` if they are not a list, or not as many as
    the `count` questions."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise UserError(f"{name}: is {kind_of(values)}; pass a list")
    items = list(values)
    if count is not None and len(items) != count:
        raise UserError(f"{name}: there are {len(items)} for {count} questions; pass one for each")
    return items


def turns_of(name: str, messages: Messages) -> tuple[str | None, list[tuple[str, str]], str | None]:
    """The system message, the questions with their replies, and the last question if it has no reply.

    A message is `{"role": "user", "content": "..."}`, or `{"from": "human", "value": "..."}` as in ShareGPT. System
    messages come first, and empty ones count as none. Then user and assistant take turns, the user first; messages in a
    row by the same side are joined by an empty line. A content is text or a list of text parts. Raises `ValueError`
    naming the message of `name` that does not fit.
    """
    turns: list[tuple[str, list[str]]] = []
    for number, message in enumerate(messages):
        side, text = _read(f"{name}.{number}", message)
        if turns and turns[-1][0] == side:
            turns[-1][1].append(text)
        elif side == "system" and turns:
            raise ValueError(f"{name}.{number}: is a system message after the first turn; put it first")
        else:
            turns.append((side, [text]))
    texts = ["\n\n".join(parts) for _, parts in turns]
    system = texts.pop(0).strip() or None if turns and turns[0][0] == "system" else None
    if not texts or turns[-len(texts)][0] != "user":
        raise ValueError(f"{name}: the first turn must be the user's")
    return system, list(zip(texts[::2], texts[1::2], strict=False)), texts[-1] if len(texts) % 2 else None


def side_of(message: Mapping[str, Any]) -> str | None:
    """Side that a message is by: user, assistant or system; None for others, such as tools."""
    return ROLES.get(str(_role(message)).casefold())


def _role(message: Mapping[str, Any]) -> Any:
    return message.get("role", message.get("from"))


def _read(where: str, message: Any) -> tuple[str, str]:
    """Side and text of a message."""
    if not isinstance(message, Mapping):
        raise ValueError(f"{where}: is {kind_of(message)}; a message has role and content")
    side = side_of(message)
    if side is None:
        raise ValueError(f"{where}.role: {_role(message)!r}; only messages by system, user and assistant are read")
    if message.get("tool_calls") or message.get("function_call"):
        raise ValueError(f"{where}: calls a tool; calibration is of answers in text, so tools are not read")
    text = _text(where, message.get("content", message.get("value")))
    if side == "user" and not text:
        raise ValueError(f"{where}.content: is empty")
    return side, text


def _text(where: str, content: Any) -> str:
    if is_missing(content):
        return ""
    parts = content if isinstance(content, list | tuple) else [content]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    try:
        if any(map(is_missing, texts)):
            raise NotText("is no text part")
        return "\n".join(map(as_text, texts)).strip()
    except NotText:
        raise ValueError(f"{where}.content: must be text, or a list of text parts (images are not read)") from None
