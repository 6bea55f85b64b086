r"""What a worked answer concludes: what it does not take back, and what is in \boxed, after "####" or "answer is"."""

from __future__ import annotations

import re

from calibration_tuning.grading.number_words import WORD

_STATEMENT = re.compile(rf"\d|\\[A-Za-z]|\$|\b(?!one\b){WORD}\b", re.IGNORECASE)
_SUBJECT = r"(?:that|this|it|which|(?:my|the)\s+(?:\w+\s+)?(?:answer|result|calculation))"
_IS_NOT = r"(?:(?:is|was)\s+not|isn['’]t|wasn['’]t|(?:can(?:\s?not|['’]t)|(?:would|could)(?:\s+not|n['’]t))\s+be)"
_WRONG = (
    r"(?:wrong|incorrect|mistaken|unlikely|impossible|(?:a|my|an)\s+(?:common\s+)?(?:mistake|error|misconception|myth)"
    r"|my\s+(?:first|initial|original)\s+\w+|too\s+(?:low|high|small|large|big|many|few|much))"
)
_RIGHT = r"(?:quite\s+)?(?:right|correct)"
_TURN = re.compile(  # "5. No, 6", "5, actually 6", "5. That is wrong: 6"; not "no more" or "wait 5 minutes"
    r"(?:[.,:;?!…(\n—–。，？！]|\s-+\s)[\s*_\"'(]{0,9}(?:(?:oh|hmm+|but|and|well)[,\s]\s{0,9})?"
    r"(?P<word>(?P<denies>no|nope|nein|non|нет|不对|不對|いや|違う|아니)|等等|wait|correction|actually|i\s+mean|sorry|oops|or\s+rather|hold\s+on"
    r"|should\s+(?:be|have\s+been))(?![\w'’-])"
    r"(?=[*_\"']*(?:\s{0,9}[,.:;!?…—–。，、！]|\s{1,9}-|\s*$|\s+(?:it|the|that|this|there|i|let|we|my|not|no|wait|[-$]?\d)))"
    rf"|\b(?<!\bif )(?<!whether )(?P<wrong>{_SUBJECT}(?:(?:\s+(?:is|was|seems|looks|would\s+be)|['’]s)\s+"
    rf"(?:\w+ly\s+)?(?:{_WRONG}|not\s+{_RIGHT})|\s+{_IS_NOT}\s+{_RIGHT})|i\s+made\s+an?\s+(?:\w+\s+)?(?:mistake|error))"
    r"(?=[\s*_)]{0,9}(?:$|[.,:;!?)\n—–])|\s+(?:so|because|since|as|and|but)\b)",
    re.IGNORECASE,
)
_NUMBER = r"[-$€£]?\.?\d[\d.,]*(?<![.,])"
_REJECTED = re.compile(  # struck out, or called wrong: "5 is too low", "5 (wrong)"; not "5 wrong answers"
    rf"~~[^~\n]+~~|(?:\\(?:boxed|fbox)\s*\{{[^{{}}]*\}}|(?<![\d.,/^}}]){_NUMBER})[$*)\]_}}]{{0,3}}\s{{0,9}}"
    rf"(?:(?:\(\s*|\b(?:is|was|would\s+be|seems)\s+)(?:\w+ly\s+)?{_WRONG}\b|{_IS_NOT}\b"
    rf"|,\s*{_WRONG}\b(?=\s*(?:[.;!?\n)]|$)))[^.,;\n\d)\\]*\)?"
    rf"|(?:[,(]\s*|\s(?:and|but)\s+)not\s+{_NUMBER}(?:(?!\b(?:so|but|therefore)\b)[^.;)\n])*\)?",
    re.IGNORECASE,
)

_HASHES = r"####\s*(?!\d+[.)]\s+\S)(?P<hashes>[-+$€£*\\(]*\.?\d[^\n]*)"
_ANSWER_IS = (
    r"(?:(?<!wrong )(?<!incorrect )(?<!false )(?<!mistaken )"
    r"\b(?:answer|respuesta|réponse|antwort|risposta|resposta|ответ)|答案|答え|正解|정답)[\s*_\"']{0,9}"
    r"(?:is(?=n['’]t)|(?:is|est?|ist)\b|[èé是为為は은：:=]|equals|comes\s+to|(?:would|must|should|will)\s+be)[\s*_\"']{0,9}"
    r"(?:[:：=]\s*)?(?P<answer>[^\n]+?)(?:[.?](?=\s*\n|\s*$)|(?=\s*\n|\s*$|。)|(?<!approx)\.(?=\s))"
)
_MARK = re.compile(f"{_HASHES}|{_ANSWER_IS}", re.IGNORECASE)
_DENIED = re.compile(
    r"(?:\w+ly\s+)?(?:not\b|n['’]t\b)(?:.*?\b(?:but(?:\s+rather)?|it['’]s|it\s+is)\s+(?P<instead>.+))?", re.IGNORECASE
)
_DENIED_BEFORE = re.compile(
    r"(?:\bnot|\bnever|\bcannot|n['’]t)(?:\s+(?:be|equal|to|think|believe|say|that|the|my|correct|right|final))*"
    r"[\s$*(:]*(?:\\[(\[]\s*)?$",
    re.IGNORECASE,
)
_STYLE = re.compile(r"\\(?:(?:text|math)(?:bf|it|rm|sf|tt|normal)?|mbox|underline|boldsymbol|bm)\s*\{([^{}]*)\}")
# Not the end of a sentence, nor an empty line.
_BETWEEN_BOXES = re.compile(r"(?!.*(?:[.!?]|\n\s*\n))\W*(?:and|or)?\W*", re.IGNORECASE | re.DOTALL)


def after_change_of_mind(answer: str) -> str:
    """The answer after its last change of mind, without the parts that it strikes out or calls wrong.

    A change of mind needs a number or formula before it and after it. If it only denies ("5? No."), nothing has to
    follow.
    """
    answer = _REJECTED.sub("", answer)
    for turn in reversed([*_TURN.finditer(answer)]):
        before, after = answer[: turn.start()], answer[turn.end() :].lstrip(" \n,.:;!?…—–*_)。，、！")
        if not _STATEMENT.search(before):
            break
        if _STATEMENT.search(after):
            return after
        if turn["denies"] or turn["wrong"]:
            return f"{turn['word'] or turn['wrong']} {after}"
        answer = before
    return answer


def marked(text: str) -> list[str]:
    r"""The contents of \boxed and the texts after "####" and "answer is", in the order of the text.

    A single empty text if all of them are denied. Boxes with only "and", "or" and signs between them are joined by
    "and"; a part that occurs twice counts once.
    """
    results: list[tuple[int, str]] = []
    denied = False
    boxes = boxed(text)
    for number, (start, _, content) in enumerate(boxes):
        if _DENIED_BEFORE.search(text, max(0, start - 60), start):
            denied = True
        elif results and number and _BETWEEN_BOXES.fullmatch(text[boxes[number - 1][1] : start]):
            parts = dict.fromkeys([*results[-1][1].split(" and "), content.strip()])
            results[-1] = (start, " and ".join(parts))
        else:
            results.append((start, content.strip()))
    for mark in _MARK.finditer(text):
        if any(start < mark.start() < end for start, end, _ in boxes):
            continue
        content, after = (mark["hashes"] or mark["answer"]).strip(), text[mark.end() :]
        if match := _DENIED.match(content):
            content = match["instead"] or (after if _STATEMENT.search(after) else "")
        elif _DENIED_BEFORE.search(text, max(0, mark.start() - 60), mark.start()):
            content = ""
        if content:
            results.append((mark.start(), content))
        denied = denied or not content
    return [content for _, content in sorted(results, key=lambda mark: mark[0])] or [""] * denied


def unstyled(text: str) -> str:
    r"""The text without LaTeX's style commands around its words, also nested ones: \text{\textbf{5}} is 5."""
    while (bare := _STYLE.sub(r"\1", text)) != text:
        text = bare
    return text


def boxed(text: str) -> list[tuple[int, int, str]]:
    r"""Begin, end and content of every complete \boxed or \fbox."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for place, sign in enumerate(text):
        if sign == "{":
            opened.append(place)
        elif sign == "}" and opened:
            closing[opened.pop()] = place
    boxes = []
    for match in re.finditer(r"\\(?:boxed|fbox)\s*(?:\{|(?=\w))", text):
        if not match.group().endswith("{"):
            boxes.append((match.start(), match.end() + 1, text[match.end()]))
        elif end := closing.get(match.end() - 1):
            boxes.append((match.start(), end + 1, text[match.end() : end]))
    return boxes
