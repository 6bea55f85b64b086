"""Answers that are digits among choices that are digits: "1" is the choice 1, or position 1. A whole set tells which.

In MMLU as a table every answer is a position, and choices may be numbers. In other tables it is a choice's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from calibration_tuning.records import Question

TEXTS, POSITIONS = "texts", "positions"


class NumberAnswers:
    """What the rows of one set say about its answers, and the questions that can be read in both ways."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        """How the rows are meant that can be read in only one way."""
        self.unclear: dict[int, tuple[int, str, str, str]] = {}
        """By place of a question: the row's number, the column, and the right choice if answers are texts, and if
        they are positions."""

    def note(self, shape: Mapping[str, Any], place: int, number: int) -> None:
        column, by_text, by_position = shape.get("readings", ("", None, None))
        if by_text and by_position:
            if by_text != by_position:
                self.unclear[place] = (number, column, by_text, by_position)
        elif by_text or by_position:
            self.kinds.add(TEXTS if by_text else POSITIONS)

    def settled(self, questions: Sequence[Question]) -> list[Question | None]:
        """The questions with the right choice as the set means it; None for those that stay unclear."""
        return [
            question if place not in self.unclear else self._meant(place, question)
            for place, question in enumerate(questions)
        ]

    def _meant(self, place: int, question: Question) -> Question | None:
        _, _, text, position = self.unclear[place]
        if self.kinds == {TEXTS}:
            return question
        if self.kinds != {POSITIONS}:
            return None
        others = [other for other in question.references if other not in (text, position)]
        return question.model_copy(update={"references": [position, *others]})

    def left_out(self) -> list[tuple[int, str]]:
        """The rows that stay unclear, with the reason."""
        if self.kinds in ({TEXTS}, {POSITIONS}):
            return []
        return [
            (
                number,
                f"answer: {text!r} is one of the choices and also the position of {position!r}; write label: "
                f'"{{{{ {column} }}}}" if answers are positions, answer: "{{{{ row.{column} }}}}" if they are texts',
            )
            for number, column, text, position in self.unclear.values()
        ]
