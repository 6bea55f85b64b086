"""A long answer as claims: its sentences with their places, how each is asked about, and what they say together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

CLAIM = (
    "{question}\n\nAn answer to this question, which may be wrong in parts:\n{answer}\n\nWhich claim of it is right?"
)
"""The question that a claim is judged as an answer to. Checkpoints are tuned on these bytes (docs/own_data.md)."""
FENCE = "```"
_MARKER = re.compile(r"\s*(?:[-*+•#>]+|\(?\d{1,3}[.)])\s+")
"""What begins an item of a list, a heading or a quotation."""
LANGUAGE = "en"
"""Whose abbreviations do not end a sentence. The ends of sentences are those of all scripts."""


class Span(NamedTuple):
    """A part of a text, from the character `start` up to `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class Claim:
    text: str
    """`answer[start:end]`."""
    start: int
    end: int
    confidence: float
    """Probability in [0, 1] that the claim is correct, by the uncertainty query."""


@dataclass(frozen=True)
class JudgedClaims:
    """The claims of a long answer in their order, at least one, and three numbers in [0, 1] for all of them."""

    claims: list[Claim]

    @property
    def minimum(self) -> float:
        """Confidence of the least certain claim: no less than the probability that all claims are correct."""
        return float(min(self._confidences))

    @property
    def product(self) -> float:
        """Probability that all claims are correct, if whether one is says nothing about the others."""
        return float(np.prod(self._confidences))

    @property
    def mean(self) -> float:
        """Share of the claims that is expected to be correct."""
        return float(np.mean(self._confidences))

    @property
    def confidence(self) -> float:
        """`minimum`. Claims of one answer are right or wrong together, so that `product` is too low and falls with the
        answer's length whatever it says; `mean` hides a single wrong claim among many right ones."""
        return self.minimum

    @property
    def _confidences(self) -> list[float]:
        return [claim.confidence for claim in self.claims]


def claim_question(question: str, answer: str) -> str:
    """The question that a claim of `answer` is judged as an answer to, with the whole answer to read."""
    return CLAIM.format(question=question.strip(), answer=answer.strip())


def claim_spans(answer: str) -> list[Span]:
    """Where the claims of an answer are: the sentences of each line, by sentencex.

    Marks of lists, headings and quotations do not belong to a claim; a fenced block of code is one claim. What holds no
    letter belongs to the sentence behind it ("2." in "2. Oslo."), and is dropped where it has no digit either. Empty
    for a text without letters and digits.
    """
    spans: list[Span] = []
    for block in _blocks(answer):
        text = answer[block.start : block.end]
        pieces = [Span(0, len(text))] if _is_fence(text.splitlines()[0]) else _sentences(text)
        for piece in pieces:
            words = text[piece.start : piece.end]
            start = block.start + piece.start + len(words) - len(words.lstrip())
            end = block.start + piece.start + len(words.rstrip())
            if any(character.isalnum() for character in words):
                spans.append(Span(start, end))
    return spans


def _blocks(answer: str) -> list[Span]:
    """Lines, those of a fenced block of code together."""
    blocks: list[Span] = []
    fenced = False
    start = 0
    for line in answer.splitlines(keepends=True):
        end = start + len(line)
        blocks.append(Span(blocks.pop().start if fenced else start, end))
        fenced ^= _is_fence(line)
        start = end
    return blocks


def _is_fence(line: str) -> bool:
    """Whether a line opens or closes a block of code; code that ends on the line it begins on does neither."""
    return line.lstrip().startswith(FENCE) and line.count(FENCE) % 2 == 1


def _sentences(line: str) -> list[Span]:
    from sentencex import get_sentence_boundaries

    marker = _MARKER.match(line)
    begin = marker.end() if marker else 0
    pieces: list[Span] = []
    carried: int | None = None
    for boundary in get_sentence_boundaries(LANGUAGE, line[begin:]):
        start, end = begin + boundary["start_index"], begin + boundary["end_index"]
        start = start if carried is None else carried
        if any(character.isalpha() for character in line[start:end]):
            pieces.append(Span(start, end))
            carried = None
        else:
            carried = start
    return pieces if carried is None else [*pieces, Span(carried, len(line))]
