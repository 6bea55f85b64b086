"""Which choices a text names, and where: by a letter that is one, or by a choice's own text."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calibration_tuning.grading import choice_wording as wording
from calibration_tuning.records import CHOICE_LETTERS

_OTHER_LETTER = re.compile(r"[ \t]*[:–—-][ \t]*([A-Z])[.)]*[ \t]*(?:\n|$)")
_CLAUSE = 400
"""Characters of the longest clause that is looked at."""
_BETWEEN = re.compile(r"[)\]}>\"”’'.:,\s–—-]*")


@dataclass(frozen=True)
class Named:
    """A choice named at a place of the text; `index` None for several at once, or a letter that is not offered."""

    start: int
    end: int
    index: int | None


def letter_index(letter: str, choices: Sequence[str]) -> int | None:
    index = CHOICE_LETTERS.find(letter.upper())
    return index if 0 <= index < len(choices) else None


def _is_among(name: Named, others: Sequence[Named]) -> bool:
    return any(other.start <= name.start and name.end <= other.end for other in others)


class ChoiceNames:
    """Finds the choices that one answer names."""

    def __init__(self, text: str, choices: Sequence[str]) -> None:
        self.text, self.choices = text, choices
        cleaned = [
            " ".join(unicodedata.normalize("NFKC", c).translate(wording.DROPPED).strip(" .").split()) for c in choices
        ]
        self.cleaned = cleaned
        order = sorted(range(len(choices)), key=lambda i: -len(cleaned[i]))
        self.whole = {text.casefold(): index for index, text in enumerate(cleaned) if len(text) > 1}
        self.order = [i for i in order if cleaned[i]]
        spaced = [r"\s+".join(map(re.escape, cleaned[i].split())) for i in self.order]
        # Of a single letter the case counts: beside the label C, "c" may be the text of D.
        texts = "|".join(f"((?-i:{text}))" if len(text) == 1 else f"({text})" for text in spaced)
        pattern = rf"(?:(?:the|an?)\s+)?(?<![\w.,-])(?:{texts})(?![\w%]|[.,]\d)"
        self._texts = re.compile(pattern, re.IGNORECASE) if texts else None
        self._clauses = [
            match.end()
            for match in wording.CLAUSE_END.finditer(text)
            if match[0] != "." or not wording.LABEL_DOT.search(text, max(0, match.start() - 20), match.start())
        ]
        self._wrong_ends = [match.end() for match in wording.WRONG.finditer(text)]

    def names_before(self, end: int, after_wrong: bool) -> list[Named]:
        """The choices named in the clause before a place; also a clause is over that says what is wrong."""
        ends = (self._clauses, self._wrong_ends) if after_wrong else (self._clauses,)
        start = max(end - _CLAUSE, *(places[i - 1] for places in ends if (i := bisect_right(places, end - 1))), 0)
        letters = list(self.letters_in(self.text[start:end], start))
        texts = [text for text in self.texts_in(self.text[start:end], start) if not _is_among(text, letters)]
        return sorted([*letters, *texts], key=lambda name: name.end)

    def list_ending(self, names: list[Named]) -> list[Named]:
        """The names that make one list with the last: of "D is left, A, B and C" the last three."""
        first = len(names) - 1
        while first and wording.LISTED.fullmatch(self.text, names[first - 1].end, names[first].start):
            first -= 1
        return names[first:]

    def letters_in(self, clause: str, offset: int) -> Iterator[Named]:
        for match in re.finditer(r"(?<![\w'’])[(\[\"'“]?([A-Z])[)\]\"'”.:,]*(?=\s|$)", clause):
            yield Named(offset + match.start(), offset + match.end(), letter_index(match[1], self.choices))

    def texts_in(self, clause: str, offset: int) -> Iterator[Named]:
        if self._texts is not None:
            for match in self._texts.finditer(clause):
                yield Named(offset + match.start(), offset + match.end(), self.order[(match.lastindex or 1) - 1])

    def named_at(self, position: int) -> Named | None:
        """The choice named at a place, behind brackets and quotes; index None if another is named with it."""
        rest = " ".join(self.text[position:].strip(" .:\n").split()).casefold()
        if rest in self.whole:
            return Named(position, len(self.text), self.whole[rest])
        opening = re.compile(
            rf"{wording.OPEN}(?:(?:both|either|{wording.NOUN})\s+)?{wording.OPEN}", re.IGNORECASE
        ).match(self.text, position)
        start = opening.end() if opening else position
        named = self._single(start)
        if named is None:
            return None
        also = wording.ALSO.match(self.text, named.end)
        second = self._single(also.end()) if also else None
        if second is not None and second.index != named.index and not wording.WRONG.match(self.text, second.end):
            verb = re.match(r"\s+(?:is|are|was|were|has|have|would|can)\b", self.text[second.end :])
            if verb is None:
                return Named(named.start, second.end, None)
        return named

    def _single(self, start: int) -> Named | None:
        if match := wording.MARKED.match(self.text, start):
            index = letter_index(match[1], self.choices)
            return Named(start, match.end(), None if self._contradicts(index, match.end()) else index)
        if text := self._text_at(start):
            return text
        if match := wording.CAPITAL.match(self.text, start):
            index = letter_index(match[0], self.choices)
            text = self._text_at(match.end() + 1)
            return Named(start, match.end(), None if text and text.index != index else index)
        return None

    def _contradicts(self, index: int | None, end: int) -> bool:
        """True if another choice follows a label ("A: C", "A. Paris"), unless a new line tells of that other."""
        if letter := _OTHER_LETTER.match(self.text, end):
            return letter_index(letter[1], self.choices) != index
        text_start = _BETWEEN.match(self.text, end).end()  # type: ignore[union-attr]
        text = self._text_at(text_start)
        told = text is not None and "\n" in self.text[end:text_start] and wording.TOLD.match(self.text, text.end)
        return text is not None and text.index != index and not told

    def _text_at(self, start: int) -> Named | None:
        match = self._texts.match(self.text, start) if self._texts is not None else None
        if match is None or not wording.AFTER_TEXT.match(self.text, match.end()):
            return None
        return Named(start, match.end(), self.order[(match.lastindex or 1) - 1])
