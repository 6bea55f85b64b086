"""Which of several choices an answer decides for: its last conclusion, by letter or by text.

The order is that of MMLU-Pro's extractor (Wang et al. 2024) and of OpenAI's simple-evals: a stated answer first, then a
label, then the only choice that is mentioned. An answer that names several choices and decides for none has no choice.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from calibration_tuning.grading import choice_doubts as doubts
from calibration_tuning.grading import choice_wording as wording
from calibration_tuning.grading.answer_parsing import normal_forms
from calibration_tuning.grading.choice_naming import Named, differ_in_case, letter_index, mislabelled
from calibration_tuning.grading.choice_opening import ChoiceOpening
from calibration_tuning.records import CHOICE_LETTERS

_BLANK = re.compile(r"\s{20,}")
"""What a model writes that has nothing left to say; patterns take the cube of its length."""


def choice_index(answer: str, choices: Sequence[str], lettered: bool) -> int | None:
    """Return the index of the choice that an answer decides for, by its text or by letter.

    None if the answer has no choice, several choices, or a choice that was not offered. If choices were shown with
    letters, a letter alone is a letter, even if it is also the text of another choice. Otherwise the order is: the
    choice's text ("E. coli" is not a letter), the answer's last conclusion ("the answer is C", "C is correct", a box),
    the choice that it opens with and then explains ("Yes, no license is needed."), a label ("A. iron" is not "iron"
    with an article before it), the only mention.
    """
    plain = _plain(answer)
    alone = wording.ALONE.fullmatch(plain)
    index = letter_index(alone[1], choices) if alone else None
    if lettered and index is not None and not _is_text(answer, choices, 2):
        return index
    by_text = _whole_text(answer, choices)
    if by_text is not None:
        return by_text
    if alone:
        return letter_index(alone[1], choices)
    reader = _Reader(plain, choices)
    named = (
        reader.concluded(answer) or reader.only_ticked() or reader.opened() or reader.labelled() or reader.mentioned()
    )
    if named is not None:
        return named.index
    return reader.letter_at_end() if lettered else None


def _plain(text: str) -> str:
    """The text without markup and without what only looks different."""
    text = unicodedata.normalize("NFKC", text)
    while (bare := wording.LATEX.sub(r"\1", text)) != text:
        text = bare
    return _BLANK.sub(lambda match: match[0][:10] + match[0][-10:], text.translate(wording.DROPPED).strip())


def _is_text(answer: str, choices: Sequence[str], shortest: int) -> bool:
    bare = answer.strip()
    return len(bare) >= shortest and any(bare == choice.strip() for choice in choices)


def _whole_text(answer: str, choices: Sequence[str]) -> int | None:
    """The choice that the whole answer is the text of, with or without its label."""
    cased, plain = differ_in_case(choices), _plain(answer)
    bares = {text.strip(" \n.") for text in (answer, plain)}
    # Letter by letter before case is folded: genotypes TT, Tt and tt are three choices.
    for fold in (str, str.casefold):
        for index, choice in enumerate(choices):
            if fold(choice.strip(" \n.")) in set(map(fold, bares)) and (fold is str or index not in cased):
                return index
    proposed = normal_forms(answer)
    for index, choice in enumerate(choices):
        if index in cased or mislabelled(plain, index, choices):
            continue
        labelled = f"{CHOICE_LETTERS[index]}) {choice}" if index < len(CHOICE_LETTERS) else choice
        if proposed & (normal_forms(choice) | normal_forms(labelled)):
            return index
    return None


class _Reader(ChoiceOpening):
    """Decides between the choices that an answer names."""

    def concluded(self, answer: str) -> Named | None:
        """The last stated conclusion that is not denied or asked."""
        stated = [named for named in (*self._after_leads(), *self.before_verdicts(wording.RIGHT)) if named is not None]
        raw = unicodedata.normalize("NFKC", answer)
        for mark in (*wording.MARKS, wording.LAST_SIDE):
            for match in mark.finditer(raw):
                index = choice_index(match[1], self.choices, lettered=True)
                place = len(_plain(raw[: match.start()]))
                if index is not None or mark is not wording.LAST_SIDE:  # "= 3x" may be a step
                    stated.append(Named(place, place, index))
        for match in wording.RIGHT_ABROAD.finditer(self.text):
            if not wording.OTHER_CAPITAL.search(self.text[: match.start()] + self.text[match.end() :]):
                stated.append(Named(match.start("letter"), match.end(), letter_index(match["letter"], self.choices)))
        if not stated:
            return None
        last = max(stated, key=lambda named: named.start)
        denied = [
            named
            for named in self.before_verdicts(wording.WRONG)
            if named.start > last.end
            and named.index == last.index
            and not doubts.explains(self.text, last.end, named.end)
        ]
        return Named(last.start, last.end, None) if denied else last

    def _after_leads(self) -> Iterator[Named]:
        for lead in (*wording.STRICT_LEADS, wording.IT_IS, *wording.LOOSE_LEADS):
            for match in lead.finditer(self.text):
                end = match.end()
                if self.in_walk(match.start()) or match[0].strip(" ,.:…").casefold() in self.index_of_text:
                    continue  # "no" is an answer itself where it is a choice
                if any(match.groups()) or doubts.is_doubted(self.text, match.start()):
                    but = wording.BUT.match(self.text, end)
                    if but is None:
                        continue
                    end = but.end()
                named = self.named_at(end)
                if (
                    named is None
                    or re.match(rf"{wording.CLOSE}\s*\?", self.text[named.end :])
                    or wording.WRONG.match(self.text, named.end)
                    or doubts.CONDITIONAL.match(self.text, named.end)
                ):
                    continue
                says_more = wording.ASIDE.match(self.text, named.end) and not wording.RIGHT.match(self.text, named.end)
                if lead in wording.LOOSE_LEADS and (says_more or self.is_pronoun(named)):
                    continue  # "So A is in Italy" is no conclusion yet, and "So I" begins a sentence
                if self.text[named.start :] != "a" or not match[0][-1].isalpha():  # "the answer is a" may be cut off
                    yield named

    def labelled(self) -> Named | None:
        """The label that the answer begins with, or its last line if that is one; None where it lists several."""
        start = self.named_at(0)
        if start is not None and not self.is_pronoun(start):
            if start.index is None or mislabelled(self.text, start.index, self.choices):
                return Named(0, 0, None)
            if self._gives_a_reason(start) or not self.text[self.end_with_text(start) :].strip(" .)]"):
                return start
        sentences = [sentence for sentence in re.split(r"(?<=[.!?])\s+|\n", self.text) if sentence.strip()]
        if len(sentences) > 1 and (alone := wording.ALONE.fullmatch(sentences[-1])):
            index = letter_index(alone[1], self.choices)
            before = sentences[-2]
            # "... in Italy. A" and "... so. I" may be the first words of a sentence that is cut off.
            if index is not None and alone[1].isupper() and not re.search(r"[^\S\n][AI]$|\nI$", self.text):
                if doubts.WALK.search(before):
                    return Named(0, 0, None)
                if not wording.ALONE.fullmatch(before):
                    return Named(0, 0, index)
        lines = list(re.finditer(r"[^\n]*\S[^\n]*", self.text))
        labels = [named for line in lines if (named := self._label_of(line)) is not None]
        if not labels:
            return None
        alone_at_end = [wording.ALONE.fullmatch(line[0]) is not None for line in lines[-2:]]
        if alone_at_end in ([True], [False, True]) and labels[-1].start >= lines[-1].start():
            return labels[-1]
        if len({named.index for named in labels}) > 1 or len(self._inline_labels()) > 1:
            return Named(0, 0, None)
        if labels[0].start < lines[0].end() or labels[-1].start >= lines[-1].start():
            return Named(0, 0, None) if self.after_walk(labels[0]) or self.breaks_off(labels[0]) else labels[0]
        return None

    def _label_of(self, line: re.Match[str]) -> Named | None:
        """The label that a line begins with, unless the line says that it is wrong."""
        match = wording.LABEL.match(line[0])
        index = letter_index(match[1], self.choices) if match else None
        if match is None or index is None or self._is_denied(line[0], match.end(), index):
            return None
        if wording.VERB.match(self._remark(line[0], match.end(), index)):
            return None  # "(C) is too far west" is a sentence about C
        named = Named(line.start() + match.start(1), line.start() + match.end(), index)
        return None if self.is_pronoun(named) else named

    def _gives_a_reason(self, named: Named) -> bool:
        """True if a reason follows, unless it is the choice's text: "because it is cold" may be one."""
        text = self.cleaned[named.index or 0].casefold()
        is_text = text and self.text[named.end :].lstrip(" )].:").casefold().startswith(text)
        return not is_text and wording.REASON.match(self.text, named.end) is not None

    def only_ticked(self) -> Named | None:
        """The only labelled line that is marked as right, among several: "C) Correct", "C. Paris ✓"."""
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
        if re.fullmatch(r"[^.!]*\?", remark):
            return True
        if not remark.strip(" ."):
            return False  # the label and its text alone, though the text be "False"
        if wording.CROSSED.fullmatch(remark):
            return True
        wrong = wording.WRONG.search(line, start - 1)
        return wrong is not None and not any(self.letters_in(line[start : wrong.start()], 0))

    def _inline_labels(self) -> set[str]:
        """The letters that stand as labels: "A) Rome B) Oslo", "A: no. C: yes."."""
        pairs = re.findall(r"(?:^|\s)\(?([A-Z])[.)](?=\s)|(?:^|[\n.,;!?]\s+)\(?([A-Z])[.):](?=\s|$)", self.text)
        labels = {letter for pair in pairs for letter in pair if letter} - {"I"}
        return {letter for letter in labels if letter_index(letter, self.choices) is not None}

    def letter_at_end(self) -> int | None:
        """The letter that a short answer ends with ("Probably C", "Yes, C."), if it names and denies nothing else.

        A letter that stands in another choice's text, as in "vitamin C", may mean that choice.
        """
        match = wording.LETTER_AT_END.search(self.text, max(0, len(self.text) - 60))
        index = letter_index(match[1], self.choices) if match else None
        if match is None or index is None or doubts.ANY_DENIAL.search(self.text):
            return None
        if doubts.is_doubted(self.text, match.start(1)) or (match[1] == "I" and match[0][0] not in ":–—→-"):
            return None
        if any(letter[0] != match[1] for letter in wording.LONE_CAPITAL.finditer(self.text)):
            return None
        holders = {
            i for i, text in enumerate(self.cleaned) if re.search(rf"(?<!\w){match[1]}(?!\w)", text.removeprefix("A "))
        }
        mentioned = {named.index for named in self.texts_in(self.text, 0)}
        return None if (holders | mentioned) - {index} else index
