"""Which of several choices an answer decides for: the last it concludes with, by letter or by text.

The order of MMLU-Pro's extractor (Wang et al. 2024) and of OpenAI's simple-evals: a stated answer first, then a label,
then the only choice that is mentioned. An answer that names several and decides for none has no choice.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from calibration_tuning.grading import choice_wording as wording
from calibration_tuning.grading.answer_parsing import normal_forms
from calibration_tuning.grading.choice_naming import ChoiceNames, Named, letter_index
from calibration_tuning.records import CHOICE_LETTERS

_BLANK = re.compile(r"\s{20,}")
"""What a model writes that has nothing left to say; patterns take the cube of its length."""


def choice_index(answer: str, choices: Sequence[str], lettered: bool) -> int | None:
    """Which choice an answer decides for, by its text or by letter; None for no choice, several, or one not offered.

    Where choices were shown with letters, a letter alone is a letter, though it may be the text of another choice. Else
    the choice's own text comes first ("E. coli" is no letter), then the answer's last conclusion ("the answer is C",
    "C is correct", a box), then a label ("A. iron" is not "iron" with an article before it) and the only mention.
    """
    plain = wording.LATEX.sub(r"\1", unicodedata.normalize("NFKC", answer)).translate(wording.DROPPED).strip()
    plain = _BLANK.sub(lambda found: found[0][:10] + found[0][-10:], plain)
    alone = wording.ALONE.fullmatch(plain)
    index = letter_index(alone[1], choices) if alone else None
    if lettered and index is not None and not _is_text(answer, choices, 2):
        return index
    whole = _whole_text(answer, choices)
    if whole is not None:
        return whole
    if alone:
        return letter_index(alone[1], choices)
    reader = _Reader(plain, choices)
    for find in (reader.concluded, reader.labelled, reader.mentioned):
        named = find(answer)
        if named is not None:
            return named.index
    return reader.letter_at_end() if lettered else None


def _is_text(answer: str, choices: Sequence[str], shortest: int) -> bool:
    bare = answer.strip()
    return len(bare) >= shortest and any(bare == choice.strip() for choice in choices)


def _whole_text(answer: str, choices: Sequence[str]) -> int | None:
    """The choice that the whole answer is the text of, with or without its label."""
    bare = answer.strip(" \n.")
    # Letter by letter before case is folded: genotypes TT, Tt and tt are three choices.
    for fold in (str, str.casefold):
        for index, choice in enumerate(choices):
            if fold(bare) == fold(choice.strip(" \n.")):
                return index
    proposed = normal_forms(answer)
    for index, choice in enumerate(choices):
        labelled = f"{CHOICE_LETTERS[index]}) {choice}" if index < len(CHOICE_LETTERS) else choice
        if proposed & (normal_forms(choice) | normal_forms(labelled)):
            return index
    return None


class _Reader(ChoiceNames):
    """Decides between the choices that one answer names."""

    def concluded(self, answer: str) -> Named | None:
        """The last stated conclusion that is not denied or asked."""
        stated = [named for named in (*self._after_leads(), *self._before_verdicts(wording.RIGHT)) if named is not None]
        offset = len(self.text)
        for mark in wording.MARKS:
            for match in mark.finditer(unicodedata.normalize("NFKC", answer)):
                content = wording.LATEX.sub(r"\1", match[1]).translate(wording.DROPPED).strip()
                index = choice_index(content, self.choices, lettered=True)
                place = self._place(answer, match.start(), offset)
                if index is not None or not mark.pattern.startswith("="):
                    stated.append(Named(place, place, index))
        if not stated:
            return None
        last = max(stated, key=lambda named: named.start)
        denied = [
            named
            for named in self._before_verdicts(wording.WRONG)
            if named.start > last.end and named.index == last.index
        ]
        return Named(last.start, last.end, None) if denied else last

    @staticmethod
    def _place(answer: str, start: int, length: int) -> int:
        """A place in the cleaned text that is about that of `start` in the answer as it came."""
        return round(start * length / max(1, len(answer)))

    def _after_leads(self) -> Iterator[Named]:
        for lead in wording.LEADS:
            for match in lead.finditer(self.text):
                end = match.end()
                denied = any(group is not None and group.strip() for group in match.groups())
                if denied or wording.is_doubted(self.text, match.start()):
                    but = wording.BUT.match(self.text, end)
                    if but is None:
                        continue
                    end = but.end()
                named = self.named_at(end)
                if (
                    named is None
                    or re.match(rf"{wording.CLOSE}\s*\?", self.text[named.end :])
                    or wording.WRONG.match(self.text, named.end)
                    or wording.CONDITIONAL.match(self.text, named.end)
                ):
                    continue
                says_more = wording.ASIDE.match(self.text, named.end) and not wording.RIGHT.match(self.text, named.end)
                if says_more and lead in wording.LOOSE_LEADS:  # "So A is in Italy" is no conclusion yet
                    continue
                yield named

    def _before_verdicts(self, verdict: re.Pattern[str]) -> Iterator[Named]:
        """The choices that stand before "is correct" or "is wrong"; several at once are each wrong, or none right."""
        for match in verdict.finditer(self.text):
            names = self.names_before(match.start(), verdict is wording.RIGHT)
            if not names or names[-1].end < match.start() - 1:
                continue
            last = names[-1]
            if verdict is wording.WRONG:
                yield from (Named(name.start, match.end(), name.index) for name in self.list_ending(names))
                continue
            if self._is_refused(last) or wording.CONDITIONAL.match(self.text, match.end()):
                continue
            if match["word"] and self.whole.get(match["word"].casefold()) == last.index:
                continue  # "A: True" is a choice with its text
            others = [name.index for name in names[:-1] if not wording.is_refused(self.text, name.start)]
            joined = wording.JOINED.search(self.text[names[0].start : match.start()])
            # "Between B and C, C is correct" names it a second time.
            several = joined and set(others) - {last.index} and last.index not in others
            yield Named(last.start, match.end(), None if several else last.index)

    def labelled(self, answer: str) -> Named | None:
        """The label that the answer begins with, or its last line if that is one; None where it lists several."""
        if ticked := self._only_ticked():
            return ticked
        start = self.named_at(0)
        if start is not None and (start.index is None or self._gives_a_reason(start)):
            return start
        sentences = [sentence for sentence in re.split(r"(?<=[.!?])\s+|\n", self.text) if sentence.strip()]
        if len(sentences) > 1 and (alone := wording.ALONE.fullmatch(sentences[-1])):
            index = letter_index(alone[1], self.choices)
            if alone[1].isupper() and index is not None and not wording.ALONE.fullmatch(sentences[-2]):
                return Named(0, 0, index)
        lines = [line for line in self.text.split("\n") if line.strip()]
        labels = [(line, match) for line in lines if (match := wording.LABEL.match(line))]
        kept = [
            (line, index)
            for line, match in labels
            if (index := letter_index(match[1], self.choices)) is not None
            and not self._is_denied(line, match.end(), index)
        ]
        if not kept:
            return None
        if wording.ALONE.fullmatch(lines[-1]) and kept[-1][0] is lines[-1]:
            return Named(0, 0, kept[-1][1])
        if len({index for _, index in kept}) > 1 or len(self._inline_labels()) > 1:
            return Named(0, 0, None)
        if kept[0][0] is lines[0] or kept[-1][0] is lines[-1]:
            return Named(0, 0, kept[0][1])
        return None

    def _gives_a_reason(self, named: Named) -> bool:
        """True if a reason follows, unless it is the choice's text: "because it is cold" may be one."""
        text = self.cleaned[named.index or 0].casefold()
        own = text and self.text[named.end :].lstrip(" )].:").casefold().startswith(text)
        return not own and wording.REASON.match(self.text, named.end) is not None

    def _only_ticked(self) -> Named | None:
        """Of several labelled lines the only one marked as right: "C) Correct", "C. Paris ✓"."""
        ticked: list[int] = []
        count = 0
        for line in wording.AFTER_SIGN.sub("\n", self.text).split("\n"):
            label = wording.LABEL.match(line) or wording.SIGNED_LETTER.match(line)
            index = letter_index(label[1], self.choices) if label else None
            if label is None or index is None:
                continue
            count += 1
            if wording.TICKED.fullmatch(self._remark(line, label.end(), index)):
                ticked.append(index)
        return Named(0, 0, ticked[0]) if count > 1 and len(ticked) == 1 else None

    def _remark(self, line: str, end: int, index: int) -> str:
        """What a labelled line says behind the label and the choice's text."""
        rest = line[end:].strip().lstrip(" \t:.)")
        text = self.cleaned[index]
        return rest[len(text) :] if text and rest.casefold().startswith(text.casefold()) else rest

    def _is_denied(self, line: str, start: int, index: int) -> bool:
        """True if a labelled line says that its label is wrong, not another letter that it names first."""
        remark = self._remark(line, start, index)
        if not remark.strip(" ."):
            return False  # the label and its text alone, though the text be "False"
        if wording.CROSSED.fullmatch(remark):
            return True
        wrong = wording.WRONG.search(line, start - 1)
        return wrong is not None and not any(self.letters_in(line[start : wrong.start()], 0))

    def _inline_labels(self) -> set[str]:
        return {letter for letter in re.findall(r"(?:^|\s)\(?([A-Z])[.)]\s", self.text) if letter != "I"}

    def mentioned(self, answer: str) -> Named | None:
        """The only choice that the answer mentions and does not deny, by letter in brackets, or by its text."""
        letters = [
            Named(match.start(), match.end(), letter_index(match[match.lastindex or 1], self.choices))
            for match in wording.MENTION.finditer(self.text)
        ]
        denied = {named.index for named in self._before_verdicts(wording.WRONG)}
        remaining = {named.index for named in letters if named.index not in denied and not self._is_refused(named)}
        if letters:
            return Named(0, 0, remaining.pop() if len(remaining) == 1 else None)
        texts = list(self.texts_in(self.text, 0))
        # "Paris, not Rome" mentions Rome only to deny it; "larger than Rome" decides for neither.
        refused = [named for named in texts if self._is_refused(named)]
        left = [n for n in texts if n not in refused or wording.is_compared(self.text, n.start)]
        if len({n.index for n in left}) != 1 or left[0].index in {n.index for n in refused}:
            return self._alone_at_start(texts)
        if any(wording.WRONG.match(self.text, named.end) for named in left):
            return None
        stated = [
            named
            for named in left
            if wording.BEFORE_TEXT.search(self.text, max(0, named.start - 60), named.start)
            and wording.AFTER_TEXT.match(self.text, named.end)
        ]
        return stated[0] if stated else None

    def _is_refused(self, named: Named) -> bool:
        return wording.is_refused(self.text, named.start) or wording.is_doubted(self.text, named.start)

    def _alone_at_start(self, texts: list[Named]) -> Named | None:
        """A choice that is the answer's first sentence, where the rest only tells something of others."""
        if (
            len(texts) < 2
            or texts[0].start
            or not re.match(rf"{wording.CLOSE}(?:[.!]\s|\n)", self.text[texts[0].end :])
        ):
            return None
        told = all(wording.TOLD.match(self.text, n.end) for n in texts[1:] if n.index != texts[0].index)
        return texts[0] if told and not wording.ANY_DENIAL.search(self.text) else None

    def letter_at_end(self) -> int | None:
        """The letter that a short answer ends with ("Probably C", "Yes, C."), if it names and denies nothing else.

        A letter that stands in another choice's text, as in "vitamin C", may mean that choice.
        """
        match = wording.LETTER_AT_END.search(self.text, max(0, len(self.text) - 60))
        index = letter_index(match[1], self.choices) if match else None
        if match is None or index is None or wording.ANY_DENIAL.search(self.text):
            return None
        if wording.is_doubted(self.text, match.start(1)) or (match[1] == "I" and match[0][0].isalpha()):
            return None
        if any(letter[0] != match[1] for letter in wording.LONE_CAPITAL.finditer(self.text)):
            return None
        holders = {
            i for i, text in enumerate(self.cleaned) if re.search(rf"(?<!\w){match[1]}(?!\w)", text.removeprefix("A "))
        }
        mentioned = {named.index for named in self.texts_in(self.text, 0)}
        return None if (holders | mentioned) - {index} else index
