"""How people word a choice: what a letter looks like, what leads up to one, and what is said of one.

Patterns only; `choice_parsing` puts them together, and `choice_doubts` has those that deny or doubt.
"""

from __future__ import annotations

import re
import unicodedata

DROPPED = str.maketrans(
    {**dict.fromkeys("*_`$#\ufe0f", ""), "。": ".", "、": ",", "「": '"', "」": '"', "【": "[", "】": "]"}
)
LATEX = re.compile(
    r"\\(?:text(?:bf|rm|it|sf|tt)?|math(?:bf|rm|it|sf|tt))\s*\{([^{}]*)\}|\\(?:rm|bf|it)\b\s*|\\[()\[\]]"
)
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

_RIGHT_VERB = (
    r"(?:is|was|are|must be|has to be|should be|would be|will be|seems(?: to be| like)?|appears(?: to be)?"
    r"|looks(?: like)?)"
)

# A letter that is labelled as one by what follows it; a capital before a word; which words may follow A and I.
# Japanese and Korean write no space after it.
_ENDING = r"(?:です|だ|である|でしょう|となり|になり|입니다|이다|예요|이에요|번|项|選択肢)"
MARKED = re.compile(
    r"([A-Za-z])(?:(?=[)\]}>\"”’]|['](?![a-z])|[.:,;!](?!\w)|\s*(?:\n|$)|\s+[-–—]\s)|(?<=[A-Z])(?=" + _ENDING + "))"
)
CAPITAL = re.compile(
    r"([B-HJ-Z])(?![\w'’+#-])|([AI])(?=\s+(?:because|since|as|for|which|based|given|due|and|or|not|but|in|is|here"
    r"|rather|instead)\b|\s*\([A-Z])"
)
LABEL = re.compile(r"[ \t]*[\"'“(\[]*([A-Za-z])(?:[)\]]+[.:,]?|[.:,!](?!\S)|(?=[\"'”\s]*(?:\n|$)|\s+[-–—]\s))")
TEXT_LABEL = re.compile(r"[\"“‘'(\[]*([A-Za-z])(?:[)\]:.}>\"”]|\s*[\n(→]|\s+[–—-]\s|\s+(?=[A-Z]))")
"""A label before a choice's text. "A Paris" has one, "a pear" an article."""
ALONE = re.compile(r"[^\w?]*([A-Za-z])[^\w?]*")
MENTION = re.compile(
    rf"[(\[]([A-Z])[)\]]|\b(?i:{NOUN}|letra|opci[óo]n|op[çc][ãa]o|opzione)\s+"
    r"(?:[\"'“]?([A-Z])(?![\w'’])|[(\[]([a-z])[)\]]|([a-z])(?=[.\s]*$))"
)

# What may stand between "the answer" and "is": "to the problem", "that fits", ", then,", "(letter only)".
_DENYING = (
    r"(?:not|no|never|if|wrong|false|incorrect|doubt|unlike|except|elimin\w+|exclude|avoid|discard|reject)\b"
    r"|\w+n['’]t\b"
)
_ASIDE_WORD = rf"(?!\b(?:{_DENYING}))"
_DETAIL = (
    rf"(?:,\s(?:{_ASIDE_WORD}[^,.:;\n]){{1,25}},|\s\([a-z](?:{_ASIDE_WORD}[^()\n]){{2,30}}\)"
    rf"|\s(?:to|for|from|among|amongst|that|with|we|I|you)\s(?:{_ASIDE_WORD}[^.,:;!?\n]){{1,40}}?)"
)
_ABROAD = unicodedata.normalize(  # Thai vowels
    "NFKC",
    r"(?:答案|正确答案|正解|答え|答|정답|답|Antwort|R[ée]ponse|Respuesta|Resposta|Risposta|Ответ|الإجابة|उत्तर"
    r"|Antwoord|Svar|Odpowied[źz]|Odpověď|Cevap|Jawaban|Відповідь|Απάντηση|Vastaus|Válasz|Răspuns|Đáp án|คำตอบ|الجواب"
    r"|Opci[óo]n|Op[çc][ãa]o|Opzione|Alternativa)",
)
_LETTER_ABROAD = (  # a letter behind which nothing denies it
    rf"(?=[\s:=\[(\"“«]*[A-Z](?:[\s.!)\]\"”»]*(?:\n|$)|[)\].:,;\"”»]|\s*(?:है(?!\w)|\()|{_ENDING}))"
)
_NOT_ABROAD = (
    r"(?:\b(?:nicht|kein\w*|falsch\w*|pas|faux|fausse|no|incorrect\w*|não|errad\w+|non|sbagliat\w+|nie|tidak|bukan|salah"
    r"|không|sai|не|нет|inte|ikke|niet|fout\w*|yanlış|değil|nu|ne|není)\b|n['’]|не|ليس|خاط|गलत|नहीं|ไม่|ผิด|[不非错錯误誤])"
)
_ABROAD_RIGHT = r"(?:\s+(?:correcte?|correcta|corretta|correta|juste|exacte|poprawna|benar))?"
_TITLE = r"(?:results?|selected|chosen|predictions?|verdict|label|output|key|letter|final(?: letter)?)"
_LETTER_LINE = r"(?=[^\w\n]*[A-Za-z][^\w\n]*(?:\n|$))"

# A group of a lead that matches denies what follows it.
STRICT_LEADS = [
    # "the answer is", "the correct option would be", "Answer:".
    re.compile(
        rf"\b(?:{NOUN}|answers|(?:right|correct|best) one)"
        rf"(?:(?:\s+(?:left|remaining|here|to (?:the|this) question))?[\"']?"
        rf"\s*(?:{_BE}{_NOT}|:|=>?|->|→|-(?:\s|(?=(?-i:[A-Z])(?!\w)))|(?:(?<=answer)|(?<=ans))\.\s)|{_DETAIL}\s*(?:\b{_BE}(?!(?!n['’]t)\w){_NOT}|:))"
        rf"(?:\s*{_ADVERB}\b)*(\s+not\b)?(?:\s+{NOUN})?{_DASH}", re.IGNORECASE),
    re.compile(rf"{_ABROAD}{_ABROAD_RIGHT}\s*(?:[:：是为為は选選]|应该|應該|应|\(?es\)?\b(?:\s+la\b)?|est\b|lautet\b|ist\b|is\b|é\b|è\b|은|는)+",
               re.IGNORECASE),
    # Any words between the noun and the letter: "La opción correcta es la C", "Đáp án đúng là C", "选C".
    re.compile(rf"(?<![A-Za-z])(?i:{_ABROAD})(?:(?!{_NOT_ABROAD})(?:[^A-Z\d.,;!?\n]|(?:Option|Antwort)\s)){{0,40}}?{_LETTER_ABROAD}"),
    re.compile(rf"(?<![不别勿没未])(?:选|選)(?:择|擇)?{_LETTER_ABROAD}"),
    re.compile(r"(?:^|(?<=[.!,]\s)|(?<=\n))(?:(?i:C['’]est|Es ist|Richtig ist|Il s['’]agit de|Es|[ÉÈ])(?:\s+l?a)?)"
               rf"(?!\w)\s*{_LETTER_ABROAD}"),
    # "Result: C" on a line of its own.
    re.compile(rf"(?:^|(?<=\n))(?:the\s+|my\s+)?{_TITLE}\s*[:=]{_LETTER_LINE}", re.IGNORECASE),
    # "I choose", "I'd go with".
    re.compile(
        r"\bI(?:\s+(?:would|will|must|have to|can|am)|['’](?:d|ll|m))?(?:\s+(?:therefore|then|thus|say|going to))*"
        r"\s+(not\s+|don['’]t\s+)?(?:choose|choosing|pick|picking|select|selecting|say"
        r"|go(?:ing)? with|opt for|answer|settle on)"
        r"(?:\s+(?:it(?:\s+is|['’]s)|that|the answer is|option|choice|answer))*", re.IGNORECASE),
    re.compile(r"(?:^|(?<=[.!?,]\s)|(?<=\n))(?:choose|select|pick|let['’]s (?:choose|select|pick|go with))(?=\s)",
               re.IGNORECASE),
]  # fmt: skip
IT_IS = re.compile(
    r"\b(?:it|that|this|which)(?:\s+(?:is|was|must be|has to be|should be|would be)|['’]s"
    rf"|\s+leaves(?:\s+(?:us with|only))?){_NOT}(?:\s+{_ADVERB})*(?:\s+{NOUN})?"
    r"|,\s+leaving(?:\s+(?:us with|only|just))*(?![^.,;\n]*\s(?:out|aside|behind|wrong)\b)", re.IGNORECASE
)  # fmt: skip
LOOSE_LEADS = [
    re.compile(rf"(?:^|(?<=[.!?;,]\s)|(?<=\n))(?:therefore|thus|hence|so|finally|conclusion|final"
               rf"|in conclusion|correct)[,:]?(\s+not\b)?(?:\s+(?:the\s+)?{NOUN})?(?=\s)", re.IGNORECASE),
    # "no, wait, actually": what follows takes back what was said before.
    re.compile(r"(?:^|(?<=[.!?…,;]\s)|(?<=\n))(?:no|wait|sorry|oops|actually|rather|I mean)(?:[,:…]|\.+)?"
               r"(?:\s+(?:no|wait|sorry|actually|rather|I mean|make that|it['’]s|it is)[,:]?)*(?=[^\S\n])",
               re.IGNORECASE),
]  # fmt: skip
"""Leads that also begin a sentence of the reasoning: "So A is in Italy"."""
MARKS = [
    re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"),
    re.compile(r"\[\[([^\[\]]{1,200})\]\]"),
    re.compile(r"####\s*([^\n]+)"),
]
LAST_SIDE = re.compile(r"=\s*([^=\n]+)$")
BUT = re.compile(r"[^.\n]{0,60}?\bbut(?:\s+rather)?\b", re.IGNORECASE)

NO_NOUN = (
    r"(?:-\w|\s+(?!(?:it|they|he|she|we|you|I|there|this|that|these|those|because|since|as|is|was|and|or|but|not"
    r"|for|if|when|unless|in|on|at|to|by|with|yes|no|wait)\b)\w)"
)
"""Behind a "no" that belongs to a noun, and answers nothing: "no license", "no-one"."""

# What is said of a choice: "is correct", "should be the answer", "it is"; "is wrong", "cannot be".
RIGHT = re.compile(
    rf"\s*{CLOSE},?\s+{_RIGHT_VERB}(?:\s+{_ADVERB})*\s+(?:(?:the|your)\s+)?(?:most\s+|only\s+|best\s+)?"
    r"(?:correct|right|best|better(?=\s*(?:than|choice|answer|option|fit|[.,;!]|$))"
    rf"|more likely(?! to)|most likely(?=\s+{NOUN}\b|\s+to be (?:correct|right)\b|\s*(?:[.,;!]|$))"
    r"|true|accurate|appropriate|valid|answer|final answer|(?<=the )one|my answer|my choice|solution)\b"
    rf"|\s*{CLOSE},?\s+makes the most sense\b|\s*{CLOSE},?\s+it is(?=[.!]*\s*(?:\n|$))"
    r"|\s*[:–—-]\s*(?P<word>correct|right|true)\b",
    re.IGNORECASE,
)
WRONG = re.compile(
    rf"\s*{CLOSE},?\s+(?:(?:is|was|are|would be|seems|can|could|does|do|has)(?:\s+(?:also|clearly"
    rf"|definitely|likely|be|therefore))*"
    r"(?:\s*n['’]t\b|\s*not\b|\s+(?:incorrect|wrong|false|out\b|ruled out|eliminated|impossible|invalid"
    r"|inaccurate))|cannot\b"
    rf"|fails\b)|\s*[:,–—-]\s*(?:incorrect|wrong|false|no(?!{NO_NOUN}))\b",
    re.IGNORECASE,
)
# A sentence that calls a letter right: "La opción C es correcta.", "B选项正确", "Bが正しい。".
RIGHT_ABROAD = re.compile(
    rf"(?:^|[.!\n])\s*(?:(?:la|le|die|a|o|el|il|de)\s+|l['’])?(?:(?:{_ABROAD}|option|选项|選項|選択肢|선택지)\s*)?"
    r"[(\"“]?(?P<letter>(?-i:[A-Z]))[)\"”]?\s*(?:选项|選項|번)?\s*"
    r"(?:est (?:la )?(?:bonne(?: réponse)?|correcte?|juste|vraie?)|ist (?:die )?(?:richtig|korrekt)(?:e Antwort)?"
    r"|es (?:la )?(?:respuesta |opción )?correct[ao]|é (?:a )?(?:resposta |opção )?corret[ao]"
    r"|è (?:la )?(?:risposta |opzione )?corrett[ao]|是?(?:正确|正確|对|對)(?:的|(?:的)?答案)?"
    r"|[가이은는]\s?(?:맞습니다|맞아요|맞다|정답입니다|정답이다|정답|옳습니다|옳다)"
    r"|[がは]\s?(?:正しい|正解)(?:です|だ|である)?)(?=\s*(?:[.!,;\n]|$))",
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

LABEL_BEHIND = re.compile(
    rf"{CLOSE}\.?\s*[,=:→–—-]?\s*(?:which is\s+)?(?:[(\[]\s*(?:(?i:{NOUN})\s+)?(?=[A-Z][)\]])|(?i:{NOUN})\s+[(\[]?"
    r"|(?<=[=:→–—-]\s)(?=[A-Z]\W*(?:\n|$)))([A-Z])(?![\w'’])"
)
"""Behind a choice's text: the label that it is given, as in "Paris (C)"."""
ASIDE = re.compile(rf"{CLOSE}\s+(?:is|are|was|were|has|have|had|lies|means)\b")
ALSO = re.compile(
    rf"{CLOSE}\s*(?:,?\s*(?:and|or|as well as)(?:\s+also)?\b|,|/|&|\+|;)"
    rf"(?:\s*(?:possibly|maybe|perhaps|(?:but\s+)?(?:it\s+)?(?:could|might|may)\s+(?:also\s+)?be)\b)?\s*{OPEN}(?:{NOUN}\s+)?{OPEN}",
    re.IGNORECASE,
)
LISTED = re.compile(rf"[\s,&/+]*(?:(?:and|or|nor|as well as)\s+)?(?:(?:{NOUN})s?\s+)?[\s\"'“(\[]*", re.IGNORECASE)
JOINED = re.compile(r"\b(?:and|or|both)\b|&", re.IGNORECASE)
PREDICATE = re.compile(
    rf"{CLOSE}\s+(?:(?:is|are|was|were)\s+"
    r"(?:the|an?|in|at|on|by|from|of|what|where|who|located|\w{2,}(?:ed|wn|en))\b(?!\s*$)"
    r"|(?:has|have|fits?|matches|match|works?|applies|satisf(?:y|ies)|holds?|makes? (?:the most )?sense)\b)",
    re.IGNORECASE,
)
"""Behind a letter that is the answer: what tells of it. An adjective may tell why it is not."""
HEDGED = re.compile(
    rf"{CLOSE}\s+(?:is|are|was|were)\s+(?:\w+ly\s+|also\s+)?(?:plausible|possible|tempting|close|off|out|wrong)\b",
    re.IGNORECASE,
)
VERB = re.compile(r"(?:is|are|was|were|seems?|appears?|looks?|can|could|may|might|would|does|has)\b")
REASON = re.compile(
    rf"{CLOSE}\s*[,;:–—-]?\s*\(?(?:(?:(?:this|that|it) is )?because|since|as(?! well\b)|for(?! (?:example|instance)\b)"
    r"|given|due to|rather than|instead of|unlike|as opposed to|(?:and\s+)?not)\b",
    re.IGNORECASE,
)
"""Behind an answer: a reason, or a contrast with another choice."""
SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
UNIT = re.compile(r"(?:\s[^\W\d_]+|[^\W\d_]+)(?:/[^\W\d_]+| per [^\W\d_]+)?(?=[.,;!)]?(?:\s|$))")
CLAUSE_END = re.compile(r"[.!?](?=\s)|[;\n]|\s(?:but|while)\s", re.IGNORECASE)
LABEL_DOT = re.compile(r"(?:^|[\n.!?;])\s*[(\[\"'“]*[A-Z]$")
"""Before the period of "C. Paris is correct", which ends no sentence."""

BEFORE_TEXT = re.compile(
    r"(?:^|[.:;!?,\n(]|\b(?:is|are|was|were|be|it['’]s|that['’]s|says?|choose|pick|think|believe|guess|therefore"
    r"|thus|hence|so|called|known as|type|group|class|probably|likely|definitely|with|but|rather|will|would|through"
    r"|due to|because of|clearly|obviously|certainly|surely|maybe|perhaps|possibly|gives|equals|^by"
    r"|(?:caused|produced|formed|driven|explained"
    r"|determined|controlled|measured) by))"
    r"\s*(?:the|an?)?\s*[\"'“‘(\[]*$",
    re.IGNORECASE,
)
AFTER_TEXT = re.compile(
    r"(?=[\"'”’)\]}]*\s*(?:$|[.!?]+(?:\s|$)|[,;:\n(\[–—]|\s-\s(?!\d)|\b(?:is|are|was|were|because|since|as|which|who|that|due|but|and"
    r"|or|not|has|have|can|would|will|fits?|matches|here|for|rather|instead|unlike)\b))",
    re.IGNORECASE,
)
TOLD = re.compile(
    rf"{CLOSE}(?:\s*\(([A-Z])\))?\s+(?:(?:is|are|was|were)\s+(?:in|at|on|an?|the|located|found)|has|lies|lie)\b|{CLOSE}\s+(?:is|are|was|were)$",
    re.IGNORECASE,
)
"""Behind a choice that is talked about, as a reason for another."""
OTHER_CAPITAL = re.compile(r"(?<![A-Za-z'’])[A-HJ-Z](?![A-Za-z'’])")
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
