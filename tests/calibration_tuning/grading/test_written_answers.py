"""Answers as language models write them, with their grades: one table for each grader."""

from __future__ import annotations

import sys

import pytest

from calibration_tuning.grading.graders import grade
from calibration_tuning.records import Question


def question(grader: str, *references: str, choices: list[str] | None = None, program: str | None = None) -> Question:
    style = "choice" if choices else "open_ended"
    return Question(
        id="q", source="s", subject="s", group="g", question="?", references=list(references), grader=grader,
        choices=choices, program=program, style=style,
    )  # fmt: skip


SENTENCES = [
    ("The answer is B: decrease in temperature.", 1), ("B) decrease in temperature, because ...", 1),
    ("A decrease in temperature.", 1), ("a decrease in temperature", 1),
    ("A decrease in temperature would follow, so B.", 1),
    ("The temperature would not increase; the correct answer is **B**.", 1),
    ("**Correct answer:** B. decrease in temperature", 1), ("The correct choice here is (B).", 1),
    ("Let's eliminate: A is wrong, C is wrong, D is wrong. So B.", 1), ("Final Answer: \\boxed{\\text{B}}", 1),
    ("Final Answer: The final answer is $\\boxed{B}$. I hope it is correct.", 1), ("Answer: [B]", 1),
    ("Answer: {B}", 1), ("Answer - B", 1), ("Answer is: B", 1), ("The answer is option (B).", 1),
    ("B. A is not right because...", 1), ("I believe the answer is B", 1),
    ("I am confident that B is the correct answer.", 1), ("B is most likely correct.", 1), ("B seems right", 1),
    ("The answer should be B.", 1), ("Out of the given options, B is the best answer.", 1),
    ("My final answer is B.", 1), ("It's B!", 1), ("It has to be B.", 1), ("Hmm, A? No. B.", 1), ("ans: B", 1),
    ("Ans. B", 1), ("The answer is 'B'", 1), ("→ B", 1), ("=> B", 1), ("**B) decrease in temperature**", 1),
    ("The correct answer is B) decrease in temperature, not A) increase in temperature.", 1),
    ("The answer is A) increase in temperature.", 0), ("An increase in temperature", 0),
    ("It depends on pressure.", 0), ("B\n", 1), ("B,", 1), ("b)", 1), ("Selected answer: B", 1), ("Answer:\nB", 1),
    ("Answer:\n\n**B**", 1), ("The answer is:\n\nB. decrease in temperature", 1),
    ("The answer is\n\\[\n\\boxed{B}\n\\]", 1), ("B: correct. A: incorrect.", 1),
    ("Step 1: A is possible.\nStep 2: C is not.\nAnswer: B", 1),
    ("The answer is B.\n\nWhy not A? Because A is increase.", 1), ("The answer is B. The answer is not A.", 1),
    ("A and B are both plausible, but B is correct.", 1), ("A and B are both plausible, but the answer is B.", 1),
    ("While A seems right, the answer is B.", 1), ("A is correct in some cases, but the answer is B.", 1),
    ("I initially thought the answer is A, but the answer is B.", 1), ("The answer cannot be A; it must be B.", 1),
    ("Answer: A. Correction: B.", 1), ("Answer: A\nAnswer: B", 1), ("A, B, C and D are all wrong", 0), ("B or C", 0),
    ("A & B", 0), ("Either B or C is correct.", 0), ("B and C are correct.", 0),
    ("I can't decide between A and B.", 0), ("All of the above", 0), ("Not sure, maybe B?", 0),
    ("The answer is neither A nor B.", 0), ("the letter B", 1), ("option b", 1),
    ("Option B: decrease in temperature", 1), ("Choose B.", 1), ("Select B", 1), ("B is the right option", 1),
    ("The right answer: B", 1), ("The most accurate answer is B.", 1), ("B.", 1), ("(B).", 1), ("[B].", 1),
    ("<B>", 1), ("B)", 1), ("B:", 1), ('{"answer": "B"}', 1), ("'B' is the answer.", 1),
    ("正解はB", 1), ("答案：B。", 1),
    ("La respuesta es B", 1), ("La réponse est B.", 1), ("Die Antwort ist B.", 1), ("Ответ: B", 1),
    ("Option B is incorrect.", 0), ("The answer is definitely not B.", 0), ("B is not the answer.", 0),
    ("I would rule out B.", 0), ("B? No.", 0), ("B is false.", 0),
]  # fmt: skip

NUMBERS = [
    ("8", 1), ("B", 1), ("The answer is 8.", 1), ("8.", 1), ("The answer is 8", 1), ("B. 8", 1), ("\\boxed{8}", 1),
    ("4 + 4 = 8", 1), ("It's 12.", 0), ("48", 0), ("The answer is 80.", 0), ("8 or 12", 0), ("The order is 8.", 1),
    ("4", 0), ("B (8)", 1), ("8 (B)", 1), ("$8$", 1), ("The answer is $8$.", 1), ("= 8", 1),
]  # fmt: skip

YES_NO = [
    ("no", 1), ("No.", 1), ("No, they do not.", 1), ("No, because ...", 1), ("Yes", 0), ("yes, no doubt", 0),
    ("The answer is no.", 1), ("**No**", 1), ("B", 1), ("yes and no", 0), ("No - they differ", 1), ("no!", 1),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "correct"), SENTENCES)
def test_choice_among_sentences(answer: str, correct: float) -> None:
    choices = ["increase in temperature", "decrease in temperature", "no change", "It depends on pressure."]
    assert grade(question("choice", choices[1], choices=choices), answer) == correct


@pytest.mark.parametrize(("answer", "correct"), NUMBERS)
def test_choice_among_numbers(answer: str, correct: float) -> None:
    assert grade(question("choice", "8", choices=["4", "8", "12", "6"]), answer) == correct


@pytest.mark.parametrize(("answer", "correct"), YES_NO)
def test_choice_of_yes_and_no(answer: str, correct: float) -> None:
    assert grade(question("choice", "no", choices=["yes", "no"]), answer) == correct


EXACT = [
    ("U.K.", "UK", 1), ("U.S.A.", "USA", 1), ("Ph.D.", "PhD", 1), ("J.R.R. Tolkien", "JRR Tolkien", 1),
    ("J.R.R. Tolkien", "J. R. R. Tolkien", 1), ("St. Louis", "St Louis", 1), ("Dr. Seuss", "Dr Seuss", 1),
    ("N'Djamena", "NDjamena", 1), ("rock 'n' roll", "rock n roll", 1), ("Coca-Cola", "Coca Cola", 1),
    ("Spider-Man", "Spiderman", 1), ("E. coli", "E coli", 1), ("U.N.", "UN", 1), ("B.C.", "BC", 1),
    ("a.m.", "am", 1), ("Mt. Everest", "Mt Everest", 1), ("Martin Luther King Jr.", "Martin Luther King, Jr.", 1),
    ("D'Artagnan", "DArtagnan", 1), ("D’Artagnan", "D'Artagnan", 1), ("AC/DC", "AC DC", 1), ("T-rex", "T. rex", 1),
    ("C++", "C", 0), ("O+", "O-", 0), ("A-", "A", 0), ("A+", "A", 0), ("B-", "B+", 0), ("AB-", "AB", 0),
    ("Na+", "Na-", 0), ("-5", "5", 0), ("5", "-5", 0), ("−5", "5", 0), ("5%", "5", 0), ("$5", "£5", 0),
    ("€10", "$10", 0), ("5 km", "5 m", 0), ("F#", "F", 0), ("C#", "C", 0), ("A major", "major", 0),
    ("vitamin A", "vitamin", 0), ("hepatitis A virus", "hepatitis virus", 0),
    ("hepatitis A virus", "hepatitis B virus", 0), ("Type A blood", "type blood", 0), ("type A", "type", 0),
    ("Plan A", "plan", 0), ("Na+", "Na+", 1), ("H-", "H–", 1), ("1,000", "1000", 1), ("3.0", "3", 1),
    ("3", "3.0", 1), ("0.5", ".5", 1), ("2.50", "2.5", 1), ("1e3", "1000", 1), ("1000", "1e3", 1),
    ("3.10", "3.1", 1), ("007", "7", 0), ("3.5", "35", 0), ("+5", "5", 1), ("The Beatles", "Beatles", 1),
    ("an apple", "apple", 1), ("apple", "an apple", 1), ("the U.S.", "US", 1), ("$100", "100 dollars", 1),
    ("10%", "10 percent", 1), ("90°", "90 degrees", 1), ("25 °C", "25°C", 1), ("Tom & Jerry", "Tom and Jerry", 1),
    ("A", "a", 1), ("I", "i", 1), ("<5", ">5", 0), ("x>5", "x<5", 0), ("Fe2+", "Fe3+", 0), ("Fe²⁺", "Fe2+", 1),
    ("Ca2+", "Ca", 0), ("5'", "5", 1), ("3/4", "34", 0), ("B♭", "B", 0), ("a", "b", 0), ("p < 0.05", "p > 0.05", 0),
    ("pH 7", "pH 8", 0), ("Group A streptococcus", "Group streptococcus", 0), ("~5", "5", 1), ("-40 °F", "40 °F", 0),
    ("+1", "-1", 0), ("Beyoncé", "Beyonce", 1), ("1990s", "1990", 0), ("0", "-0", 1),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "answer", "correct"), EXACT)
def test_exact(reference: str, answer: str, correct: float) -> None:
    assert grade(question("exact", reference), answer) == correct


CASE_SENSITIVE = [
    ("U.S.", "U.S.", 1), ("U.S.", "U.S", 1), ("etc...", "etc...", 1), ("Co", "Co.", 1), ("Co", "CO", 0),
    ("Iron.", "Iron", 1), ("a.", "a.", 1), (".", ".", 1), ("x ", "x", 1), ("Mr.", "mr.", 0), ("C.", "C", 1),
    ("The end.", "The end.", 1),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "answer", "correct"), CASE_SENSITIVE)
def test_case_sensitive(reference: str, answer: str, correct: float) -> None:
    assert grade(question("case_sensitive", reference), answer) == correct


SET = [
    (['1,000', '2,000'], "1,000 and 2,000", 1), (['1,000', '2,000'], "1,000, 2,000", 1),
    (['100', '200'], "100,200", 1), (['1,500 km'], "1,500 km", 1), (['2', '3', '5'], "2,3,5", 1),
    (['France', 'Spain'], "France and Spain", 1), (['France', 'Spain'], "France & Spain", 1),
    (['France', 'Spain'], "France / Spain", 1), (['France', 'Spain'], "France/Spain", 1),
    (['France', 'Spain'], "France; Spain.", 1), (['France', 'Spain'], "The countries are France and Spain.", 1),
    (['France', 'Spain'], "France and Spain are the countries.", 1),
    (['France', 'Spain'], "Both France and Spain", 1), (['France', 'Spain'], "France, as well as Spain", 1),
    (['France', 'Spain'], "- France\n- Spain", 1), (['France', 'Spain'], "* France\n* Spain", 1),
    (['France', 'Spain'], "1. France\n2. Spain", 1), (['France', 'Spain'], "a) France\nb) Spain", 1),
    (['France', 'Spain'], '["France", "Spain"]', 1), (['France', 'Spain'], "{France, Spain}", 1),
    (['France', 'Spain'], "**France**, **Spain**", 1), (['France', 'Spain'], "France (Paris), Spain (Madrid)", 1),
    (['France', 'Spain'], "1. France: in the west\n2. Spain: in the south", 1),
    (['France', 'Spain'], "Sure! Here are the answers:\n\nFrance\nSpain", 1),
    (['France', 'Spain'], "France, Spain, etc.", 1), (['France', 'Spain'], "The answer is: France, Spain.", 1),
    (['France', 'Spain'], "France | Spain", 1), (['France', 'Spain'], "France + Spain", 1),
    (['France', 'Spain'], "France plus Spain", 1), (['France', 'Spain'], "France y Spain", 1),
    (['赤', '青'], "赤、青", 1), (['赤', '青'], "赤，青", 1), (['赤', '青'], "赤と青", 1), (['France', 'Spain'],
    "France，Spain", 1),
    (['Trinidad and Tobago', 'Cuba'], "Trinidad and Tobago and Cuba", 1), (['AC/DC', 'Queen'], "AC/DC, Queen", 1),
    (['Washington, D.C.', 'Rome'], "Rome, Washington D.C.", 1), (['U.S.', 'U.K.'], "US, UK", 1),
    (['U.S.', 'U.K.'], "the US and the UK", 1), (['France', 'Spain'], "France, Italy", 0.5),
    (['France', 'Spain'], "not France, Spain", 0.5),
    (['France', 'Spain', 'Italy'], "They are France, Spain, and Italy.", 1),
    (['France', 'Spain', 'Italy'], "France, then Spain, then Italy", 1), (['red', 'blue'], "Red and blue.", 1),
    (['France', 'Spain'], "I think the answer is France and Spain", 1), (['France', 'Spain'], "France\tSpain", 1),
    (['France', 'Spain'], "France · Spain", 1), (['France', 'Spain'], "• France\n• Spain", 1),
    (['France', 'Spain'], "Answer: France, Spain", 1), (['France', 'Spain'], "Germany", 0),
    (['France', 'Spain'], "France or Spain", 1), (['Black & Decker', 'Bosch'], "Black & Decker, Bosch", 1),
]  # fmt: skip


@pytest.mark.parametrize(("references", "answer", "correct"), SET)
def test_set(references: list[str], answer: str, correct: float) -> None:
    assert grade(question("set", *references), answer) == pytest.approx(correct)


FUZZY = [
    ("hypertension", "hypotension", 0), ("mitosis", "meiosis", 0), ("anode", "cathode", 0),
    ("endothermic", "exothermic", 0), ("inductive", "deductive", 0), ("arteries", "arterioles", 0),
    ("sulfate", "sulfite", 0), ("chlorate", "chlorite", 0), ("chloride", "chlorine", 0), ("bromide", "bromine", 0),
    ("Slovakia", "Slovenia", 0), ("Austria", "Australia", 0), ("Iran", "Iraq", 0), ("Niger", "Nigeria", 0),
    ("maximum", "minimum", 0), ("legal", "illegal", 0), ("typical", "atypical", 0), ("symmetric", "asymmetric", 0),
    ("is possible", "is impossible", 0), ("can fly", "cannot fly", 0), ("does conduct", "does not conduct", 0),
    ("dog bites man", "man bites dog", 0), ("inhale", "exhale", 0), ("internal", "external", 0),
    ("import", "export", 0), ("emigrate", "immigrate", 0), ("methane", "ethane", 0), ("propane", "propene", 0),
    ("ethane", "ethene", 0), ("absorption", "adsorption", 0), ("nucleotide", "nucleoside", 0),
    ("phosphate", "phosphite", 0), ("northern lights", "southern lights", 0), ("before the war", "after the war", 0),
    ("North Korea", "South Korea", 0), ("World War I", "World War II", 0), ("Henry VIII", "Henry VII", 0),
    ("George Washington", "George W. Washington", 0), ("positive charge", "negative charge", 0),
    ("prokaryote", "eukaryote", 0), ("saturated fat", "unsaturated fat", 0), ("convex lens", "concave lens", 0),
    ("West Virginia", "Virginia", 0), ("Dominica", "Dominican Republic", 0), ("Guinea", "Guinea-Bissau", 0),
    ("complementary", "complimentary", 0), ("increasing", "decreasing", 0), ("more stable", "less stable", 0),
    ("interstate commerce", "intrastate commerce", 0), ("Charles Darwin", "Charles Darnay", 0),
    ("hyperthermia", "hypothermia", 0), ("ferrous", "ferric", 0), ("oxidation", "reduction", 0),
    ("desert", "dessert", 0), ("principal", "principle", 0),
    ("the Republic of the Congo", "the Democratic Republic of the Congo", 0), ("Mauritius", "Mauritania", 0),
    ("left ventricle", "right ventricle", 0), ("hydrogen", "hydroxide", 0), ("alkane", "alkene", 0),
    ("stalagmite", "stalactite", 0), ("mineral", "minerals and vitamins", 0), ("a proton", "a photon", 0),
    ("10 meters", "100 meters", 0), ("uncommon", "common", 0), ("not soluble", "soluble", 0),
    ("Mississippi", "Mississipi", 1), ("accommodate", "accomodate", 1), ("Philippines", "Phillipines", 1),
    ("separate", "seperate", 1), ("colour", "color", 1), ("centre", "center", 1),
    ("organisation", "organization", 1), ("haemoglobin", "hemoglobin", 1), ("sulphuric acid", "sulfuric acid", 1),
    ("aluminium", "aluminum", 1), ("foot ball", "football", 1), ("Abraham Lincoln", "Lincoln, Abraham", 1),
    ("photosynthesis", "photosythesis", 1), ("photosynthesis", "photosynthesys", 1),
    ("Shakespeare", "Shakespear", 1), ("Tchaikovsky", "Tchaikovski", 1), ("Michelangelo", "Michaelangelo", 1),
    ("mitochondria", "mitochrondria", 1), ("kilometres", "kilometers", 1), ("chlorophyll", "chlorophyl", 1),
    ("Leonardo da Vinci", "leonardo davinci", 1), ("the Mediterranean Sea", "the Mediteranean Sea", 1),
    ("Albuquerque", "Albequerque", 1), ("N'Djamena", "Ndjamena", 1), ("Caribbean", "Carribean", 1),
    ("oesophagus", "esophagus", 1), ("programme", "program", 1), ("receive", "recieve", 1),
    ("Nietzsche", "Nietsche", 1), ("rhythm", "rythm", 1), ("Massachusetts", "Massachusets", 1),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "answer", "correct"), FUZZY)
def test_fuzzy(reference: str, answer: str, correct: float) -> None:
    assert grade(question("fuzzy", reference), answer) == correct


MATH = [
    ("6", "First: \\boxed{5}. So \\boxed{6}.", 1), ("5", "First: \\boxed{5}. So \\boxed{6}.", 0),
    ("6", "\\boxed{6}, not \\boxed{5}", 1), ("12 and 15", "15", 0), ("12 and 15", "12 and 15", 1),
    ("12 and 15", "15 and 12", 1), ("12 and 15", "12, 15", 1), ("12 and 15", "$12$ and $15$", 1),
    ("12 and 15", "\\boxed{12} and \\boxed{15}", 1), ("12 and 15", "12 and 16", 0), ("12", "12 and 15", 0),
    ("2 or 3", "x = 2 or x = 3", 1), ("x = 2 or x = 3", "2, 3", 1), ("2, 3", "3 and 2", 1), ("2, 3", "2", 0),
    ("1e-05", "0.00001", 1), ("0.00001", "1e-5", 1), ("1e-05", "1 \\times 10^{-5}", 1), ("1e-05", "10^{-5}", 1),
    ("1e-05", "0.0001", 0), ("0.00001", "0.000012", 0), ("1.0", "1", 1), ("1000", "1e3", 1), ("0.5", "1/2", 1),
    ("\\frac{1}{2}", "0.5", 1), ("(1,2)", "(1, 2)", 1), ("(1,2)", "(2,1)", 0), ("\\{1,2\\}", "\\{2,1\\}", 1),
    ("3", "\\boxed{3} apples", 1), ("1,000", "1000", 1), ("10", "The answer is 10 and that is it.", 1),
    ("27", "He has 12 and 15 apples, so 27", 1), ("\\frac{3}{4}", "\\boxed{\\frac{3}{4}}", 1),
    ("\\sqrt{2}", "$\\sqrt{2}$", 1), ("2", "x=2", 1), ("x=2", "2", 1), ("5", "5.0", 1), ("1/3", "0.333", 0),
    ("-1", "\\boxed{-1}", 1), ("90", "90^\\circ", 1), ("2\\pi", "6.28", 0), ("7", "\\fbox{7}", 1),
    ("1 and 2 and 3", "1, 2, and 3", 1), ("1 and 2 and 3", "1 and 2", 0), ("4", "The result: 5", 0),
    ("x^2+1", "1+x^2", 1), ("\\pm 2", "2", 0), ("\\pm 2", "\\pm 2", 1), ("3:4", "3:4", 1), ("10%", "10\\%", 1),
    ("12 and 15", "The numbers are 12 and 15.", 1), ("12 and 15", "The answer is 12 and 15.", 1),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "answer", "correct"), MATH)
def test_math(reference: str, answer: str, correct: float) -> None:
    assert grade(question("math", reference), answer) == correct


CODE = [
    ("def double(x):\n    return 2*x\n", 1), ("```python\ndef double(x):\n    return 2*x\n```", 1),
    ("```\ndef double(x):\n    return 2*x\n```", 1), ("~~~\ndef double(x):\n    return 2*x\n~~~", 1),
    ("````python\ndef double(x):\n    return 2*x\n````", 1), ("```py\ndef double(x):\n    return 2*x\n```", 1),
    ("```Python3\ndef double(x):\n    return 2*x\n```", 1),
    ("```bash\npip install x\n```\n```python\ndef double(x):\n    return 2*x\n```", 1),
    ("```sh\nls\n```\n```\ndef double(x):\n    return 2*x\n```", 1),
    ("```python\ndef double(x):\n    return x\n```\nThat is wrong:\n```python\ndef double(x):\n    return 2*x\n```", 1),
    ("```python\ndef double(x):\n    return 2*x\n```\nNo:\n```python\ndef double(x):\n    return x\n```", 0),
    ("```python\ndef double(x):\n    return 2*x\n```\nUse:\n```python\nprint(double(2))\n```", 1),
    ("```python\ndef double(x):\n    return 2*x\n```\nOutput:\n```\n8\n```", 1),
    ("```python\ndef double(x):\n    return 2*x\n\nif __name__ == '__main__':\n    unittest.main()\n```", 1),
    ("import unittest\ndef double(x):\n    return 2*x\n\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(double(1), 2)\n\nif __name__ == '__main__':\n    unittest.main()", 1),  # noqa: E501
    ("def double(x):\n    return 2*x\n\nn = int(input())\nprint(double(n))", 1),
    ("def double(x):\n    return 2*x\n\nimport sys\nsys.exit(0)", 1),
    ("import sys\ndef double(x):\n    return 2*x\n\ndef main():\n    print(double(int(sys.stdin.readline())))\nmain()", 1),  # noqa: E501
    ("def double(x):\n    return 2*x\n\nexit()", 1), ("def double(x):\n    return 2*x\n\nraise SystemExit", 1),
    ("def double(x):\n    return x\n\nexit()", 0), ("def double(x):\n    return x\n\nimport os\nos._exit(0)", 0),
    ("Here is the code:\n\ndef double(x):\n    return 2*x\n\nIt doubles.", 1),
    ("1. First:\n   ```python\n   def double(x):\n       return 2*x\n   ```", 1),
    ("```python\nimport math\n\ndef helper(x):\n    return 2*x\n```\nand\n```python\ndef double(x):\n    return helper(x)\n```", 1),  # noqa: E501
    ("```python\ndef double(x):\n    return 2*x\n", 1), ("I cannot.", 0), ("", 0),
    ("```javascript\nfunction f(){}\n```\n```python\ndef double(x):\n    return 2*x\n```", 1),
    ("def double(x):\n    return 2*x\n\nwhile True:\n    n = input()\n    print(double(n))", 1),
    ("```python\n>>> double(2)\n4\n```\n```python\ndef double(x):\n    return 2*x\n```", 1),
    ("double = lambda x: 2*x", 1), ("class A:\n    pass\n\ndouble = lambda x: x+x", 1),
    ("```python\ndef double(x):\n    return 2*x\n\nassert double(1) == 2\n```", 1),
    ("try:\n    n = input()\nexcept EOFError:\n    pass\ndef double(x):\n    return 2*x\n", 1),
    ('```python title="a.py"\ndef double(x):\n    return 2*x\n```', 1),
    ("``` python\ndef double(x):\n    return 2*x\n```", 1), ("```{python}\ndef double(x):\n    return 2*x\n```", 1),
    ("```python\r\r\ndef double(x):\r\n    return 2*x\r\n```", 1),
]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="programs run on Linux only")
@pytest.mark.parametrize(("answer", "correct"), CODE)
def test_code(answer: str, correct: float) -> None:
    assert grade(question("code", "x", program="<answer>\n\nassert double(4) == 8\n"), answer) == correct
