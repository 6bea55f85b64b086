"""What around a number shows that it is not the whole of what is said: a range, a list, a date, a sum, a bound, a root.

"5 to 7", "5 or more", "at least 5", "5x + 3" and "√5" do not say 5. "5 km/h", "5%" and "Total: 5" do.
"""

from __future__ import annotations

import re

from calibration_tuning.grading.number_words import WORD

_ANOTHER = rf"(?:[-+]?[$€£]?\.?\d|(?!one\b){WORD}\b)"
"""The begin of another number; "5, one of them red" is no list."""
_FUNCTION = r"(?:sqrt|log|ln|exp|sin|cos|tan|cot)"
_LETTER = r"(?-i:(?!a\b)[a-z])(?![A-Za-z'])"
_COMMAND = rf"\\(?:pi|sqrt|d?frac|tfrac|theta|alpha|beta|infty|[bp]?mod|{_FUNCTION})(?![A-Za-z])"
_CONNECTION = (
    r"(?:-|—|to|or|and|through|thru|until|till?|plus|minus|times|over|past|plus or minus|(?:divided|multiplied)\s+by|by"
    r"|(?:more|less|fewer|greater)\s+than|vs\.?|versus|mod|choose|point|~|/|:|,|;|\+/-|±|\+|\*|÷|\^|x|=|&|\||\.{2,}|…"
    r"|[-=]?>|→|～|〜|bis|à|al?|até|hasta|до|oder|ou|o|или|und|et|y|e|и|至|到|或|和|から|か|에서|부터|또는)"
)
_BEYOND = "(?:fewer|greater|higher|lower|above|below|over|under|up)"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_LARGER = (
    r"(?:years?|months?|weeks?|days?|hours?|hrs?|h|minutes?|mins?|degrees?|feet|foot|ft|pounds?|lbs?|dollars?|euros?|°"
    r"|[年月时時分])\.?"
)
_METRIC = r"(?:(?:kilo|centi|milli)?(?:met(?:er|re)|gram|lit(?:er|re))s?|[ckm]?[mgl]|t)"
_SMALLER = (
    rf"(?:months?|weeks?|days?|hours?|minutes?|mins?|m|seconds?|secs?|s|inch|inches|in|ounces?|oz|cents?|{_METRIC})\b"
)
_NUMBER = rf"(?:[\d.]+|(?:{WORD}[\s-]?)+)"

_FUNCTION_WORDS = (
    r"(?:\s+(?:be|been|have|possibly|think|believe|expect|say|equals?|as|that|it|it's|this|the|answer|is|was|would"
    r"|to|sure|certain|if))*"
)
"""Between a denial and what it denies: "I don't think it's 5", unlike "those who do not sing are 5"."""
_DOUBT = (
    r"\b(?:(?<!no )(?<!without )doubt|whether|unlikely|no\s+way|hardly|(?:instead|in\s+place)\s+of|rather\s+than"
    r"|used\s+to|(?:wrong|incorrect|false|mistaken)\s+(?:answer|result|number|value|guess|one)"
    r"|(?:common|frequent|typical)\s+(?:mistake|error|misconception|guess)|misconception|myth"
    r"|(?:some|others|(?:some|many|most)\s+people)\s+(?:say|think|believe|claim|guess|answer))"
)

_AFTER = {
    "another number": rf"\s*[$€£%]?\s*{_CONNECTION}\s*(?:and\s+|or\s+)?{_ANOTHER}| [-+]?\.?\d|\d"
    r"|\n[-+]?[\d.,]+(?:\n|$)",
    "a range with units": rf"\s*(?P<unit>[A-Za-z°]+)\s*(?:-|—|to|or|and)\s*{_ANOTHER}[\d.,]*\s*(?P=unit)\b",
    "a smaller unit": rf"\s*(?:{_LARGER}\s*|{_METRIC}\s+){_ANOTHER}|'\s*\d"
    rf"|\s*(?:{_LARGER}|{_METRIC})(?:,\s*|,?\s+and\s+){_NUMBER}\s*{_SMALLER}",
    "a sum of quantities": rf"\s*[A-Za-z]+\s*(?:[-+*÷]|plus|minus|times|(?:divided|multiplied)\s+by)\s*{_ANOTHER}",
    "a remainder": r"\s*,?\s*(?:with\s+)?(?:a\s+)?(?:remainder|rem\b|r\.?\s?\d)",
    "a scale": r"\s?(?:(?:mil|googol)\b|(?:b|tr|quadr|quint|sext)il+[ih]*[oóõ]\w+|[‰‱])",
    "a date": rf"(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH},?\s+\d",
    "a ratio": rf"\s+in\s+(?:\d{{1,2}}|100|1,?000|{WORD})\b|\s+out\s+of\s+(?:the\s+)?(?:\d|{WORD}\b)|\s+to\s+one\b",
    "a rate": r"\s+per\s+(?:thousand|mille|million|100\b|1,?000\b)",
    "a multiple": r"\s+(?:halved|doubled|tripled|quadrupled)\b",
    "a product": rf"\s*(?:%|per\s?cent)?\s+of\s+{_ANOTHER}",
    "an alternative": r"\s*[$%]?[\s,(]+(?:or\s+(?!so\b|thereabouts\b)|maybe\b|perhaps\b|but\s+(?:could|might|may)\b)",
    "a bound": rf"\s*[$%°]?[A-Za-z]*\s*(?:or\s+(?:more|less|{_BEYOND}|older|younger)\b|at\s+(?:the\s+)?(?:very\s+)?"
    rf"(?:most|least|max|min))|\s*\$?\s*and\s+(?:more|{_BEYOND})\b|\s+plus\W*$"
    r"|\s*(?:以上|以下|以内|未満|未满|を超|多|余|餘|或更多|이상|이하|미만|초과)"
    r"|\s+(?:oder|ou|o|или)\s+(?:mehr|weniger|plus|moins|más|menos|mais|более|менее)\b",
    "a denial": r"\s*(?:ではな|じゃな|不对|不對|不正确|[가이]\s?아[니닙])",
    "a relation": r"\s*(?:[≤≥≠]|!=|[<>]=?\s*(?:[-+]?\d|[A-Za-z]\b(?!>)))",
    "a power": r"\s*\$?\s*(?:squared|cubed|factorial|to\s+the\s+(?:power|\d\w+|\w+\s+power))\b|_\{?\w",
    "an operation": rf"\s*(?:±|[*^÷/](?=\w)|\+(?!\w))|\s*(?:[-+*÷&]|\band\b)\s*{_LETTER}",
    "a variable": r" ?(?-i:[xzijnqr]|[xyz]{2,})(?![A-Za-z'])"
    rf"|(?:(?-i:[a-z])| {_LETTER})(?:\^\d+)?\s*[-+*÷]\s*(?:\d|\(|{_LETTER})",
    "a factor": rf"\s*(?:[πθλφαβγ∞√∛]|{_COMMAND})|\s?(?:pi|{_FUNCTION})\b|\([-+]?\w\s*[-+*/)]",
    "a name": r"[A-Za-z]+\d|s\b|'s\b|\.\d|\s*-\s*[$€£]\d",
}
_BEFORE = {
    "another number": rf"\d[%°]?\s*(?!=){_CONNECTION}(?:\s+(?:and|or))?",
    "a sign": r"[<>≤≥≠±/^√∛÷]",
    "a ratio": r"\d\s*:",
    "a range": rf"\b(?:between|from|either|or|nor)|\b{WORD}\s*[-/]|\b{WORD}\s+(?:to|and|through|past)",
    "a bound": r"\b(?:than|at\s+(?:least|most)|(?:or|over|under|above|below|exceed(?:s|ing)?|within|beyond|upwards\s+of"
    r"|in\s+excess\s+of|up\s+to|or\s+equal\s+to|m(?:in|ax)(?:imum)?\s+of))"
    r"|\b(?:mindestens|höchstens|(?:mehr|weniger)\s+als|(?:plus|moins|más|menos)\s+de|au\s+(?:moins|plus)|al\s+menos"
    r"|более|менее|больше|меньше)|[超過过]过?|[大小多少高低]于|[至最][少多高低]|不到|不足|少なくとも|최소|최대",
    "a denial": rf"(?:\b(?:not|never|cannot|neither|anything\s+but|nicht|pas|no\s+es|не)|n['’]t|不是|{_DOUBT})"
    rf"{_FUNCTION_WORDS}",
    "a time": rf"\b(?:half|quarter|minutes?|{WORD})\s+past",
    "a measure": r"\b(?:few|several|couple\s+of|percent\s+of|(?:times|twice|half)\s+as\s+\w+\s+as)|%\s+of",
    "a function": rf"(?:\b|\\){_FUNCTION}\s*[({{]?|\broots?\s+of|\b(?:square|cube|factorial|reciprocal|logarithm)\s+of",
    "an operand": rf"(?:[)\]}}²³π]|\b{_LETTER}|\b{WORD})\s*(?:[+*÷]|plus|minus|times|over)",
    "an argument": r"\\[A-Za-z]+\s*(?:\{[^{}]*\}|\[[^\]]*\])*\s*[{\[][^{}\]]*|[_^]\{[^{}]*",
    "a step": r"\b(?:step|case|method|example)",
}
_MINUEND = re.compile(rf"(?:[)\]}}²³π]|\b{_LETTER}|\b{WORD})\s*$", re.IGNORECASE)
_LABEL = re.compile(r":\s*$")
_ANOTHER_LABEL = re.compile(
    rf"[^\n(.;]{{0,60}}?(?:,|;|\band\b)\s*{_ANOTHER}"
    r"|[^\n]{0,80}[,;.\n]\s*[\"'*-]*\s*[A-Za-z][\w ]{0,30}[\"'*]*\s*:\s*[-+$€£]?\.?\d",
    re.IGNORECASE,
)
"""After "Apples: 5", what makes a list of it: "Pears: 3", or "and 3 pears"."""
_HEDGE = r"(?:\s+(?:about|around|approximately|roughly|nearly|almost|just|exactly))?"

_GOES_ON = re.compile("|".join(_AFTER.values()), re.IGNORECASE)
_NOT_EXACTLY = re.compile(rf"(?:{'|'.join(_BEFORE.values())}){_HEDGE}\s*[$€£~≈]?\s*$", re.IGNORECASE)
_FARTHEST = 100
"""Characters before a number that are looked at."""


def is_partial(text: str, start: int, end: int) -> bool:
    """True if the number between the two places is a part of something, or one of several."""
    earliest = max(0, start - _FARTHEST)
    if _GOES_ON.match(text, end) or _NOT_EXACTLY.search(text, earliest, start):
        return True
    if text[start:end].lower().startswith(("- ", "minus", "negative")) and _MINUEND.search(text, earliest, start):
        return True  # "x - 5", unlike "x = -5"
    return bool(_LABEL.search(text, earliest, start) and _ANOTHER_LABEL.match(text, end))
