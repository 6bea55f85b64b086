"""What denies or doubts a choice, or only discusses it, in the words around it."""

from __future__ import annotations

import re

from calibration_tuning.grading.choice_wording import CLOSE, NOUN

_NO = re.compile(
    r"\b(?:not|n['’]t|never|neither|nor|than|except(?: for)?|instead of|unlike"
    r"|(?:anything|everything|all|any|nothing) but)\s+(?:the\s+|an?\s+)?[\"'“(]*$",
    re.IGNORECASE,
)
_IS_NOT = re.compile(r"\b(?:is|are|was|were)(?:\s+not|n['’]t)$")
_TOLD_OF = re.compile(r"\s+(?:in|at|on|from|part|made|an?(?! (?:good|correct|right|valid|possible|likely)))\b")
_TAKEN_BACK = re.compile(r"\b(?:wait|hmm+|however|but|although|actually|no|sorry)\b", re.IGNORECASE)
_COMPARED = re.compile(r"(?<!rather )(?<!other )\bthan\s+(?:the\s+|an?\s+)?[\"'“(]*$", re.IGNORECASE)

CONTRAST = re.compile(r"[,(]\s*(?:and\s+|but\s+)?not\s+(?:the\s+|an?\s+)?[\"'“(]*$", re.IGNORECASE)
"""Before another choice: "the capital of France, not Rome" denies only that other."""
THERE_IS = re.compile(r"\bthere(?: is|['’]s)\s+$", re.IGNORECASE)
ANY_DENIAL = re.compile(
    r"n['’]t\b|\b(?:not(?! (?:\w+ )?(?:sure|certain)\b)|cannot|never|neither|nor|no(?! (?:doubt|other)\b)|none|nobody"
    r"|except|unlike|instead|rather|without|wrong|false|incorrect|irrelevant|unrelated|misleading|unlikely|least|less|too"
    r"|(?<!by )(?<!of )elimin\w+|exclu\w+|rul(?:e|ed|ing) out|discard\w*|reject\w*|(?<!no )doubt|doubtful|avoid|hardly"
    r"|anything|contradicts?|trap|myth|mistake\w*|misconception|distractor|used to)\b",
    re.IGNORECASE,
)
WALK = re.compile(
    r"(?<!after )(?<!having )\b(?:analy[sz]\w+|evaluat\w+|consider\w*|look\w*|go(?:ing)? (?:through|over)|break\w*"
    r"|examin\w+|check\w*|compar\w+|discuss\w*|assess\w*|start\w*|begin\w*)\b[^.,;:!?\n]{0,40}?"
    r"\b(?:options?|choices?|answers|alternatives?|statements?|possibilities)\b(?!\s*,)"
    r"|(?<!correct )\b(?:options|choices|alternatives)(?: are)?:|\bone by one\b|(?:^|\n)\W*(?:option )?analysis\b"
    r"|\bfirst(?:ly)?,|\b(?:check\w*|(?:start|begin)\w* with|consider\w*|examin\w+|evaluat\w+|look\w* at)"
    r" \(?(?-i:[A-HJ-Z])\b|(?:^|\n|[.!?:]\s)(?:in|for|with|regarding|as for|about) (?:option|choice|\((?-i:[A-Z])\))",
    re.IGNORECASE,
)
"""Says that the options are gone through: what follows is one of them, and not yet the answer."""
_END = r"(?=[!\n]|\.(?:\s|$)|\s*$)"
PHRASE = re.compile(
    r"[\s\"“]*(?!(?:clear|simple|easy|hard|obvious|straightforward|well|known|found|given|based|as|in|below|here"
    rf"|one|so|that|this|the question)\b)(?:[^\W_]+[ -]){{0,3}}?[^\W_]+{_END}",
    re.IGNORECASE,
)
NAME = re.compile(
    r"[\s\"“]*(?!(?i:sure|okay|ok|yes|no|well|great|hi|hello|hmm|certainly|absolutely|thanks|sorry|alright|understood|answer|explanation"
    r"|reasoning|solution|final answer|indeed|correct|right|true|wait)\b)"
    rf"(?:[A-Z][^\W_]*[ -]){{0,2}}?[A-Z\d][^\W_]+{_END}"
)
"""What is stated as an answer, and, without a lead before it, as a name."""
NO_OPTION = re.compile(
    r"(?:n['’]t|\bnot)\s+(?:\w+\s+)?(?:listed|provided|offered|available|included|among|one of"
    r"|in the (?:list|options|choices)|an option)\b",
    re.IGNORECASE,
)


# What takes a statement back before it is made: "I doubt that ...", "if it were France, ...".
_WINDOW = 200
_SENTENCE_PART = re.compile(
    r"[.!?;…](?=\s)|\n|\b(?:but|therefore|thus|hence|however|yet|(?<!if )(?<!is )(?<!be )(?<!was )(?<!were )so)\b",
    re.IGNORECASE,
)
_CLAUSE_PART = re.compile(r"\b(?:and|because|since|instead|whereas|while)\b", re.IGNORECASE)
_THINK = (
    r"(?:think|believe|say|claim|agree|guess|suppose|expect|feel|consider|conclude|imagine|accept|assume|argue|choose"
    r"|pick|select|go with|mean|see (?:how|why))"
)
_CERTAIN = r"(?:true|the case|correct|right|clear|certain|obvious|likely|possible|sure|convinced)"
_DOUBTED = re.compile(
    rf"(?:n['’]t|\bnot|\bnever|\bcannot|\bhardly)\s+(?:\w+\s+)?(?:{_THINK}|{_CERTAIN})\b"
    r"|\b(?:I|we|would|highly|seriously|really|strongly|do)\s+doubt\b|\bdoubtful\b"
    r"|\b(?:unlikely|improbable|impossible|no (?:way|chance|reason|evidence)|no one|nobody|none)\b"
    r"|\b(?:deny|denies|disagree|reject|refuse|(?:wrong|incorrect|mistake|mistaken|hard|difficult) to)\b"
    r"|\b(?:false|untrue|wrong|misconception|myth) that\b|\b(?:whether|wonder)\b|\bif\s+(?:it|that|this|the|my)\b"
    r"|\b(?:some|people|students|others|you|one)\s+(?:people\s+|students\s+)?(?:often\s+)?(?:(?:may|might|could|would)\s+)?"
    rf"(?:be tempted to\s+)?(?:{_THINK}|answer)\b",
    re.IGNORECASE,
)
_OWN_IF = (  # "if I had to guess", "if we look at the map": no condition of the answer
    r"(?:anything\b|(?:I|we|you|one)(?:['’](?:m|re|ve)|\s+am|\s+are)?\s+(?:(?:had|have|were|need|forced) to|must|recall"
    r"|remember|not mistaken|understand|look|add|consider|eliminate|exclude|use|take|apply|combine|compare|solve"
    r"|compute|calculate|check|go by|substitute|plug|put|follow|multiply|divide|subtract)\b)"
)
_WRONG_KIND = re.compile(
    r"\b(?:wrong|incorrect|false|tempting|worst|weakest|poorest|(?:least|less) \w+|unlikely)\)?\s+"
    rf"(?:$|(?!statement){NOUN}\b)",
    re.IGNORECASE,
)
_THAT = re.compile(r"\bthat(?:\s+(?:the|my|correct|right|best))*\s*$", re.IGNORECASE)
_CONDITION = re.compile(
    rf"^\W*(?:(?:only|and|or|then)\s+)?(?:if\s+(?!{_OWN_IF})|(?:had|were|suppose|imagine|supposing|assume)\s+"
    r"(?:it|the|this|that|we|they|you|I)\b|(?:on |at )first\b|initially\b|originally\b)",
    re.IGNORECASE,
)
CONDITIONAL = re.compile(rf"{CLOSE},?\s+(?:only\s+)?(?:if\s+(?!{_OWN_IF}|and only)|unless\s)", re.IGNORECASE)
"""Behind a choice: it is one on a condition only."""
SEEMING = re.compile(r"\b(?:seem|appear|look)", re.IGNORECASE)
NOT_AS_IT_SEEMS = re.compile(
    rf"(?:\s+{NOUN})?{CLOSE}\s*,?\s*(?:to (?:many|most|some)\b"
    r"|(?:but|yet|however|though)\b[^.;\n]{0,20}?(?:n['’]t|\bnot(?! (?:because|for|sure|certain)))\b)",
    re.IGNORECASE,
)
"""Behind "C seems right": it is not."""
RETRACTED = re.compile(
    rf"(?:\s+{NOUN})?{CLOSE}\s*,?\s*(?:\?|(?:at|on) (?:first|the surface)\b|initially\b"
    r"|to (?:(?:many|most|some)(?: (?:people|readers|students|of us))?(?=[,.;]|$)|(?:many |most |some )?people\b"
    r"|others\b)"
    r"|(?:but|yet|however|though)\s+(?:(?:it|that|this)(?:['’]s)?\s+)?(?:(?:is|was|does|really|actually)\s*)*"
    r"(?:(?:n['’]t|not)(?=\s*(?:[.,;!]|$|(?:right|correct|true|really|quite|the case|the answer|so|it)\b))"
    r"|(?:wrong|incorrect|false)\b"
    r"|so (?:does|is)\b|I doubt\b))",
    re.IGNORECASE,
)
"""Behind "C seems right": it is not, or only at first, or that is asked."""


def is_refused(text: str, position: int) -> bool:
    """True if what stands at a place is named only to be denied: "not Rome", "rather than Rome"."""
    return _NO.search(text, max(0, position - 40), position) is not None


def explains(text: str, start: int, end: int) -> bool:
    """True if what ends in "is not" tells why a choice was stated at `start`, and takes nothing back."""
    return (
        _IS_NOT.search(text, start, end) is not None
        and _TOLD_OF.match(text, end) is not None
        and _TAKEN_BACK.search(text, start, end) is None
    )


def is_compared(text: str, position: int) -> bool:
    """True behind "larger than", which denies nothing."""
    return _COMPARED.search(text, max(0, position - 40), position) is not None


def is_doubted(text: str, position: int) -> bool:
    """True if the clause before a place says that what follows is not so, or so on a condition only, or at first.

    "The wrong statement is C" may be an answer, if that was asked for.
    """
    part = _SENTENCE_PART.split(text[max(0, position - _WINDOW) : position])[-1]
    if _CONDITION.match(part):
        return True
    # A comma ends what "I don't think" reaches ("I don't think so, it is C"), unless "that" takes it up again.
    clause = part if _THAT.search(part) else part.rpartition(",")[2]
    clause = _CLAUSE_PART.split(clause)[-1]
    wrong = _WRONG_KIND.search(clause) if not text.startswith("statement", position) else None
    return wrong is not None or _DOUBTED.search(clause) is not None
