"""Which of several choices an answer decides for: the last it concludes with, by letter or by text.

The order of MMLU-Pro's extractor (Wang et al. 2024) and of OpenAI's simple-evals: a stated answer first, then a label,
then the only choice that is mentioned. An answer that names several and decides for none has no choice.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calibration_tuning.grading.answer_parsing import normal_forms
from calibration_tuning.records import CHOICE_LETTERS

_DROPPED = str.maketrans({**dict.fromkeys("*_`$#", ""), "。": ".", "、": ",", "「": '"', "」": '"'})
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathsf)\s*\{([^{}]*)\}|\\[()\[\]]")
_OPEN, _CLOSE = r"[\s\"'“”‘’(\[{<:]*", r"[\"'“”‘’)\]}>]*"

# A letter that is labelled as one by what follows it; a capital before a word; which words may follow A and I.
_MARKED = re.compile(r"([A-Za-z])(?:(?=[)\]}>\"”’]|['](?![a-z])|[.:,;!](?!\w)|\s*(?:\n|$)|\s+[-–—]\s))")
_CAPITAL = re.compile(
    r"([B-HJ-Z])(?![\w'’+#-])|([AI])(?=\s+(?:because|since|as|for|which|based|given|due|and|or|not|but|in|is|here)\b)"
)
_NOUN = r"(?:answer|option|choice|response|solution|selection|pick|guess|statement|alternative|letter|correction|ans)"
_BE = r"(?:is|are|was|would be|should be|must be|has to be|will be|seems to be|appears to be|might be|could be|remains)"
_ADVERB = r"(?:therefore|thus|hence|clearly|definitely|likely|probably|most likely|indeed|simply|then|still"
_ADVERB += r"|obviously|certainly|actually|in fact|only|,)"
_ABROAD = r"(?:答案|正确答案|正解|答え|答|정답|답|Antwort|R[ée]ponse|Respuesta|Resposta|Risposta|Ответ|الإجابة|उत्तर)"
_LEADS = [
    # The first group of each: what makes it a denial. "the answer is", "the correct option would be", "Answer:".
    re.compile(
        rf"\b(?:{_NOUN}s?|(?:right|correct|best) one)(?:\s+(?:left|remaining|here|to (?:the|this) question))?"
        rf"[\"']?\s*(?:{_BE}(\s+not\b|n['’]t\b)?|:|=>?|->|→|-\s|\.\s)"
        rf"(?:\s*{_ADVERB}\b)*(\s+not\b)?(?:\s+{_NOUN})?", re.IGNORECASE),
    re.compile(rf"{_ABROAD}\s*(?:[:：是为為は]|\(?es\)?\b|est\b|ist\b|é\b|è\b|은|는)+()", re.IGNORECASE),
    # "I choose", "I'd go with", "it must be", "so it is", "therefore".
    re.compile(
        r"\bI(?:\s+(?:would|will|must|have to|can|am)|['’](?:d|ll|m))?(?:\s+(?:therefore|then|thus|say|going to))*"
        r"\s+(not\s+|don['’]t\s+)?(?:choose|choosing|pick|picking|select|selecting|say"
        r"|go(?:ing)? with|opt for|answer|settle on)"
        r"(?:\s+(?:it(?:\s+is|['’]s)|that|the answer is|option|choice|answer))*", re.IGNORECASE),
    re.compile(r"(?:^|(?<=[.!?,]\s)|(?<=\n))(?:choose|select|pick)()(?=\s)", re.IGNORECASE),
    re.compile(
        r"\b(?:it|that|this|which)(?:\s+(?:is|was|must be|has to be|should be|would be)|['’]s"
        r"|\s+leaves(?:\s+(?:us with|only))?)"
        rf"(\s+not\b|n['’]t\b)?(?:\s+{_ADVERB})*(?:\s+{_NOUN})?", re.IGNORECASE),
    re.compile(rf"(?:^|(?<=[.!?;,]\s)|(?<=\n))(?:therefore|thus|hence|so|finally|conclusion|final"
    rf"|in conclusion|correct)[,:]?"
               rf"(\s+not\b)?(?:\s+(?:the\s+)?{_NOUN})?(?=\s)", re.IGNORECASE),
    # "no, wait, actually": what follows takes back what was said before.
    re.compile(r"(?:^|(?<=[.!?…,;]\s)|(?<=\n))(?:no|wait|sorry|oops|actually|rather|I mean)()(?:[,:…]|\.+)?"
               r"(?:\s+(?:no|wait|sorry|actually|rather|I mean|make that|it['’]s|it is)[,:]?)*(?=\s)", re.IGNORECASE),
]  # fmt: skip
_MARKS = [
    re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"\[\[([^\[\]]{1,200})\]\]"),
    re.compile(r"####\s*([^\n]+)"),
    re.compile(r"=\s*([^=\n]+)$"),
]
_BUT = re.compile(r"[^.\n]{0,60}?\bbut(?:\s+rather)?\b", re.IGNORECASE)
_RIGHT = re.compile(
    rf"\s*{_CLOSE},?\s+(?:is|was|are|must be|would be|seems"
    rf"|appears to be)(?:\s+{_ADVERB})*\s+(?:the\s+)?(?:most\s+|only\s+|best\s+)?"
    r"(?:correct|right|best|true|accurate|appropriate|valid|answer|final answer|one|my answer|my choice|solution)\b"
    r"|\s*[:–—-]\s*(?:correct|right|true)\b",
    re.IGNORECASE,
)
_WRONG = re.compile(
    rf"\s*{_CLOSE},?\s+(?:(?:is|was|are|would be|seems|can|could|does|do|has)(?:\s+(?:also|clearly"
    rf"|definitely|likely|be|therefore))*"
    r"(?:\s*n['’]t\b|\s*not\b|\s+(?:incorrect|wrong|false|out\b|ruled out|eliminated|impossible|invalid"
    r"|inaccurate))|cannot\b"
    r"|fails\b)|\s*[:,–—-]\s*(?:incorrect|wrong|false|no(?!\s+(?:doubt|question)))\b",
    re.IGNORECASE,
)
_ASIDE = re.compile(rf"{_CLOSE}\s+(?:is|are|was|were|has|have|had|lies|means)\b")
_ALSO = re.compile(
    rf"{_CLOSE}\s*(?:,?\s*(?:and|or|as well as)(?:\s+also)?\b|,|/|&|\+|;)\s*{_OPEN}(?:{_NOUN}\s+)?{_OPEN}",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[ \t]*[\"'“(\[]*([A-Za-z])(?:[)\]]+[.:,]?|[.:,!](?!\S)|(?=[\"'”\s]*(?:\n|$)|\s+[-–—]\s))")
_ALONE = re.compile(r"\W*([A-Za-z])\W*")
_MENTION = re.compile(
    rf"[(\[]([A-Z])[)\]]|\b(?i:{_NOUN})\s+(?:[\"'“]?([A-Z])(?![\w'’])|[(\[]([a-z])[)\]]|([a-z])(?=[.\s]*$))"
)
_BEFORE_TEXT = re.compile(
    r"(?:^|[.:;!?,\n(]|\b(?:is|are|was|were|be|it['’]s|that['’]s|say|choose|pick|think|believe|guess|therefore|thus|hence"
    r"|so|called|probably|likely|definitely|with))\s*(?:the|an?)?\s*[\"'“‘(\[]*$",
    re.IGNORECASE,
)
_AFTER_TEXT = (
    r"(?=[\"'”’)\]}]*\s*(?:$|[.!?]+(?:\s|$)|[,;:\n(–—]|\s-\s|\b(?:is|are|was|were|because|since|as|which|who|that|due|but|and"
    r"|or|not|has|have|can|would|will|here|for)\b))"
)
_NO = re.compile(
    r"\b(?:not|n['’]t|never|neither|nor|than|except|instead of|unlike)\s+(?:the\s+|an?\s+)?[\"'“(]*$", re.IGNORECASE
)

_BLANK = re.compile(r"\s{20,}")
"""What a model writes that has nothing left to say; patterns take the cube of its length."""


@dataclass(frozen=True)
class _Named:
    """A choice named at a place of the text; `index` None for several at once, or a letter that is not offered."""

    start: int
    end: int
    index: int | None


def choice_index(answer: str, choices: Sequence[str], lettered: bool) -> int | None:
    """Which choice an answer decides for, by its text or by letter; None for no choice, several, or one not offered.

    Where choices were shown with letters, a letter alone is a letter, though it may be the text of another choice. Else
    the choice's own text comes first ("E. coli" is no letter), then the answer's last conclusion ("the answer is C",
    "C is correct", a box), then a label ("A. iron" is not "iron" with an article before it) and the only mention.
    """
    plain = _LATEX.sub(r"\1", unicodedata.normalize("NFKC", answer)).translate(_DROPPED).strip()
    plain = _BLANK.sub(lambda found: found[0][:10] + found[0][-10:], plain)
    alone = _ALONE.fullmatch(plain)
    if lettered and alone and (index := _of_letter(alone[1], choices)) is not None and not _is_text(answer, choices, 2):
        return index
    whole = _whole_text(answer, choices)
    if whole is not None:
        return whole
    if alone:
        return _of_letter(alone[1], choices)
    reader = _Reader(plain, choices)
    for find in (reader.concluded, reader.labelled, reader.mentioned):
        named = find(answer)
        if named is not None:
            return named.index
    return None


def _is_text(answer: str, choices: Sequence[str], shortest: int) -> bool:
    bare = answer.strip()
    return len(bare) >= shortest and any(bare == choice.strip() for choice in choices)


def _of_letter(letter: str, choices: Sequence[str]) -> int | None:
    index = CHOICE_LETTERS.find(letter.upper())
    return index if 0 <= index < len(choices) else None


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


class _Reader:
    """Finds the choices that one answer names."""

    def __init__(self, text: str, choices: Sequence[str]) -> None:
        self.text, self.choices = text, choices
        cleaned = [" ".join(unicodedata.normalize("NFKC", c).translate(_DROPPED).strip(" .").split()) for c in choices]
        order = sorted(range(len(choices)), key=lambda i: -len(cleaned[i]))
        self._whole = {text.casefold(): index for index, text in enumerate(cleaned) if len(text) > 1}
        self._order = [i for i in order if cleaned[i]]
        spaced = [r"\s+".join(map(re.escape, cleaned[i].split())) for i in self._order]
        texts = "|".join(f"({text})" for text in spaced)
        pattern = rf"(?:(?:the|an?)\s+)?(?<![\w.,-])(?:{texts})(?![\w%]|[.,]\d)"
        self._texts = re.compile(pattern, re.IGNORECASE) if texts else None

    def concluded(self, answer: str) -> _Named | None:
        """The last stated conclusion that is not denied or asked."""
        stated = [named for named in (*self._after_leads(), *self._before_verdicts(_RIGHT)) if named is not None]
        offset = len(self.text)
        for mark in _MARKS:
            for match in mark.finditer(unicodedata.normalize("NFKC", answer)):
                content = _LATEX.sub(r"\1", match[1]).translate(_DROPPED).strip()
                index = choice_index(content, self.choices, lettered=True)
                place = self._place(answer, match.start(), offset)
                if index is not None or not mark.pattern.startswith("="):
                    stated.append(_Named(place, place, index))
        if not stated:
            return None
        last = max(stated, key=lambda named: named.start)
        denied = [
            named for named in self._before_verdicts(_WRONG) if named.start > last.end and named.index == last.index
        ]
        return _Named(last.start, last.end, None) if denied else last

    @staticmethod
    def _place(answer: str, start: int, length: int) -> int:
        """A place in the cleaned text that is about that of `start` in the answer as it came."""
        return round(start * length / max(1, len(answer)))

    def _after_leads(self) -> Iterator[_Named]:
        for lead in _LEADS:
            for match in lead.finditer(self.text):
                end = match.end()
                if any(group is not None and group.strip() for group in match.groups()):
                    but = _BUT.match(self.text, end)
                    if but is None:
                        continue
                    end = but.end()
                named = self.named_at(end)
                if (
                    named is None
                    or re.match(rf"{_CLOSE}\s*\?", self.text[named.end :])
                    or _WRONG.match(self.text, named.end)
                ):
                    continue
                says_more = _ASIDE.match(self.text, named.end) and not _RIGHT.match(self.text, named.end)
                if says_more and lead in _LEADS[-2:]:  # "So A is in Italy" is no conclusion yet
                    continue
                yield named

    def _before_verdicts(self, verdict: re.Pattern[str]) -> Iterator[_Named]:
        """The choices that stand before "is correct" or "is wrong"."""
        for match in verdict.finditer(self.text):
            before = self.text[: match.start()]
            ends = (
                before.rfind(". ", 0, max(0, len(before) - 3)),
                *map(before.rfind, ("\n", "; ", " but ", " while ")),
            )
            start = max(ends) + 1
            clause = before[start:]
            names = [*self._letters_in(clause, start), *self._texts_in(clause, start)]
            ending = [named for named in names if named.end >= match.start() - 1]
            if ending and not _NO.search(before[: ending[0].start]):
                indices = {named.index for named in names if not _NO.search(self.text[: named.start])}
                joined = len(indices) > 1 and re.search(r"\b(?:and|or|both)\b|&", clause) and verdict is _RIGHT
                yield _Named(ending[0].start, match.end(), None if joined else ending[0].index)

    def _letters_in(self, clause: str, offset: int) -> Iterator[_Named]:
        for match in re.finditer(r"(?<![\w'’])[(\[\"'“]?([A-Z])[)\]\"'”.:,]*(?=\s|$)", clause):
            yield _Named(offset + match.start(), offset + match.end(), _of_letter(match[1], self.choices))

    def _texts_in(self, clause: str, offset: int) -> Iterator[_Named]:
        if self._texts is not None:
            for match in self._texts.finditer(clause):
                yield _Named(offset + match.start(), offset + match.end(), self._order[(match.lastindex or 1) - 1])

    def named_at(self, position: int) -> _Named | None:
        """The choice named at a place, behind brackets and quotes; index None if another is named with it."""
        rest = " ".join(self.text[position:].strip(" .:\n").split()).casefold()
        if rest in self._whole:
            return _Named(position, len(self.text), self._whole[rest])
        opening = re.compile(rf"{_OPEN}(?:(?:both|either|{_NOUN})\s+)?{_OPEN}", re.IGNORECASE).match(
            self.text, position
        )
        start = opening.end() if opening else position
        named = self._single(start)
        if named is None:
            return None
        also = _ALSO.match(self.text, named.end)
        second = self._single(also.end()) if also else None
        if second is not None and second.index != named.index and not _WRONG.match(self.text, second.end):
            verb = re.match(r"\s+(?:is|are|was|were|has|have|would|can)\b", self.text[second.end :])
            if verb is None:
                return _Named(named.start, second.end, None)
        return named

    def _single(self, start: int) -> _Named | None:
        if match := _MARKED.match(self.text, start):
            text = self._text_at(match.end() + len(re.match(r"[)\]}>\"”’'.:,\s–—-]*", self.text[match.end() :])[0]))  # type: ignore[index]
            index = _of_letter(match[1], self.choices)
            return _Named(start, match.end(), None if text and text.index != index else index)
        if text := self._text_at(start):
            return text
        if match := _CAPITAL.match(self.text, start):
            index = _of_letter(match[0], self.choices)
            text = self._text_at(match.end() + 1)
            return _Named(start, match.end(), None if text and text.index != index else index)
        return None

    def _text_at(self, start: int) -> _Named | None:
        match = self._texts.match(self.text, start) if self._texts is not None else None
        if match is None or not re.compile(_AFTER_TEXT, re.IGNORECASE).match(self.text, match.end()):
            return None
        return _Named(start, match.end(), self._order[(match.lastindex or 1) - 1])

    def labelled(self, answer: str) -> _Named | None:
        """The label that the answer begins with, or its last line if that is one; None where it lists several."""
        start = self.named_at(0)
        if start is not None and start.index is None:
            return start
        sentences = [sentence for sentence in re.split(r"(?<=[.!?])\s+|\n", self.text) if sentence.strip()]
        if len(sentences) > 1 and (alone := _ALONE.fullmatch(sentences[-1])) and not _ALONE.fullmatch(sentences[-2]):
            index = _of_letter(alone[1], self.choices)
            if alone[1].isupper() and index is not None:
                return _Named(0, 0, index)
        lines = [line for line in self.text.split("\n") if line.strip()]
        labels = [(line, match) for line in lines if (match := _LABEL.match(line))]
        kept = [
            (line, index)
            for line, match in labels
            if (index := _of_letter(match[1], self.choices)) is not None and not self._is_denied(line, match.end())
        ]
        if not kept:
            return None
        if _ALONE.fullmatch(lines[-1]) and kept[-1][0] is lines[-1]:
            return _Named(0, 0, kept[-1][1])
        if len({index for _, index in kept}) > 1 or len(self._inline_labels()) > 1:
            return _Named(0, 0, None)
        if kept[0][0] is lines[0] or kept[-1][0] is lines[-1]:
            return _Named(0, 0, kept[0][1])
        return None

    def _is_denied(self, line: str, start: int) -> bool:
        """True if a labelled line says that its label is wrong, not another letter that it names first."""
        wrong = _WRONG.search(line, start - 1)
        return wrong is not None and not any(self._letters_in(line[start : wrong.start()], 0))

    def _inline_labels(self) -> set[str]:
        return {letter for letter in re.findall(r"(?:^|\s)\(?([A-Z])[.)]\s", self.text) if letter != "I"}

    def mentioned(self, answer: str) -> _Named | None:
        """The only choice that the answer mentions and does not deny, by letter in brackets, or by its text."""
        letters = [
            _Named(match.start(), match.end(), _of_letter(match[match.lastindex or 1], self.choices))
            for match in _MENTION.finditer(self.text)
        ]
        denied = {named.index for named in self._before_verdicts(_WRONG)}
        remaining = {
            named.index for named in letters if named.index not in denied and not _NO.search(self.text[: named.start])
        }
        if letters:
            return _Named(0, 0, remaining.pop() if len(remaining) == 1 else None)
        texts = list(self._texts_in(self.text, 0))
        if len({named.index for named in texts}) != 1:
            return None
        after = re.compile(_AFTER_TEXT, re.IGNORECASE)
        for named in texts:
            if _WRONG.match(self.text, named.end) or _NO.search(self.text[: named.start]):
                return None
        stated = [n for n in texts if _BEFORE_TEXT.search(self.text[: n.start]) and after.match(self.text, n.end)]
        return stated[0] if stated else None
