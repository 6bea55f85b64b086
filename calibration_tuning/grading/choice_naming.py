"""Find the choices that a text names, and where: by letter, or by the choice's text."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calibration_tuning.grading import choice_doubts as doubts
from calibration_tuning.grading import choice_wording as wording
from calibration_tuning.grading.number_parsing import plain_number, read_number
from calibration_tuning.records import CHOICE_LETTERS

_NO_NOUN = re.compile(wording.NO_NOUN, re.IGNORECASE)
_LETTER = re.compile(
    rf"(?<![\w'’])[(\[\"'“]?([A-Z])[)\]\"'”.:,]*(?=\s|$)|\b(?i:{wording.NOUN})\s+\(([a-z])(?:\)(?=\s|$)|$)"
)
_OTHER_LETTER = re.compile(r"[ \t]*[:–—-][ \t]*([A-Z])[.)]*[ \t]*(?:\n|$)")
_AFTER_NUMBER = re.compile(r"(?<=\d)\\s\+(?=[^\W\d_])")
_DECIMAL = re.compile(r"-?\d*\.\d+(?![\w%]|[.,]\d)")
_CLAUSE = 400
"""Characters of the longest clause that is looked at."""
BETWEEN = re.compile(r"[()\[\]{}<>\"“”‘’'.:,→\s–—-]*")


@dataclass(frozen=True)
class Named:
    """A choice named at a place of the text; `index` None for several at once, or a letter that is not offered."""

    start: int
    end: int
    index: int | None


def letter_index(letter: str, choices: Sequence[str]) -> int | None:
    index = CHOICE_LETTERS.find(letter.upper())
    return index if 0 <= index < len(choices) else None


def differ_in_case(choices: Sequence[str]) -> list[int]:
    """The choices that equal another choice except for case: TT, Tt and tt are three genotypes."""
    folded = [choice.casefold() for choice in choices]
    return [
        i
        for i, choice in enumerate(choices)
        if any(folded[i] == folded[j] and choice != choices[j] for j in range(len(choices)))
    ]


def mislabelled(text: str, index: int, choices: Sequence[str]) -> bool:
    """True if a text begins with the label of another choice than its text: "A) Paris" where Paris is C."""
    label = wording.TEXT_LABEL.match(text)
    if label is None or choices[index].casefold().startswith(label[0].casefold()):
        return False  # "C.S. Lewis" has no label
    return letter_index(label[1], choices) not in (None, index)


def _is_among(name: Named, names: Sequence[Named]) -> bool:
    return any(other.start <= name.start and name.end <= other.end for other in names)


class ChoiceNames:
    """Finds the choices that an answer names."""

    def __init__(self, text: str, choices: Sequence[str]) -> None:
        self.text, self.choices = text, choices
        cleaned = [
            " ".join(unicodedata.normalize("NFKC", c).translate(wording.DROPPED).strip(" .").split()) for c in choices
        ]
        self.cleaned = cleaned
        order = sorted(range(len(choices)), key=lambda i: -len(cleaned[i]))
        cased = set(differ_in_case(cleaned))
        self.index_of_text = {
            text.casefold(): index for index, text in enumerate(cleaned) if len(text) > 1 and index not in cased
        }
        self.order = [i for i in order if cleaned[i]]
        # "10 km" is also written "10km".
        spaced = {i: _AFTER_NUMBER.sub(r"\\s*", r"\s+".join(map(re.escape, cleaned[i].split()))) for i in self.order}
        # Of a single letter the case counts: beside the label C, "c" may be the text of D.
        texts = "|".join(
            f"((?-i:{text}))" if len(cleaned[i]) == 1 or i in cased else f"({text})" for i, text in spaced.items()
        )
        pattern = rf"(?:\b(?:the|an?)\s+)?(?<![\w.,-])(?:{texts})(?![\w%]|[.,]\d)"
        self._texts = re.compile(pattern, re.IGNORECASE) if texts else None
        self._clauses = [
            match.end()
            for match in wording.CLAUSE_END.finditer(text)
            if match[0] != "." or not wording.LABEL_DOT.search(text, max(0, match.start() - 20), match.start())
        ]
        self._wrong_ends = [match.end() for match in wording.WRONG.finditer(text)]

    def names_before(self, end: int, after_wrong: bool) -> list[Named]:
        """The choices named in the clause before a place. With `after_wrong`, "A is wrong" ends a clause too."""
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
        for match in _LETTER.finditer(clause):
            if match[0] != "I" or self.text.startswith(" is", offset + match.end()):  # not "I was right"
                yield Named(
                    offset + match.start(),
                    offset + match.end(),
                    letter_index(match[match.lastindex or 1], self.choices),
                )

    def is_pronoun(self, named: Named) -> bool:
        """True if the letter I may be the pronoun: not in brackets, and without the choice's text behind it."""
        if not re.compile(r"(?<![(\[])I(?![\w'’])").match(self.text, named.start):
            return False
        text_start = BETWEEN.match(self.text, named.start + 1).end()  # type: ignore[union-attr]
        text = self.text_at(text_start)
        return text is None or text.index != named.index

    def texts_in(self, clause: str, offset: int) -> Iterator[Named]:
        if self._texts is not None:
            for match in self._texts.finditer(clause):
                named = Named(offset + match.start(), offset + match.end(), self.order[(match.lastindex or 1) - 1])
                if match[0].casefold() != "no" or not _NO_NOUN.match(clause, match.end()):
                    yield named

    def named_at(self, position: int) -> Named | None:
        """The choice named at a place, behind brackets and quotes; index None if another is named with it."""
        rest = " ".join(self.text[position:].strip(" .:\n").split()).casefold()
        if rest in self.index_of_text:
            return Named(position, len(self.text), self.index_of_text[rest])
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
            if index is None and (text := self.text_at(start)):
                return text  # "O" is a blood group where four choices have letters
            return Named(start, match.end(), None if self._contradicts(index, match.end()) else index)
        if text := self.text_at(start):
            label = wording.LABEL_BEHIND.match(self.text, text.end)
            other = label is not None and letter_index(label[1], self.choices) != text.index
            return Named(text.start, label.end() if label else text.end, None if other else text.index)
        if match := wording.CAPITAL.match(self.text, start):
            index = letter_index(match[0], self.choices)
            return Named(start, match.end(), None if self._contradicts(index, match.end()) else index)
        return None

    def _contradicts(self, index: int | None, end: int) -> bool:
        """True if another choice follows a label ("A: C", "A. Paris"), unless a new line tells of that other.

        A new sentence on the same line has to name a second one: "The answer is C. Rome (A) is in Italy." has one
        reading, but "C. Rome is in Italy" may be a label and its text.
        """
        if letter := _OTHER_LETTER.match(self.text, end):
            return letter_index(letter[1], self.choices) != index
        text_start = BETWEEN.match(self.text, end).end()  # type: ignore[union-attr]
        text = self.text_at(text_start)
        between = self.text[end:text_start]
        if text is None or text.index == index:
            return False
        told = wording.TOLD.match(self.text, text.end)
        label = letter_index(told[1], self.choices) if told and told[1] else None
        if told is None or (told[1] and label != text.index):
            return True
        return "\n" not in between and not (". " in between and (label is not None or self._compares(text)))

    def _compares(self, text: Named) -> bool:
        """True if the sentence that tells of a choice goes on to another: "Rome is in Italy, so A is wrong"."""
        end = wording.SENTENCE_END.search(self.text, text.end)
        clause = self.text[text.end : end.start() if end else len(self.text)]
        return any(self.letters_in(clause, text.end)) or any(
            other.index != text.index and not doubts.is_refused(self.text, other.start)
            for other in self.texts_in(clause, text.end)
        )

    def end_with_text(self, named: Named) -> int:
        """Where a label ends, or the label's own text if it follows: "C. Paris"."""
        text = self.text_at(BETWEEN.match(self.text, named.end).end())  # type: ignore[union-attr]
        return text.end if text is not None and text.index == named.index else named.end

    def text_at(self, start: int) -> Named | None:
        match = self._texts.match(self.text, start) if self._texts is not None else None
        if match is None:
            return self._decimal_at(start)
        index = self.order[(match.lastindex or 1) - 1]
        end = self.text_end(Named(start, match.end(), index))
        return None if end is None else Named(start, end, index)

    def _decimal_at(self, start: int) -> Named | None:
        """The only choice whose number is written here with another number of decimals: "5.0" for 5."""
        match = _DECIMAL.match(self.text, start)
        value = plain_number(match[0]) if match else None
        equal = [i for i, text in enumerate(self.cleaned) if value is not None and plain_number(text) == value]
        if match is None or len(equal) != 1 or not wording.AFTER_TEXT.match(self.text, match.end()):
            return None
        return Named(start, match.end(), equal[0])

    def text_end(self, named: Named) -> int | None:
        """Where a choice's text ends, if no word runs on; a bare number may have a unit behind it: "20 km"."""
        if wording.AFTER_TEXT.match(self.text, named.end):
            return named.end
        unit = wording.UNIT.match(self.text, named.end)
        value = plain_number(self.cleaned[named.index or 0]) if unit else None
        if unit is None or value is None or read_number(self.text[named.start : unit.end()]) != value:
            return None
        return unit.end()
