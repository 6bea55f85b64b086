"""The items of a list, as people write lists."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from calibration_tuning.grading.answer_parsing import normal_forms, normalise

_SEPARATOR = re.compile(
    r"[,;\n\t•◦▪●○‣►、，；|]|\s[&+/·]\s|(?<=[^\W\d_])/(?=[^\W\d_])|\b(?:and|as well as|along with"
    r"|plus)\b"  # between items
    r"|(?:^|(?<=\n))\s*[-*–—·]\s|(?:^|(?<=\s))\(?\d{1,2}[.)](?=[ \t])|(?:^"
    r"|(?<=\n))\s*\(?(?-i:[a-h])[.)](?=[ \t])",  # before one: bullets and numbers
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_BRACKETS = re.compile(r"\([^()\n]*\)")
_CONJUNCTION = re.compile(r"\s(?:y|e|et|und|og|och|en|or|then|followed by)\s|[和与及と]|또는|과 |와 ", re.IGNORECASE)
_LEAD = re.compile(
    r"^.*(?::|\b(?:are|is|were|was|includes?|including|namely|both|also|either|then|finally|lastly|next|comprise|contains?)\b)\s*",
    re.DOTALL | re.IGNORECASE,
)
_REST = re.compile(r"\s*(?:[.(:;!–—]|\s-|\b(?:are|is|were|was|which|who|that|etc|respectively|too)\b).*$", re.DOTALL)
_NO_ITEM = frozenset(
    {"", "etc", "so on", "and so on", "sure", "certainly", "of course", "others", "more", "here you go"}
)


def items(answer: str, known: Collection[str]) -> Iterator[str]:
    """The normalised items of a list: between commas, semicolons, line ends, "and", "&", bullets and numbers.

    A stretch that reads as one of `known` (normalised) is one item whatever is in it, as "Trinidad and Tobago" and
    "1,000" are. A heading, which ends in a colon, is none. What is written around a known item, as a lead-in
    ("The countries are: France") or a remark ("France (in Europe)"), goes; an unknown item stays as it is.
    """
    if whole := _known(answer, known):
        yield whole
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
            yield from (item for item in _read(text, known) if item not in _NO_ITEM)
        position = end + 1


def _edges(answer: str, known: Collection[str]) -> list[int]:
    """Where the pieces of a list begin and end. A comma of thousands parts known items only."""
    words = {word for item in known for word in item.split()}
    whole = [match.span() for match in _BRACKETS.finditer(answer)]
    for number in _THOUSANDS.finditer(answer):
        parts = number.group().split(",")
        if normalise(number.group()) in words or not any(part in known for part in parts):
            whole.append(number.span())
    separators = [
        match.span()
        for match in _SEPARATOR.finditer(answer)
        if not any(start < match.start() and match.end() <= end for start, end in whole)
    ]
    return [0, *(edge for span in separators for edge in span), len(answer)]


def _known(text: str, known: Collection[str]) -> str | None:
    return next((form for form in sorted(normal_forms(text)) if form in known), None)


def _read(text: str, known: Collection[str]) -> list[str]:
    """The item of a piece: itself, what stands in it without a lead-in or remark, or several that a word joins."""
    lead = _LEAD.sub("", text)
    after_colon = text.partition(":")[2]
    for candidate in (text, lead, after_colon, _REST.sub("", text), _REST.sub("", lead), _REST.sub("", after_colon)):
        if item := _known(candidate, known):
            return [item]
    joined = [_known(part, known) for part in _CONJUNCTION.split(lead)]
    if len(joined) > 1 and all(joined):
        return [item for item in joined if item]
    return [normalise(lead if ":" in text else text)]
