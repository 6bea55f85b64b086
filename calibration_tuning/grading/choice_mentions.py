"""The only choice that an answer mentions, if the words around it offer it: they may deny, ask, or break off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from calibration_tuning.grading import choice_doubts as doubts
from calibration_tuning.grading import choice_wording as wording
from calibration_tuning.grading.choice_naming import BETWEEN, ChoiceNames, Named, letter_index

_APART = re.compile(r"(?<=,)|\s*[,;]")
_DASHED = re.compile(rf"{_APART.pattern}|\s[–—-]\s")
_OF = re.compile(r"\bof\s+[\"'“(]*$", re.IGNORECASE)
_IS = re.compile(r"\s+(?:is|are|was|equals|=)\s+")
_OR = re.compile(r"\s+n?or\s+", re.IGNORECASE)
_FIRST_IS = re.compile(r"(?!.*\b(?:first|one|another|other)\b)[^.,;:!?\n]*\b(?:is|was)\s+[\"'“(]*", re.IGNORECASE)
"""Before a choice that ends the first sentence: "The capital of France is"."""
_TURN = re.compile(r"\b(?:but(?! (?:not|I)\b)|however|on the other hand|for (?:example|instance))\b", re.IGNORECASE)
_WHY = re.compile(r"\b(?:because|since|as|due to|rather than|instead of|unlike)\b", re.IGNORECASE)


class ChoiceMentions(ChoiceNames):
    """Distinguishes a choice that is offered as the answer from a choice that is only discussed."""

    def before_verdicts(self, verdict: re.Pattern[str]) -> Iterator[Named]:
        """The choices that stand before "is correct" or "is wrong". Of several choices together, each is wrong, or none
        is right."""
        for match in verdict.finditer(self.text):
            names = self.names_before(match.start(), verdict is wording.RIGHT)
            if not names or names[-1].end < match.start() - 1:
                continue
            last = names[-1]
            if verdict is wording.WRONG:
                yield from (Named(name.start, match.end(), name.index) for name in self.list_ending(names))
                continue
            if self.is_refused(last) or doubts.CONDITIONAL.match(self.text, match.end()):
                continue
            seeming = doubts.SEEMING.search(match.group()) and doubts.NOT_AS_IT_SEEMS.match(self.text, match.end())
            if seeming or doubts.RETRACTED.match(self.text, match.end()):
                continue
            if match["word"] and self.index_of_text.get(match["word"].casefold()) == last.index:
                continue  # "A: True" is a choice with its text
            other_indices = [name.index for name in names[:-1] if not doubts.is_refused(self.text, name.start)]
            joined = wording.JOINED.search(self.text[names[0].start : match.start()])
            # "Between B and C, C is correct" names it a second time.
            several = joined and set(other_indices) - {last.index} and last.index not in other_indices
            yield Named(last.start, match.end(), None if several else last.index)

    def mentioned(self) -> Named | None:
        """The only choice that the answer mentions and does not deny, by letter in brackets, or by its text."""
        if self._states_no_choice():
            return None
        letters = [
            Named(match.start(), match.end(), letter_index(match[match.lastindex or 1], self.choices))
            for match in wording.MENTION.finditer(self.text)
        ]
        denied = {named.index for named in self.before_verdicts(wording.WRONG)}
        if letters:
            undenied = [
                named
                for named in letters
                if named.index not in denied
                and not self.is_refused(named)
                and not doubts.is_doubted(self.text, named.end - 1)
            ]
            offered = [named for named in undenied if not self.is_discussed(named, by_letter=True)]
            return offered[0] if offered and len({named.index for named in undenied}) == 1 else None
        texts = self._without_subjects(list(self.texts_in(self.text, 0)))
        # "Paris, not Rome" mentions Rome only to deny it; "larger than Rome" decides for neither.
        refused: list[Named] = []
        for named in texts:
            goes_on = refused and _OR.fullmatch(self.text, refused[-1].end, named.start)  # "not Rome or Oslo"
            if goes_on or self.is_refused(named):
                refused.append(named)
        undenied = [n for n in texts if n not in refused or doubts.is_compared(self.text, n.start)]
        if len({n.index for n in undenied}) != 1 or undenied[0].index in {n.index for n in refused}:
            return self._alone_at_start(texts)
        if any(wording.WRONG.match(self.text, named.end) for named in undenied):
            return None
        stated = [
            named
            for named in undenied
            if wording.BEFORE_TEXT.search(self.text, max(0, named.start - 60), named.start)
            and not (self.cleaned[named.index or 0] == "no" and doubts.THERE_IS.search(self.text, 0, named.start))
            and (end := self.text_end(named)) is not None
            and not self.is_discussed(Named(named.start, end, named.index), by_letter=False)
        ]
        return stated[0] if stated else None

    def _states_no_choice(self) -> bool:
        """True if an answer is stated that is no choice: "The answer is Lyon.", "Madrid. Paris is in France."."""
        leads = [match for lead in wording.STRICT_LEADS for match in lead.finditer(self.text)]
        phrases = [
            (lead.start(), doubts.PHRASE.match(self.text, lead.end()))
            for lead in leads
            if not lead[0].casefold().startswith(("solution", "response", "statement"))
        ]
        names = [(lead.start(), doubts.NAME.match(self.text, lead.end())) for lead in wording.IT_IS.finditer(self.text)]
        first = doubts.NAME.match(self.text)
        if first is not None and not self.text.startswith("!", first.end()):  # "Great!"
            names.append((0, first))
        stated = [self.text[start : words.end()] for start, words in [*phrases, *names] if words is not None]
        return doubts.NO_OPTION.search(self.text) is not None or any(
            not any(self.texts_in(words, 0)) and not any(self.letters_in(words, 0)) for words in stated
        )

    def _without_subjects(self, texts: list[Named]) -> list[Named]:
        """The mentions but those that another choice is said of: x in "The derivative of x is 1"."""
        return [
            named
            for named, behind in zip(texts, [*texts[1:], None], strict=False)
            if behind is None
            or behind.index == named.index
            or not _OF.search(self.text, 0, named.start)
            or not _IS.fullmatch(self.text, named.end, behind.start)
        ]

    def is_refused(self, named: Named) -> bool:
        return doubts.is_refused(self.text, named.start) or doubts.is_doubted(self.text, named.start)

    def _alone_at_start(self, texts: list[Named]) -> Named | None:
        """A choice that is the answer's first sentence, where the rest only tells something of others."""
        if (
            len(texts) < 2
            or (texts[0].start and not _FIRST_IS.fullmatch(self.text, 0, texts[0].start))
            or not re.match(rf"{wording.CLOSE}(?:[.!]\s|\n)", self.text[texts[0].end :])
        ):
            return None
        others_are_remarks = all(wording.TOLD.match(self.text, n.end) for n in texts[1:] if n.index != texts[0].index)
        turns = _TURN.search(self.text) or doubts.ANY_DENIAL.search(self.text)
        return texts[0] if others_are_remarks and not turns else None

    def in_walk(self, place: int) -> bool:
        """True if a place belongs to words like "let's look at each option", which lead to no answer."""
        return any(start < place < end for start, end in self._walks)

    def after_walk(self, named: Named) -> bool:
        """True if a choice is the first that is named after the answer said that it goes through the options."""
        ends = [end for start, end in self._walks if start < named.end]
        between = self.texts_in(self.text[ends[0] : named.start], 0) if ends else iter(())
        return bool(ends) and all(other.index == named.index for other in between)

    @cached_property
    def _walks(self) -> list[tuple[int, int]]:
        return [match.span() for match in doubts.WALK.finditer(self.text)]

    def breaks_off(self, named: Named) -> bool:
        """True if the answer ends in the middle of what it tells of a choice: "A. Rome is the capital of"."""
        rest = self.text[named.end :].rstrip()
        choice_text = self.cleaned[named.index or 0].casefold()
        _, match, behind = rest.casefold().partition(choice_text) if choice_text else ("", "", "")
        remark = behind if match else rest
        alone = self.text[named.start : named.end].casefold() == choice_text
        at_start = not self.text[: named.start].strip(" ([\"'")
        apart = remark.startswith(",") or (_DASHED if alone else _APART).match(self.text, named.end)
        return (
            "\n" not in rest
            and bool(remark.strip())
            and not re.search(rf"[.!?](?:\s|{wording.CLOSE}$)|[)\]}}\"”✓✔✅☑✗✘✕❌]$", remark)
            and not (at_start and apart)
            and not wording.REASON.match(self.text, named.end)
            and not wording.REASON.match(remark)
        )

    def is_discussed(self, named: Named, by_letter: bool) -> bool:
        """True if the sentence that mentions a choice denies it, asks about it, or breaks off."""
        start = max((match.end() for match in wording.SENTENCE_END.finditer(self.text, 0, named.start)), default=0)
        end = next((match.end() for match in wording.SENTENCE_END.finditer(self.text, named.end)), len(self.text))
        if self.after_walk(named) or self.breaks_off(named):
            return True
        if self.text[:end].endswith("?") and not self.cleaned[named.index or 0].endswith("?"):
            return True
        text = self.text_at(BETWEEN.match(self.text, named.end).end())  # type: ignore[union-attr]
        others = [other.start for other in self.texts_in(self.text[named.end : end], named.end)]
        contrasts = [doubts.CONTRAST.search(self.text, max(0, other - 40), other) for other in others]
        end = min([end, *(match.start() for match in contrasts if match)])
        remark = self.text[text.end if text and text.index == named.index else named.end : end]
        if wording.REASON.match(remark):
            remark = ""
        runs_on = re.match(rf"{wording.CLOSE}\s+\w", remark)
        if _TURN.search(remark) or (by_letter and runs_on and not wording.PREDICATE.match(remark)):
            return True
        if wording.HEDGED.match(remark):
            return True
        statement = self.text[start : named.start].rpartition(" but ")[2] + " " + _WHY.split(remark)[0]
        is_denied = bool(doubts.ANY_DENIAL.search(statement))
        return not doubts.ANY_DENIAL.search(self.cleaned[named.index or 0]) and is_denied
