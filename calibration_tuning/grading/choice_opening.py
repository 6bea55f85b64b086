"""The choice that an answer opens with, if the rest tells why: "Yes, no license is needed.", "C. Paris", a blank line.

The rest may name the other choices and deny things. It may not turn round, or go through the options one after another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from calibration_tuning.grading import choice_doubts as doubts
from calibration_tuning.grading import choice_wording as wording
from calibration_tuning.grading.choice_mentions import ChoiceMentions
from calibration_tuning.grading.choice_naming import BETWEEN, Named, letter_index, mislabelled

_OPEN = re.compile(wording.OPEN)
_VERDICT = re.compile(
    r"yes|no|true|false|(?:in)?correct|right|wrong|maybe|(?:in)?valid|(?:dis)?agree|entail\w*|neutral|contradict\w*"
    r"|support\w*|refut\w*",
    re.IGNORECASE,
)
"""A choice that judges a statement: a denial behind "yes," is no denial of "yes"."""
_DENIES = re.compile(r"disagree|refut\w*|contradict\w*|invalid|incorrect|false|wrong", re.IGNORECASE)
_CLOSED = re.compile(
    rf"{wording.CLOSE}\s*(?:$|[,.;:!(\n–—]|-\s)"
    r"|(?:(?<=\byes)|(?<=\bno))\s+(?:it|they|he|she|we|you|I|there|this|that|these|those)\s",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"[\s,.;:!–—-]*(?:it|they|he|she|we|you|I|there|this|that|these|those)\s+"
    r"(?:is|are|was|were|am|do|does|did|can?|could|will|wo|would|has|have|had|should|may|might|must)"
    r"(?:\s*not|n?['’]t)\W*(?:$|[.,;!\n])",
    re.IGNORECASE,
)
"""Behind a verdict, and no more: "Yes, they don't." is none."""
_HEDGE = re.compile(
    r"[^\w?]*([A-Z])[^\w?]*\s(?i:I (?:think|believe|guess|suppose)|maybe|perhaps|probably|definitely)[^\w?]*"
)
_HEADING = re.compile(
    r"\n(?=\W*(?:explanation|reason(?:s|ing)?|rationale|justification|analysis|why|here(?:['’]s| is) why)\b)",
    re.IGNORECASE,
)
_FIRST_PARAGRAPH_END = re.compile(rf"\s*(?:{_HEADING.pattern}|\n\s*\n)", re.IGNORECASE)
_TURN = re.compile(r"\W*(?:but|however|although|though|actually|no[,.!:])(?!\w)", re.IGNORECASE)
"""Behind the opening: what may go on to another choice."""
_TAKEN_BACK = re.compile(
    r"(?:^|[.!?\n–—,]|\s-)\s*(?:(?:no|oh|but),?\s+)?(?:(?:wait|hmm+|oops|correction)\b\s*(?:[,.!:–—-]|(?:no|that|this|it|I|let)\b|$)"
    r"|on (?:second thoughts?|reflection)\b)",
    re.IGNORECASE,
)
_CALLED_WRONG = re.compile(
    r"(?:^|[.,;:!?(\n–—]|\bbut)\s*(?:this|that|it|which|(?:the|my) (?:\w+ )?(?:answer|choice|option))(?:['’]s| is| was)"
    r"(?: \w+ly)? (?:wrong|incorrect|false|mistaken|a mistake|not (?:right|correct|it\b|the answer|so\b))"
    r"\s*(?:[.!,;\n]|$)",
    re.IGNORECASE,
)
_WRONG_AS = re.compile(
    r"\W*(?:this|that|it)(?:['’]s| is| was) (?:wrong|incorrect|false|not (?:right|correct))\s+(?:because|since|as)\b",
    re.IGNORECASE,
)
_LINE_LABEL = re.compile(r"(?:^|(?<=\n))[\s\-•]*\(?([A-Z])[).:]?(?=[\s)])")


class ChoiceOpening(ChoiceMentions):
    """Finds the choice that an answer opens with and does not take back."""

    def opened(self) -> Named | None:
        """The verdict, the first paragraph, or the letter with "I think" behind it, that decides for one choice."""
        hedged = _HEDGE.fullmatch(self.text)
        if hedged and (index := letter_index(hedged[1], self.choices)) is not None:
            return Named(hedged.start(1), hedged.end(1), index)
        return self._verdict() or self._first_paragraph()

    def _verdict(self) -> Named | None:
        """A choice like "yes", with or without its label, that opens the answer, if no other choice is named."""
        named = next(self._texts_at_start(), None)
        if named is None or not _VERDICT.fullmatch(self.cleaned[named.index or 0]):
            return None
        if not _CLOSED.match(self.text, named.end) or _TURN.match(self.text, named.end):
            return None
        says_no = doubts.ANY_DENIAL.search(verdict := self.cleaned[named.index or 0]) or _DENIES.fullmatch(verdict)
        denied = _DENIAL.match(self.text, named.end) or _WRONG_AS.match(self.text, named.end)
        denied = denied or _CALLED_WRONG.search(self.text, named.end)
        if _TAKEN_BACK.search(self.text, named.end) or (denied and not says_no):
            return Named(0, 0, None)
        texts = list(self.texts_in(self.text, 0))
        refused = [n for n in texts if self.is_refused(n) or wording.WRONG.match(self.text, n.end)]
        offered = {n.index for n in texts if n not in refused}
        return named if offered == {named.index} and named.index not in {n.index for n in refused} else None

    def _texts_at_start(self) -> Iterator[Named]:
        """The choice's text that the answer begins with, also behind the choice's own label."""
        opening = _OPEN.match(self.text)
        start = opening.end() if opening else 0
        label = wording.MARKED.match(self.text, start)
        behind = BETWEEN.match(self.text, label.end()).end() if label else start  # type: ignore[union-attr]
        own_label = letter_index(label[1], self.choices) if label else None
        for named in self.texts_in(self.text, 0):
            if named.start == start or (named.start == behind and named.index == own_label):
                yield named

    def _first_paragraph(self) -> Named | None:
        """The choice that is all of the first paragraph, by letter, by text, or by both."""
        end = _FIRST_PARAGRAPH_END.search(self.text)
        named = self.named_at(0) if end else None
        if end is None or named is None or named.index is None or mislabelled(self.text, named.index, self.choices):
            return None
        if self.is_pronoun(named) or self.text[self.end_with_text(named) : end.start()].strip(" .:)]!"):
            return None
        rest = self.text[end.end() :]
        if _TAKEN_BACK.search(rest) or _CALLED_WRONG.search(rest):
            return Named(0, 0, None)
        if _TURN.match(rest) or any(wrong.index == named.index for wrong in self.before_verdicts(wording.WRONG)):
            return None
        labels = [letter_index(match[1], self.choices) for match in _LINE_LABEL.finditer(rest)]
        others = [index for index in labels if index is not None]
        goes_on = others[:1] == [named.index + 1] and not _HEADING.match(self.text, end.start())
        last = rest.rstrip().rpartition("\n")[2]
        return None if goes_on or self._is_bare(last, named.index) else named

    def _is_bare(self, line: str, chosen: int) -> bool:
        """True if a line is another choice than the chosen one, and no more."""
        label = wording.LABEL.match(line)
        text = line[label.end() if label else 0 :].strip(" .:)(]-").casefold()
        if label and not text:
            return letter_index(label[1], self.choices) not in (None, chosen)
        return self.index_of_text.get(text, chosen) != chosen
