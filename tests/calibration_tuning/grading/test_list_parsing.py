"""Lists as people and models write them in many scripts, with the F1 of their items."""

from __future__ import annotations

import pytest

from calibration_tuning.grading.graders import grade
from calibration_tuning.grading.list_parsing import items
from calibration_tuning.records import Question

COUNTRIES = ["France", "Spain"]
KINDS: dict[str, list[tuple[list[str], str, float]]] = {
    "separators of other scripts": [
        (["أحمر", "أزرق"], "أحمر، أزرق", 1), (["أحمر", "أزرق"], "أحمر؛ أزرق", 1), (["赤", "青"], "赤・青", 1),
        (["赤", "青"], "・赤\n・青", 1), (["アメリカ", "カナダ"], "アメリカ・カナダ", 1),
        (["红", "蓝"], "答案：红、蓝", 1),
        (["トム・クルーズ", "青"], "トム・クルーズ、青", 1),
        (["青"], "トム・クルーズ、青", 2 / 3),  # a name is one item
        (COUNTRIES, "France<br>Spain", 1), (COUNTRIES, "<ul><li>France</li><li>Spain</li></ul>", 1),
    ],
    "words between known items": [
        (["красный", "синий"], "красный и синий", 1), (["लाल", "नीला"], "लाल और नीला", 1),
        (["kırmızı", "mavi"], "kırmızı ve mavi", 1), (["czerwony", "niebieski"], "czerwony i niebieski", 1),
        (["κόκκινο", "μπλε"], "κόκκινο και μπλε", 1), (["أحمر", "أزرق"], "أحمر وأزرق", 1), (["红", "蓝"], "红或蓝", 1),
        (COUNTRIES, "France. Spain.", 1), (COUNTRIES, "France together with Spain", 1),
        (["красный", "синий"], "красный и чёрный", 0), (COUNTRIES, "France y Italia", 0),
        (["Bosnia and Herzegovina", "Cuba"], "Bosnia and Herzegovina\nCuba", 1), (["وردي", "أزرق"], "وردي", 2 / 3),
    ],
    "labels": [
        (COUNTRIES, "A. France\nB. Spain", 1), (COUNTRIES, "A) France\nB) Spain", 1),
        (COUNTRIES, "(A) France\n(B) Spain", 1),
        (COUNTRIES, "I. France\nII. Spain", 1), (COUNTRIES, "i) France\nii) Spain", 1),
        (COUNTRIES, "+ France\n+ Spain", 1),
        (COUNTRIES, "(a) France, (b) Spain", 1), (COUNTRIES, "① France ② Spain", 1),
        (COUNTRIES, "The countries:\nA. France\nB. Spain", 1), (COUNTRIES, "A. France\nB. Italy", 0.5),
        (COUNTRIES, "I. Italy\nII. Greece", 0),
    ],
    "numbers": [
        (COUNTRIES, "1.France\n2.Spain", 1), (COUNTRIES, "1 - France\n2 - Spain", 1),
        (COUNTRIES, "1: France\n2: Spain", 1),
        (COUNTRIES, "#1 France\n#2 Spain", 1), (COUNTRIES, "1️⃣ France\n2️⃣ Spain", 1),
        (COUNTRIES, "1.**France**\n2.**Spain**", 1),
        (COUNTRIES, "**1. France**\n**2. Spain**", 1), (COUNTRIES, "- [x] France\n- [x] Spain", 1),
        (COUNTRIES, "1.France\n2.Italy", 0.5), (["3.5", "4.5"], "3.5\n4.5", 1), (["3", "5"], "1. 3\n2. 5", 1),
        (["7-Eleven", "3M"], "7-Eleven\n3M", 1), (["No. 1", "No. 2"], "No. 1, No. 2", 1),
    ],
    "dashes and arrows": [
        (COUNTRIES, "France → Spain", 1), (COUNTRIES, "France -> Spain", 1), (COUNTRIES, "France – Spain", 1),
        (COUNTRIES, "France - Spain", 1), (COUNTRIES, "France > Spain", 1), (["3", "5"], "3 - 5", 1),
        (COUNTRIES, "France → Italy", 0.5), (COUNTRIES, "France – Spain – Italy", 0.8),
        (COUNTRIES, "1. France – known for wine\n2. Spain – known for tapas", 1), (["A→B", "B→C"], "A→B, B→C", 1),
        (["2-3", "4-5"], "2/3, 4/5", 0), (["Stratford-upon-Avon", "Bath"], "Bath – Stratford-upon-Avon", 1),
    ],
    "boxes and formulas": [
        (COUNTRIES, r"\boxed{France, Spain}", 1), (COUNTRIES, r"$\boxed{\text{France, Spain}}$", 1),
        (COUNTRIES, r"\boxed{France}, \boxed{Spain}", 1), (["3", "5"], "$3, 5$", 1), (["3", "5"], "$3$, $5$", 1),
        (["3", "5"], r"\(3, 5\)", 1), (["3", "5"], "x = 3, 5", 1), (COUNTRIES, r"\boxed{France, Italy}", 0.5),
        (["$5", "$10"], "$5 and $10", 1), (["$x$", "$y$"], "$x$, $y$", 1), (["5"], "$5", 0),
    ],
    "talk around a list": [
        (COUNTRIES, "France, Spain\n\nLet me know if you need more!", 1), (COUNTRIES, "Sure! France and Spain.", 1),
        (COUNTRIES, "- France\n- Spain\n\nThese are in Europe.", 1), (COUNTRIES, "First, France. Second, Spain.", 1),
        (COUNTRIES, "France\n\nSpain\n\nItaly", 0.8), (COUNTRIES, "France, Spain\n\nItaly", 0.8),
        (["first", "second"], "first, second", 1), (["First Man", "Second Act"], "First Man, Second Act", 1),
    ],
    "what is not meant": [
        (COUNTRIES, "All but France and Spain", 0), (COUNTRIES, "Everything except France, Spain", 0),
        (COUNTRIES, "None of France, Spain", 0), (COUNTRIES, "Any country other than France and Spain", 0),
        (COUNTRIES, "All countries except Italy: France, Spain", 1),
        (["All But My Life", "Night"], "All But My Life, Night", 1),
        (COUNTRIES, "All of them: France, Spain", 1),
    ],
    "initials, which are no labels": [
        (["E. coli", "S. aureus"], "E. coli\nS. aureus", 1),
        (["A. baumannii", "B. subtilis"], "A. baumannii\nB. subtilis", 1),
        (["C. S. Lewis", "J. R. R. Tolkien"], "C. S. Lewis\nJ. R. R. Tolkien", 1),
        (["A. A. Milne", "B. B. King"], "A. Milne\nB. King", 0), (["I, Robot", "Emma"], "I, Robot; Emma", 1),
    ],
    "labels within a line": [
        (COUNTRIES, "a) France b) Spain", 1), (COUNTRIES, "A) Spain B) France", 1),
        (COUNTRIES, "a) France b) Italy", 0.5),
        (COUNTRIES, "a) Italy b) Greece", 0), (COUNTRIES, "a) France b) Spain c) Italy", 0.8),
    ],
    "equations": [
        (["2", "3"], "x = 2 or x = 3", 1), (["2", "3"], "x = 2 and x = 3", 1), (["2", "3"], "x = 2 or x = 4", 0.5),
        (["2", "3"], "x = 4 or x = 5", 0), (["2"], "x = 3 or x = 2", 2 / 3), (["A=B", "B=C"], "A=B or B=C", 1),
    ],
    "brackets and fences around all": [
        (COUNTRIES, "(France, Spain)", 1), (COUNTRIES, "(France and Spain).", 1),
        (COUNTRIES, "(France (Paris), Spain)", 1),
        (COUNTRIES, "(France), (Spain)", 1), (COUNTRIES, '```json\n["France", "Spain"]\n```', 1),
        (COUNTRIES, "```\nFrance\nSpain\n```", 1), (COUNTRIES, "(France, Italy)", 0.5), (["(1, 2)"], "(1, 2)", 1),
        (["(1, 2)", "(3, 4)"], "(1, 2), (3, 4)", 1),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("references", "answer", "f1"), [case for cases in KINDS.values() for case in cases])
def test_kinds_of_lists(references: list[str], answer: str, f1: float) -> None:
    asked = Question(
        id="q",
        source="s",
        subject="s",
        group="g",
        question="?",
        references=references,
        grader="set",
        style="open_ended",
    )
    assert grade(asked, answer) == pytest.approx(f1)


@pytest.mark.slow
@pytest.mark.parametrize("piece", [" ", "a", "(", "()", "a, ", "A. \n", "\n ", "・", ". ", "(a) ", "```\n", "<br"])
def test_long_lists_end(piece: str) -> None:
    assert len(list(items((piece * 5000)[:5000], {"france", "spain"}))) <= 2500
