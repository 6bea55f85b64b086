"""Token ids of the parts of a text, such that the parts joined are the ids of the whole text.

Tokenizers merge across the seam between two parts ("Answer:" and " Paris" share a token in some, "\n\n" is cut
differently before a word than at the end of a text) and treat the beginning of a text differently. So a part is always
tokenized after what stands before it, and a seam is moved to where the tokens of the whole text have a border.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from calibration_tuning.errors import UserError
from calibration_tuning.grading.traces import TRACES

FOLLOWERS = ("Which", "a", "ii", "i", "7", "3.5", '"So"', "(A)", "É", "東京", "−1")
"""Beginnings of contents, with which seams are tried: letters, digits, quotation marks, brackets, other scripts."""
FARTHEST = 24
"""Characters by which a seam may move to the left."""
_MARK = "\u241e"
"""Stands on both sides of a content that is read as text alone, in hexadecimal digits."""
_MARKED = re.compile(f"{_MARK}([0-9a-f]+){_MARK}")
CACHED, LONGEST_CACHED = 256, 16_384
"""Texts whose ids are kept, and characters of the longest: a server sees many texts once, and some are huge."""


class Encoder:
    """Tokenizes whole texts. Contents that spell a special token (`<|im_end|>`) stay text.

    `begins`: whether the tokenizer's special tokens are put around a text, as servers do with plain text; a chat
    template writes them itself. `written`: what the chat template writes around messages. Tokens in it that the
    tokenizer added as ordinary ones (R1's `<|User|>`) are special too, except for the tags of traces and white space.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, begins: bool, written: str = "") -> None:
        self.tokenizer = tokenizer
        self.begins = begins
        added = tokenizer.added_tokens_decoder.values()
        special = {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}
        ordinary = {str(token) for token in added} - special - {*TRACES.keys(), *TRACES.values()}
        headers = {token for token in ordinary if token in written and len(token.strip()) > 1}
        self.special = _any_of(special | headers)
        self._headers = _any_of(headers)
        """The ordinary tokens among them."""
        self._after_text = self._appended()
        self._cached: Callable[[str], list[int]] = lru_cache(maxsize=CACHED)(self._ids_of)

    def ids_of(self, text: str) -> list[int]:
        return self._cached(text) if len(text) <= LONGEST_CACHED else self._ids_of(text)

    def protected(self, content: str) -> str:
        """The content, marked if it spells a special token or a mark. Half of a surrogate pair, which no tokenizer
        takes, is a question mark."""
        content = content.encode("utf-8", "replace").decode()
        if _MARK not in content and not (self.special and self.special.search(content)):
            return content
        return f"{_MARK}{content.encode().hex()}{_MARK}"

    def _appended(self) -> int:
        """Tokens that the tokenizer puts behind every text (T5-like ones an end of text)."""
        if not self.begins:
            return 0
        added, plain = self.tokenizer("a").input_ids, self.tokenizer("a", add_special_tokens=False).input_ids
        for count in range(len(added)):
            if added[len(added) - count - len(plain) : len(added) - count] == plain:
                return count
        return 0

    def _ids_of(self, text: str) -> list[int]:
        pieces = _MARKED.split(text)
        ids = self._encode(pieces[0])
        for marked, following in zip(pieces[1::2], pieces[2::2], strict=True):
            content = bytes.fromhex(marked).decode()
            ids = [*ids, *self.continued(content, plain=True), *self.continued(following)]
        return ids

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=self.begins).input_ids
        return ids[: len(ids) - self._after_text]

    def continued(self, text: str, plain: bool = False) -> list[int]:
        """The text within another one: without what a tokenizer puts before the first word of a text. `plain`: special
        tokens in it are tokenized as text."""
        if not text:
            return []
        options = {"add_special_tokens": False, "split_special_tokens": plain}
        before = self.tokenizer("\n", **options).input_ids
        pieces = self._cut(text) if plain else [text]
        ids: list[int] = []
        for piece, after in zip(pieces, self.tokenizer([f"\n{p}" for p in pieces], **options).input_ids, strict=True):
            joins = after[: len(before)] != before
            ids += self.tokenizer(piece, **options).input_ids if joins else after[len(before) :]
        return ids

    def _cut(self, text: str) -> list[str]:
        """The text cut in the middle of every header. A tokenizer can be told to leave special tokens alone, but not
        the ordinary ones."""
        cuts = [0]
        while self._headers and (header := self._headers.search(text, cuts[-1])):
            cuts.append((header.start() + header.end()) // 2)
        return [text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]


def _any_of(tokens: Collection[str]) -> re.Pattern[str] | None:
    """The longest of the tokens that stand at a place."""
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True)))) if tokens else None


def movable(encoder: Encoder, left: str, followers: Sequence[str] = FOLLOWERS) -> int:
    """Return where the text `left` can be cut from what follows it.

    It is the largest n such that the ids of left[:n] are the first ids of `left` with any of the followers. Raises
    `UserError` if there is no such place.
    """
    sequences = [encoder.ids_of(left + follower) for follower in followers]
    for n in range(len(left), max(-1, len(left) - FARTHEST), -1):
        ids = encoder.ids_of(left[:n])
        if all(sequence[: len(ids)] == ids for sequence in sequences):
            return n
    raise UserError(
        f"model.path: the tokenizer joins {left[-FARTHEST:]!r} with what follows, so that a prompt cannot be cut there"
    )


def after(encoder: Encoder, left: str, text: str) -> list[int]:
    """Ids of `text` after `left`: what the whole text has after the ids of `left`."""
    before, ids = encoder.ids_of(left), encoder.ids_of(left + text)
    if ids[: len(before)] == before:
        return ids[len(before) :]
    # A beginning that merges with what stands before it, such as an accent alone.
    return encoder.continued(text)


def short_context(encoder: Encoder, left: str, followers: Sequence[str] = FOLLOWERS) -> str:
    """A short end of `left` after which texts have the same ids as after the whole of it."""
    expected = [after(encoder, left, follower) for follower in followers]
    special = encoder.special
    starts = [match.start() for match in special.finditer(left)] if special else []
    for start in sorted({*starts[-2:], left.rfind("\n", 0, -1) + 1}, reverse=True):
        if [after(encoder, left[start:], follower) for follower in followers] == expected:
            return left[start:]
    return left
