"""How people word a choice: what a letter looks like, what leads up to one, what is said of one, and what is denied.

Patterns only, and two questions about a place in a text; `choice_parsing` puts them together.
"""

from __future__ import annotations

import re

DROPPED = str.maketrans({**dict.fromkeys("*_`$#\ufe0f", ""), "。": ".", "、": ",", "「": '"', "」": '"'})
LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathsf)\s*\{([^{}]*)\}|\\[()\[\]]")
OPEN, CLOSE = (
    r"[\s\"'“‘’(\[{<:”]{0,40}",
    r"[\"'“”‘’)\]}>]{0,9}",
)  # bounded: a row of quotes takes the square of its length

NOUN = r"(?:answer|option|choice|response|solution|selection|pick|guess|statement|alternative|letter|correction|ans)"
_BE = r"(?:is|are|was|would be|should be|must be|has to be|will be|seems to be|appears to be|might be|could be|remains)"
_ADVERB = r"(?:therefore|thus|hence|clearly|definitely|likely|probably|most likely|indeed|simply|then|still"
_ADVERB += r"|obviously|certainly|actually|in fact|only|,)"
_NOT = r"(\s+not\b|n['’]t\b)?"
_DASH = r"(?:\s*(?:[-–—]|\.{2,}|…)(?=\s+[(\[\"']?[A-Z]\b))?"  # "is - C", but no minus before a number

# A letter that is labelled as one by what follows it; a capital before a word; which words may follow A and I.
# Japanese and Korean write no space after it.
_ENDING = r"(?:です|だ|である|でしょう|となり|になり|입니다|이다|예요|이에요|번|项|選択肢)"
MARKED = re.compile(
    r"([A-Za-z])(?:(?=[)\]}>\"”’]|['](?![a-z])|[.:,;!](?!\w)|\s*(?:\n|$)|\s+[-–—]\s)|(?<=[A-Z])(?=" + _ENDING + "))"
)
CAPITAL = re.compile(
    r"([B-HJ-Z])(?![\w'’+#-])|([AI])(?=\s+(?:because|since|as|for|which|based|given|due|and|or|not|but|in|is|here"
    r"|rather|instead)\b)"
)
LABEL = re.compile(r"[ \t]*[\"'“(\[]*([A-Za-z])(?:[)\]]+[.:,]?|[.:,!](?!\S)|(?=[\"'”\s]*(?:\n|$)|\s+[-–—]\s))")
ALONE = re.compile(r"\W*([A-Za-z])\W*")
MENTION = re.compile(
    rf"[(\[]([A-Z])[)\]]|\b(?i:{NOUN})\s+(?:[\"'“]?([A-Z])(?![\w'’])|[(\[]([a-z])[)\]]|([a-z])(?=[.\s]*$))"
)

# What may stand between "the answer" and "is": "to the problem", "that fits", ", then,", "(letter only)".
_DENYING = r"(?:not|no|never|if|wrong|false|incorrect|doubt|unlike|except)\b|\w+n['’]t\b"
_ASIDE_WORD = rf"(?!\b(?:{_DENYING}))"
_DETAIL = (
    rf"(?:,\s(?:{_ASIDE_WORD}[^,.:;\n]){{1,25}},|\s\([a-z](?:{_ASIDE_WORD}[^()\n]){{2,30}}\)"
    rf"|\s(?:to|for|from|among|amongst|that|with|we|I|you)\s(?:{_ASIDE_WORD}[^.,:;!?\n]){{1,40}}?)"
)
_ABROAD = (
    r"(?:答案|正确答案|正解|答え|答|정답|답|Antwort|R[ée]ponse|Respuesta|Resposta|Risposta|Ответ|الإجابة|उत्तर"
    r"|Antwoord|Svar|Odpowied[źz]|Odpověď|Cevap|Jawaban|Відповідь|Απάντηση|Vastaus|Válasz|Răspuns)"
)
_ABROAD_RIGHT = r"(?:\s+(?:correcte?|correcta|corretta|correta|juste|exacte|poprawna|benar))?"
_TITLE = r"(?:results?|selected|chosen|predictions?|verdict|label|output|key|letter|final(?: letter)?)"
_LETTER_LINE = r"(?=[^\w\n]*[A-Za-z][^\w\n]*(?:\n|$))"

LEADS = [
    # The groups of each: what makes it a denial. "the answer is", "the correct option would be", "Answer:".
    re.compile(
        rf"\b(?:{NOUN}s?|(?:right|correct|best) one)"
        rf"(?:(?:\s+(?:left|remaining|here|to (?:the|this) question))?[\"']?"
        rf"\s*(?:{_BE}{_NOT}|:|=>?|->|→|-\s|(?:(?<=answer)|(?<=ans))\.\s)|{_DETAIL}\s*(?:\b{_BE}(?!(?!n['’]t)\w){_NOT}|:))"
        rf"(?:\s*{_ADVERB}\b)*(\s+not\b)?(?:\s+{NOUN})?{_DASH}", re.IGNORECASE),
    re.compile(rf"{_ABROAD}{_ABROAD_RIGHT}\s*(?:[:：是为為は选選]|应该|應該|应|\(?es\)?\b(?:\s+la\b)?|est\b|lautet\b|ist\b|is\b|é\b|è\b|은|는)+()",
               re.IGNORECASE),
    # "Result: C" on a line of its own.
    re.compile(rf"(?:^|(?<=\n))(?:the\s+|my\s+)?{_TITLE}()\s*[:=]{_LETTER_LINE}", re.IGNORECASE),
    # "I choose", "I'd go with", "it must be", "so it is", "therefore".
    re.compile(
        r"\bI(?:\s+(?:would|will|must|have to|can|am)|['’](?:d|ll|m))?(?:\s+(?:therefore|then|thus|say|going to))*"
        r"\s+(not\s+|don['’]t\s+)?(?:choose|choosing|pick|picking|select|selecting|say"
        r"|go(?:ing)? with|opt for|answer|settle on)"
        r"(?:\s+(?:it(?:\s+is|['’]s)|that|the answer is|option|choice|answer))*", re.IGNORECASE),
    re.compile(r"(?:^|(?<=[.!?,]\s)|(?<=\n))(?:choose|select|pick|let['’]s (?:choose|select|pick|go with))()(?=\s)",
               re.IGNORECASE),
    re.compile(
        r"\b(?:it|that|this|which)(?:\s+(?:is|was|must be|has to be|should be|would be)|['’]s"
        r"|\s+leaves(?:\s+(?:us with|only))?)"
        rf"{_NOT}(?:\s+{_ADVERB})*(?:\s+{NOUN})?", re.IGNORECASE),
    re.compile(rf"(?:^|(?<=[.!?;,]\s)|(?<=\n))(?:therefore|thus|hence|so|finally|conclusion|final"
               rf"|in conclusion|correct)[,:]?(\s+not\b)?(?:\s+(?:the\s+)?{NOUN})?(?=\s)", re.IGNORECASE),
    # "no, wait, actually": what follows takes back what was said before.
    re.compile(r"(?:^|(?<=[.!?…,;]\s)|(?<=\n))(?:no|wait|sorry|oops|actually|rather|I mean)()(?:[,:…]|\.+)?"
               r"(?:\s+(?:no|wait|sorry|actually|rather|I mean|make that|it['’]s|it is)[,:]?)*(?=[^\S\n])",
               re.IGNORECASE),
]  # fmt: skip
LOOSE_LEADS = LEADS[-2:]
"""Leads that also begin a sentence of the reasoning: "So A is in Italy"."""
MARKS = [
    re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"\[\[([^\[\]]{1,200})\]\]"),
    re.compile(r"####\s*([^\n]+)"),
    re.compile(r"=\s*([^=\n]+)$"),
]
BUT = re.compile(r"[^.\n]{0,60}?\bbut(?:\s+rather)?\b", re.IGNORECASE)

# What is said of a choice: "is correct", "should be the answer", "it is"; "is wrong", "cannot be".
RIGHT = re.compile(
    rf"\s*{CLOSE},?\s+(?:is|was|are|must be|has to be|should be|would be|seems"
    rf"|appears to be)(?:\s+{_ADVERB})*\s+(?:the\s+)?(?:most\s+|only\s+|best\s+)?"
    r"(?:correct|right|best|true|accurate|appropriate|valid|answer|final answer|one|my answer|my choice|solution)\b"
    rf"|\s*{CLOSE},?\s+it is(?=[.!]*\s*(?:\n|$))|\s*[:–—-]\s*(?P<word>correct|right|true)\b",
    re.IGNORECASE,
)
WRONG = re.compile(
    rf"\s*{CLOSE},?\s+(?:(?:is|was|are|would be|seems|can|could|does|do|has)(?:\s+(?:also|clearly"
    rf"|definitely|likely|be|therefore))*"
    r"(?:\s*n['’]t\b|\s*not\b|\s+(?:incorrect|wrong|false|out\b|ruled out|eliminated|impossible|invalid"
    r"|inaccurate))|cannot\b"
    r"|fails\b)|\s*[:,–—-]\s*(?:incorrect|wrong|false|no(?!\s+(?:doubt|question)))\b",
    re.IGNORECASE,
)
_SIGNED = (
    r"[\s:.,(\[←<=–—-]*(?:this is |is )?(?:the )?(?:{words})(?: answer| option| choice| one)?[\s.!)\]]*(?:[,;:–—] .*)?"
)
TICKED = re.compile(
    _SIGNED.format(words="correct|right|true|yes|[✓✔✅☑]")
    + r"|.*(?:[(\[←]\s*(?:correct|right)\b[^()\n]{0,20}|[✓✔✅☑]\W*)",
    re.IGNORECASE,
)
CROSSED = re.compile(_SIGNED.format(words="incorrect|wrong|false|no|[✗✘✕❌×]") + r"|.*[✗✘✕❌]\W*", re.IGNORECASE)
"""What is left of an option's line behind its label and text, if it marks the option as right, or as wrong."""
AFTER_SIGN = re.compile(r"(?<=[✓✔✅☑✗✘✕❌])[ \t]+(?=\(?[A-Z]\b)")
SIGNED_LETTER = re.compile(r"[ \t]*\(?([A-Z])\)?(?=\s*(?:[✓✔✅☑✗✘✕❌]|[(\[](?i:correct|right|incorrect|wrong)\b))")

ASIDE = re.compile(rf"{CLOSE}\s+(?:is|are|was|were|has|have|had|lies|means)\b")
ALSO = re.compile(
    rf"{CLOSE}\s*(?:,?\s*(?:and|or|as well as)(?:\s+also)?\b|,|/|&|\+|;)\s*{OPEN}(?:{NOUN}\s+)?{OPEN}", re.IGNORECASE
)
LISTED = re.compile(rf"[\s,&/+]*(?:(?:and|or|nor|as well as)\s+)?(?:(?:{NOUN})s?\s+)?[\s\"'“(\[]*", re.IGNORECASE)
JOINED = re.compile(r"\b(?:and|or|both)\b|&", re.IGNORECASE)
REASON = re.compile(
    rf"{CLOSE}\s*[,;:–—-]?\s*\(?(?:because|since|as(?! well\b)|for(?! (?:example|instance)\b)|given|due to"
    r"|rather than|instead of|unlike|as opposed to|(?:and\s+)?not)\b",
    re.IGNORECASE,
)
"""Behind an answer: a reason, or a contrast with another choice."""
CLAUSE_END = re.compile(r"[.!?](?=\s)|[;\n]|\s(?:but|while)\s", re.IGNORECASE)
LABEL_DOT = re.compile(r"(?:^|[\n.!?;])\s*[(\[\"'“]*[A-Z]$")
"""Before the period of "C. Paris is correct", which ends no sentence."""

BEFORE_TEXT = re.compile(
    r"(?:^|[.:;!?,\n(]|\b(?:is|are|was|were|be|it['’]s|that['’]s|say|choose|pick|think|believe|guess|therefore|thus|hence"
    r"|so|called|probably|likely|definitely|with|but|rather))\s*(?:the|an?)?\s*[\"'“‘(\[]*$",
    re.IGNORECASE,
)
AFTER_TEXT = re.compile(
    r"(?=[\"'”’)\]}]*\s*(?:$|[.!?]+(?:\s|$)|[,;:\n(–—]|\s-\s|\b(?:is|are|was|were|because|since|as|which|who|that|due|but|and"
    r"|or|not|has|have|can|would|will|here|for|rather|instead|unlike)\b))",
    re.IGNORECASE,
)
TOLD = re.compile(
    rf"{CLOSE}\s+(?:(?:is|are|was|were)\s+(?:in|at|on|an?|the|located|found)|has|lies|lie)\b", re.IGNORECASE
)
"""Behind a choice that is talked about, as a reason for another."""
_NO = re.compile(
    r"\b(?:not|n['’]t|never|neither|nor|than|except(?: for)?|instead of|unlike"
    r"|(?:anything|everything|all|any|nothing) but)\s+(?:the\s+|an?\s+)?[\"'“(]*$",
    re.IGNORECASE,
)
_COMPARED = re.compile(r"(?<!rather )(?<!other )\bthan\s+(?:the\s+|an?\s+)?[\"'“(]*$", re.IGNORECASE)

# A capital at the end of an answer that is no part of a name: what may stand before it.
LETTER_AT_END = re.compile(
    r"(?:[:,;–—→…]|(?<=\s)-|\b(?:probably|definitely|certainly|likely|maybe|perhaps|possibly|clearly|obviously|surely"
    r"|just|only|is|be|it['’]s|that['’]s|think|believe|guess|say|suppose|bet|reckon|choose|chose|pick|picked|select"
    r"|selected|mark|tick|circle|(?:go|going|went|stick|sticking) with|(?:opt|opting|vote) for|settle on))"
    r"\s*[\"'“‘(\[]*(?-i:([A-Z]))[\"'”’)\].!]*\s*$",
    re.IGNORECASE,
)
LONE_CAPITAL = re.compile(
    r"(?<![\w'’])(?:[B-HJ-Z](?![\w'’])|A(?!['’]|\w|\s+[a-z])|A(?=\s+(?:is|was|and|or|seems|looks)\b))"
)
ANY_DENIAL = re.compile(
    r"n['’]t\b|\b(?:not|cannot|never|neither|nor|no|none|nobody|except|excluding|unlike|instead|rather|without|wrong"
    r"|false|incorrect|eliminate|eliminating|rule|ruling|doubt|doubtful|unlikely|hardly|anything)\b",
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
    r"|\b(?:some|people|students|others|you|one)\s+(?:people\s+|students\s+)?(?:(?:may|might|could|would)\s+)?"
    r"(?:be tempted to\s+)?(?:think|say|believe|guess)\b",
    re.IGNORECASE,
)
_OWN_IF = (  # "if I had to guess", "if we look at the map": no condition of the answer
    r"(?:anything\b|(?:I|we|you|one)(?:['’](?:m|re|ve)|\s+am|\s+are)?\s+(?:(?:had|have|were|need|forced) to|must|recall"
    r"|remember|not mistaken|understand|look|add|consider|eliminate|exclude|use|take|apply|combine|compare|solve"
    r"|compute|calculate|check|go by|substitute|plug|put|follow|multiply|divide|subtract)\b)"
)
_THAT = re.compile(r"\bthat(?:\s+(?:the|my|correct|right|best))*\s*$", re.IGNORECASE)
_CONDITION = re.compile(
    rf"^\W*(?:(?:only|and|or|then)\s+)?(?:if\s+(?!{_OWN_IF})|(?:had|were|suppose|imagine|supposing|assume)\s+"
    r"(?:it|the|this|that|we|they|you|I)\b)",
    re.IGNORECASE,
)
CONDITIONAL = re.compile(rf"{CLOSE},?\s+(?:only\s+)?(?:if\s+(?!{_OWN_IF}|and only)|unless\s)", re.IGNORECASE)
"""Behind a choice: it is one on a condition only."""


def is_refused(text: str, position: int) -> bool:
    """True if what stands at a place is named only to be denied: "not Rome", "rather than Rome"."""
    return _NO.search(text, max(0, position - 40), position) is not None


def is_compared(text: str, position: int) -> bool:
    """True behind "larger than", which denies nothing."""
    return _COMPARED.search(text, max(0, position - 40), position) is not None


def is_doubted(text: str, position: int) -> bool:
    """True if the clause before a place says that what follows is not so, or so on a condition only."""
    part = _SENTENCE_PART.split(text[max(0, position - _WINDOW) : position])[-1]
    if _CONDITION.match(part):
        return True
    # A comma ends what "I don't think" reaches ("I don't think so, it is C"), unless "that" takes it up again.
    clause = part if _THAT.search(part) else part.rpartition(",")[2]
    return _DOUBTED.search(_CLAUSE_PART.split(clause)[-1]) is not None
