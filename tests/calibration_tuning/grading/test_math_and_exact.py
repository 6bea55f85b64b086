"""Answers in mathematics, exact answers and spellings that look alike: right ones pass, and parts of others do not."""

import pytest

from calibration_tuning.grading.graders import grade
from calibration_tuning.grading.math_parsing import in_latex
from calibration_tuning.records import Question


def question(grader: str, reference: str) -> Question:
    return Question(id="q", source="s", subject="s", group="g", question="?", references=[reference], grader=grader)


IS_5 = [
    "5 km/h", "5 kg", "5 m", "5m", "5 m²", "5 V", "5 g", "5 apples", "5 percent", "5 years old", "5 hours", "$5", "#5",
    "5, of course", "5, not 6", "5 or so", "In total, 5.", "Total: 5", "**Total:** 5", "x = 5", r"5^\circ", "(5)", "~5",
    "= 5", "10/2", "2 + 3", r"5\text{ km}", "five", "5 because 2 + 3 is 5", "答案是5。", "答え：5", "共有5个。",
    "5 km (3 miles)",
    r"\boxed{\text{\textbf{5}}}", "5人", "5 metres",
]  # fmt: skip
IS_NOT_5 = [
    ".5", "5x", "5xy", "5i", "3 + 5i", "5π", "√5", "sqrt(5)", r"\sqrt{5}", "5x + 3", "5:1", "5_8", "5!", "5²", "5+",
    "5..7", r"5\text{ million}", "5 lakh", "5 minus 2", "5 times 3", "5 squared", "half of 5", "20% of 5", "5 tenths",
    r"x \ge 5", r"\pm 5", "5 or more", "at least 5", "over five", "x > 5", "5 hours 30 minutes", "5 to 7", "5 & 7",
    "5 7", "five sixths", "5 and x", "5 or none", "≤ 5", "> 5", r"$\le 5$", r"\lt 5", r"\(\le 5\)", "$≥ 5$", "≠ 5",
    "5 m 30 cm",
    "5 kg 200 g", "5 remainder 1", "5 with remainder 1", "5万", "5억", "5 Millionen", "5 тысяч", "$5M", "5 k", "5至7",
    "5 bis 7", "5 oder 6", "au moins 5", "más de 5", "5以上", "5°30'", "5 percent of 20", "不是5",
]  # fmt: skip


@pytest.mark.parametrize(("answer", "correct"), [*((a, 1) for a in IS_5), *((a, 0) for a in IS_NOT_5)])
def test_a_part_of_an_answer_is_not_the_answer(answer: str, correct: float) -> None:
    assert grade(question("math", "5"), answer) == correct


BOXES = [
    ("5", "\\boxed{5}\n\n\\boxed{5}", 1), ("5", r"The answer is \boxed{5}. **\boxed{5}**", 1),
    ("5", r"$\boxed{5}$ $\boxed{5}$", 1), ("5", r"\boxed{5}, that is \boxed{5}", 1), ("6", r"\boxed{5}. \boxed{6}", 1),
    ("6", r"\boxed{5}? \boxed{6}", 1), ("6", "\\boxed{5}\n\n\\boxed{6}", 1), ("5", r"\boxed{5}. \boxed{6}", 0),
    ("12 and 15", r"\boxed{12} and \boxed{15}", 1), ("12 and 15", r"\boxed{12}, \boxed{15}", 1),
    ("12 and 15", "\\boxed{12}\n\\boxed{15}", 1), ("12", r"\boxed{12} and \boxed{15}", 0),
]  # fmt: skip
SIGNS = [
    (r"\frac{1}{2}", "½", 1), ("1.5", "1½", 1), ("3/2", "1 1/2", 1), (r"1\frac{1}{2}", "1 1/2", 1), ("3/2", "1/2", 0),
    ("x^2+1", "x²+1", 1), ("x^2+1", "x**2+1", 1), ("x^2", "$x²$", 1), ("x^2", "x³", 0), (r"\sqrt{2}", "√2", 1),
    (r"2\sqrt{3}", "2√3", 1), (r"2\sqrt{3}", "2*sqrt(3)", 1), (r"2\sqrt{3}", "3√2", 0), ("2", "$2√3$", 0),
    (r"\sqrt{x+1}", "√(x+1)", 1), (r"\infty", "∞", 1), (r"\infty", "-∞", 0), (r"(-\infty,3]", "(-∞,3]", 1),
    (r"\pi", "pi", 1), ("120", "5!", 1), ("6.02e23", r"6.02 \times 10^{23}", 1), ("6.02e23", r"6.02 \times 10^{22}", 0),
    ("5000000", "5 millones", 1), ("50000", "5万", 1), (r"x \le 5", "x ≤ 5", 1), (r"\le 5", r"\leq 5", 1),
    ("x > 3", "x < 3", 0), (r"\frac{1}{2}", "答案是1/2", 1), ("[0,1]", r"x \in [0,1]", 1),
    ("5000000", r"5\text{ million}", 1), ("500000", "5 lakh", 1), ("2.5", "half of 5", 1),
]  # fmt: skip
WORDS = [
    ("yes", "Yes", 1), ("Yes", "yes.", 1), (r"\text{No solution}", "no solution", 1), ("no", "Yes", 0), ("AB", "ab", 0),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "answer", "correct"), [*BOXES, *SIGNS, *WORDS])
def test_math(reference: str, answer: str, correct: float) -> None:
    assert grade(question("math", reference), answer) == correct


@pytest.mark.parametrize("text", ["x^2 + 1", r"2\sqrt{3}", "1/2", "12 1", "pinch", "**bold**", r"\pi"])
def test_what_is_latex_already_stays(text: str) -> None:
    assert in_latex(text) == text


EXACT = [
    ("10⁻³", "10³", 0),
    ("10³", "10⁻³", 0),
    ("10⁻³", "10^-3", 1),
    ("10⁻³", "10⁻³", 1),
    ("5 × 10⁻³", "5 × 10³", 0),
    ("10³", "103", 0),
    ("NO3⁻", "NO3", 0),
    ("NO3⁻", "NO3-", 1),
    ("Ca²⁺", "Ca2+", 1),
    ("10³", "10^3", 1),
    ("10³", "10 3", 0),
]
SIGNS_BETWEEN_DIGITS = [
    ("2/3", "2 / 3", 1),
    ("2/3", "⅔", 1),
    ("2/3", "2-3", 0),
    ("2/3", "2:3", 0),
    ("2/3", "2,3", 0),
    ("2/3", "2 3", 0),
    ("1-0", "1–0", 1),
    ("1-0", "1 - 0", 1),
    ("1-0", "1/0", 0),
    ("1-0", "1:0", 0),
    ("1-0", "1 0", 0),
    ("1½", "1 1/2", 1),
    ("2^3", "2³", 1),
    ("2^3", "2*3", 0),
    ("2*3", "2 × 3", 1),
    ("2*3", "2/3", 0),
    ("10:15", "10/15", 0),
    ("½", "1-2", 0),
    ("1914-1918", "1914–1918", 1),
    ("1914-1918", "1914/1918", 1),
    ("2019/20", "2019–20", 1),
    ("9/11", "9-11", 0),
    ("07/20/1969", "07-20-1969", 1),
    ("COVID-19", "COVID 19", 1),
    ("AC/DC", "AC-DC", 1),
    ("555-1234", "555–1234", 1),
]
MARKUP = [
    ("Au", "**Au**", 1), ("Au", "`Au`", 1), ("Au", "*Au*.", 1), ("Au", r"\boxed{Au}", 1), ("Au", r"$\text{Au}$", 1),
    ("Au", "**`Au`**", 1), ("Au", "**AU**", 0), ("Au", r"\boxed{au}", 0), ("Au", "__Au__", 0), ("Au", "Au*", 0),
    ("init", "__init__", 0), ("__init__", "`__init__`", 1), ("kwargs", "**kwargs", 0), ("**kwargs", "`**kwargs`", 1),
    ("*", "***", 0), ("*", "`*`", 1), ("a", "'a'", 0), ("$x$", "$x$", 1),
    ("ls -l", "```\nls -l\n```", 1), ("ls -l", "```bash\nls -l\n```", 1), ("ls -l", "```\nLS -l\n```", 0),
    ("ls -l", "```\nls -a\n```", 0), ("ls -l", "```\nls -l\npwd\n```", 0),
]  # fmt: skip
FUZZY = [
    ("metre", "meter", 1),
    ("litres", "liters", 1),
    ("grey", "gray", 1),
    ("the gray matter", "grey matter", 1),
    ("grey", "green", 0),
    ("gray", "gravy", 0),
    ("nitre", "nitrate", 0),
    ("metre", "metro", 0),
    ("dialled", "dialed", 1),
    ("travelled", "traveled", 1),
    ("filled", "filed", 0),
    ("diarrhoea", "diarrhea", 1),
    ("overheating", "overeating", 0),
]
OTHER_WORDS = """propanoic acid|propenoic acid, butanone|butenone, cyclohexanone|cyclohexenone, butanoate|butenoate,
hexanamide|hexenamide, pentanediol|pentenediol, pentynoic acid|pentanoic acid, sulfonate|sulfinate,
phosphonate|phosphinate, homocysteine|homocystine, dilation|dilution, collision|collusion, ablation|ablution,
inhibited|inhabited, depreciation|deprecation, mating|matting, Finnish|finish, Colombia|Columbia, refugee|refuge,
divorcee|divorce, confirmation|conformation, convection|conviction, princess|princes, contact|contract,
completed|competed,
countries|counties, addition|addiction, deceased|decreased, mediation|meditation, alteration|alternation,
salvation|salivation, ordinance|ordnance, starred|stared, scared|scarred, Cameron|Cameroon, copper|Cooper,
perfect|prefect, Christian|Christina, singing|signing, insulation|insolation, stranger|stronger, Styx|Stix, Roi|Roy,
intramuscular|intermuscular, hypoglycemia|hyperglycemia, adduction|abduction, octane|octene, peroxidase|peroxide"""
SLIPS = """beginning|begining, accommodation|accomodation, committee|commitee, occurred|occured,
rhythm|rythm, millennium|millenium, adrenaline|adrenalin, government|goverment, swimming pool|swiming pool,
Tennessee|Tennesee, Renaissance|Renaisance, conscience|consience, Guatemala|Guatamala, parallel|paralell"""  # fmt: skip


@pytest.mark.parametrize(("reference", "answer", "correct"), [*EXACT, *SIGNS_BETWEEN_DIGITS])
def test_signs_that_decide_are_kept(reference: str, answer: str, correct: float) -> None:
    assert grade(question("exact", reference), answer) == correct


@pytest.mark.parametrize(("reference", "answer", "correct"), MARKUP)
def test_case_sensitive_takes_markup_off(reference: str, answer: str, correct: float) -> None:
    assert grade(question("case_sensitive", reference), answer) == correct


@pytest.mark.parametrize(("pairs", "correct"), [(OTHER_WORDS, 0), (SLIPS, 1)])
def test_a_slip_that_makes_another_word_is_none(pairs: str, correct: float) -> None:
    graded = [
        (pair, grade(question("fuzzy", pair.split("|")[0].strip()), pair.split("|")[1])) for pair in pairs.split(",")
    ]
    graded += [(pair, grade(question("fuzzy", pair.split("|")[1]), pair.split("|")[0])) for pair in pairs.split(",")]
    assert [pair for pair, given in graded if given != correct] == []


@pytest.mark.parametrize(("reference", "answer", "correct"), FUZZY)
def test_short_british_words(reference: str, answer: str, correct: float) -> None:
    assert grade(question("fuzzy", reference), answer) == correct
