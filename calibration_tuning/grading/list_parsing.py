"""The items of a list, as people write lists."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from calibration_tuning.grading.answer_parsing import THOUSANDS, normal_forms, normalise
from calibration_tuning.grading.conclusion import boxed, unstyled

# Between items: commas and the like of all scripts, line ends, "and". A dot between two katakana parts a name.
_BETWEEN = (
    r"[,;\n\t•◦▪●○‣►、，；|،؛؍]|(?<![ァ-ヿ])・|・(?![ァ-ヿ])|</?(?:br|li|ul|ol|p)\s*/?>|\s[&+/·]\s|→|[-=]>|\s>\s"
    r"|(?<=[^\W\d_])/(?=[^\W\d_])|\b(?:and|as well as|along with|plus)\b"
)
_LINE = r"(?:^|(?<=\n))[^\S\n]*(?:\*\*|__)?"
_NAME = r"(?=[ \t*_\"'“(]*[^\W\d])"
# Marks before an item: bullets, numbers, letters in brackets. `_without_labels` handles letters and numerals with a
# period.
_BEFORE = (
    rf"{_LINE}(?:[-+*–—·]\s+)?\[[ xX]\](?=\s)|{_LINE}[-+*–—·]\s|(?:^|(?<=\s))\(?\d{{1,2}}[.)](?=[ \t])|[①-⑳]"
    rf"|{_LINE}(?:\d{{1,2}}(?:[.)]|\s*[-–—:]\s){_NAME}|#\d{{1,2}}[.:)]?\s)|\d\ufe0f?\u20e3"
    rf"|{_LINE}\(?(?-i:[a-h])[.)](?=[ \t])|(?:^|(?<=[\s,;]))\((?:[a-h]|[ivx]{{1,5}})\)(?=[ \t])"
)
_SEPARATOR = re.compile(rf"{_BETWEEN}|{_BEFORE}", re.IGNORECASE)
_LABEL = re.compile(r"[ \t]*\(?([A-Za-z]|[IVX]{2,5}|[ivx]{2,5})[.)](?=[ \t])[ \t]*")
_LABEL_WITHIN = re.compile(r"(?:^|(?<=\s))\(?([A-Za-z])\)[ \t]+")
_LETTERS = [chr(ord("A") + number) for number in range(26)]
_NUMERALS = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]
_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t]*\w*[ \t]*$", re.MULTILINE)
_BRACKETS = re.compile(r"\([^()\n]*\)")
_WRAPPED = re.compile(r"\s*\(((?:[^()]|\([^()]*\))*)\)[\s.]*")
# Words that join two items, only where both are known: many are also parts of names, or words of other languages.
_CONJUNCTION = re.compile(
    r"\s(?:y|e|et|und|og|och|en|or|then|followed by|together with|o|ou|u|oder|eller|i|oraz|a|și|și|si|és|ja|tai|dan"
    r"|atau|và|va|hoặc|ve|veya|и|та|і|или|або|και|ή|और|तथा|या|এবং|اور|או)\s|\s(?:و|ו)\s?|أو\s|\sو(?=\w)"
    r"|[和与及と與或や・]|以及|または|および|そして|또는|그리고|하고 |과 |와 |\.\s|\s[-–—]\s",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^.*(?:[:=]|\b(?:sure|certainly|of course|absolutely)[!.]|\b(?:are|is|were|was|includes?|including|namely|both"
    r"|also|either|then|(?:first|second|third|final|last)(?:ly)?|next|comprise|contains?)\b)\s*",
    re.DOTALL | re.IGNORECASE,
)
_REST = re.compile(r"\s*(?:[.(:;!–—]|\s-|\b(?:are|is|were|was|which|who|that|etc|respectively|too)\b).*$", re.DOTALL)
_NO_ITEM = frozenset(
    {
        "",
        "etc",
        "so on",
        "and so on",
        "sure",
        "certainly",
        "of course",
        "others",
        "more",
        "here you go",
        "first",
        "firstly",
    }
)
# "All but France, Spain" and "none of these: ..." list what is not meant, unless the list comes after a colon.
_EXCLUDED = re.compile(
    r"\W*((?:all|every\w*|any\w*|none)\b[^:;,\n]{0,40}?\b(?:but|except|besides|other\s+than|apart\s+from)|none\s+of"
    r"|neither)\b[^:]*$",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\b(?:you|me|i|is|are|was|were|have|has|hope|note|these|this)\b.*[.!?)*]\s*$", re.DOTALL | re.IGNORECASE
)
_FORMULA = re.compile(r"\s*(?:\$\$?|\\[(\[])([^$]+?)(?:\$\$?|\\[)\]])[\s.]*")


def items(answer: str, known: Collection[str]) -> Iterator[str]:
    """The normalised items of a list. Commas, semicolons, line ends, "and", "&", bullets and numbers separate them.

    A stretch that reads as an entry of `known` (normalised) is a single item, whatever it contains: "Trinidad and
    Tobago", "1,000". A heading, which ends in a colon, is not an item. Words around a known item are dropped: a lead-in
    ("The countries are: France") or a remark ("France (in Europe)"). An unknown item stays as it is.
    """
    if known_item := _known(answer, known):
        yield known_item
        return
    answer = _bare(answer, known)
    excluded = _EXCLUDED.match(answer)
    if excluded and not any(item.startswith(normalise(excluded[1])) for item in known):
        return
    edges = _edges(answer, known)
    pieces = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if answer[a:b].strip(" \t\r.")]
    longest = max((len(item.split()) for item in known), default=1)  # no piece is shorter than a word
    position = 0
    while position < len(pieces):
        start = pieces[position][0]
        ends = range(min(len(pieces), position + longest) - 1, position, -1)
        end = next((e for e in ends if _known(answer[start : pieces[e][1]], known)), position)
        text = answer[start : pieces[end][1]]
        if end > position or not text.rstrip().endswith(":"):
            yield from (item for item in _read(text, known) if item in known or _is_item(item))
        position = end + 1


def _is_item(text: str) -> bool:
    return text not in _NO_ITEM and any(map(str.isalnum, text))


def _bare(answer: str, known: Collection[str]) -> str:
    """The answer without code fences, a box, dollars or brackets around all of it, a closing remark, and labels before
    its lines."""
    answer = _FENCE.sub("", answer).replace("：", ":")
    answer = unstyled(", ".join(content for _, _, content in boxed(answer)) or answer)
    if wrapped := _FORMULA.fullmatch(answer) or _WRAPPED.fullmatch(answer):
        answer = wrapped[1]
    before, _, last = answer.rstrip().rpartition("\n\n")
    if before and _REMARK.search(last) and not any(item in known for item in items(last, known)):
        answer = before
    return _without_labels(answer, known)


def _without_labels(answer: str, known: Collection[str]) -> str:
    """The answer without "A.", "B." or "I.", "II." before its lines. They are labels if they count from the first
    letter or numeral.

    A single label may be an initial ("C. S. Lewis", "E. coli"). So may each label if a line is a known item only
    together with it.
    """
    within = [match[1].upper() for match in _LABEL_WITHIN.finditer(answer)]
    if len(within) > 1 and within == _LETTERS[: len(within)]:  # "a) France b) Spain" in one line
        answer = _LABEL_WITHIN.sub("\n", answer)
    lines = answer.split("\n")
    labels = {number: match for number, line in enumerate(lines) if (match := _LABEL.match(line))}
    names = [match[1].upper() for match in labels.values()]
    counted = any(names == order[: len(names)] for order in (_LETTERS, _NUMERALS))
    bare = {number: lines[number][match.end() :] for number, match in labels.items()}
    are_items = any(_known(lines[number], known) and not _known(rest, known) for number, rest in bare.items())
    if len(names) < 2 or not counted or are_items:
        return answer
    return "\n".join(bare.get(number, line) for number, line in enumerate(lines))


def _edges(answer: str, known: Collection[str]) -> list[int]:
    """Where the pieces of a list begin and end. A comma of thousands parts known items only."""
    words = {word for item in known for word in item.split()}
    unbroken = [match.span() for match in _BRACKETS.finditer(answer)]
    for number in THOUSANDS.finditer(answer):
        parts = number.group().split(",")
        if normalise(number.group()) in words or not any(part in known for part in parts):
            unbroken.append(number.span())
    separators = [
        match.span()
        for match in _SEPARATOR.finditer(answer)
        if not any(start < match.start() and match.end() <= end for start, end in unbroken)
    ]
    return [0, *(edge for span in separators for edge in span), len(answer)]


def _known(text: str, known: Collection[str]) -> str | None:
    return next((form for form in sorted(normal_forms(text)) if form in known), None)


def _read(text: str, known: Collection[str]) -> list[str]:
    """The item of a piece: itself, what stands in it without a lead-in or remark, or several that a word joins."""
    lead = _LEAD.sub("", text)
    formula = _FORMULA.fullmatch(text)
    readings = list(dict.fromkeys((text, lead, text.partition(":")[2], formula[1] if formula else text)))
    equations = _CONJUNCTION.split(text)
    if len(equations) > 1 and all("=" in part for part in equations) and not _known(text, known):
        values = [part.rpartition("=")[2] for part in equations]  # "x = 2 or x = 3"
        if any(_known(value, known) for value in values):
            return [_known(value, known) or normalise(value) for value in values]
    if item := next(filter(None, (_known(reading, known) for reading in readings)), None):
        return [item]
    for reading in readings:
        parts = [part for part in _CONJUNCTION.split(reading.strip()) if part.strip()]
        if len([part for part in parts if _known(part, known)]) > 1:
            return [_known(part, known) or normalise(part) for part in parts]
    remarked = [rest for reading in readings if (rest := _REST.sub("", reading)) != reading]
    if item := next(filter(None, (_known(rest, known) for rest in remarked)), None):
        return [item]
    return [normalise(lead if ":" in text else text)]
