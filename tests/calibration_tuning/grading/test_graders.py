import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.grading.choice_parsing import choice_index
from calibration_tuning.grading.graders import GRADERS, grade, normalise
from calibration_tuning.grading.list_parsing import items
from calibration_tuning.grading.math_parsing import final_answer
from calibration_tuning.grading.program_parsing import program_code
from calibration_tuning.records import CHOICE_LETTERS, Question


def question(grader: str, *references: str, choices: list[str] | None = None, program: str | None = None) -> Question:
    return Question(
        id="q1", source="s", subject="s", group="g", question="?", references=list(references), grader=grader,
        choices=choices, program=program,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Beatles!", "beatles"),
        ("São Tomé", "sao tome"),
        ("N'Djamena", "n djamena"),
        ("“A” \u2013 an the", "a the"),  # an article is one only before another word, so that nothing becomes empty
        ("A", "a"),
        ("vitamin A", "vitamin a"),
        ("An apple a day", "apple a day"),
        ("the the a b", "b"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("İstanbul", "istanbul"),
        ("Łódź, Malmø", "lodz malmo"),
        ("ﬁsh", "fish"),
        ("ＡＢＣ　１２", "abc 12"),
        ("cafe\u0301\u200b", "cafe"),
        ("H₂O", "h2o"),
        ("C++", "c + +"),
        ("C#", "c #"),
        ("#1", "1"),
        ("+", "+"),
        ("%", "percent"),
        ("…", "…"),
        ("$100", "100 $"),
        ("5%", "5 percent"),
        ("1,234,567.5", "1234567.5"),
        ("1,000, and", "1000 and"),
        ("1999, 2000", "1999 2000"),
        ("3.5", "3.5"),
        ("3.", "3"),
        ("...5", "5"),
        ("No.5", "no 5"),
        ("-5", "-5"),
        ("\u22125", "-5"),
        ("+5", "5"),
        ("3\u20135", "3 ∸ 5"),  # signs between digits are kept, each as one symbol: 3-5 is not 3/5
        ("3/5", "3 ÷ 5"),
        ("10²", "10 ↑ 2"),
        ("1½", "1 1 ÷ 2"),
        ("x+y", "x + y"),
        ("AC/DC", "ac dc"),
        ("**Paris**", "paris"),
        ("がき", "がき"),  # not かき: the voicing mark is no accent
        ("कु", "कु"),  # nor is a vowel sign
        ("שָׁלוֹם", "שלום"),
        ("", ""),
        ("  \n", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("grader", "references", "answer", "correct"),
    [
        ("exact", ["United States", "USA"], "the united states.", 1.0),
        ("exact", ["United States", "USA"], "usa", 1.0),
        ("exact", ["United States"], "United States of Mexico", 0.0),
        ("exact", ["Paris"], "", 0.0),
        ("exact", [""], "", 0.0),
        ("exact", ["the"], "a", 0.0),
        ("exact", ["A"], "a.", 1.0),
        ("exact", ["vitamin A"], "vitamin", 0.0),
        ("exact", ["+"], "%", 0.0),
        ("exact", ["+"], "+", 1.0),
        ("exact", ["C"], "C++", 0.0),
        ("exact", ["C++"], "C#", 0.0),
        ("exact", ["C++"], "c++", 1.0),
        ("exact", ["Na+"], "Na", 0.0),
        ("exact", ["-5"], "5", 0.0),
        ("exact", ["3.5"], "3 5", 0.0),
        ("exact", ["102"], "10²", 0.0),
        ("exact", ["x+y"], "x + y", 1.0),
        ("exact", ["x+y"], "x-y", 0.0),
        ("exact", ["1,000"], "1000", 1.0),
        ("case_sensitive", ["Co"], "Co.", 1.0),
        ("case_sensitive", ["Co"], "CO", 0.0),
        ("numeric", ["1,234"], "it is 1234.", 1.0),
        ("numeric", ["12"], "12.0 apples", 1.0),
        ("numeric", ["12"], "-12", 0.0),
        ("numeric", ["-12"], "\u221212", 1.0),
        ("numeric", ["12"], "123", 0.0),
        ("numeric", ["12"], "3 and 12", 0.0),  # two numbers
        ("numeric", ["12"], "twelve", 1.0),
        ("numeric", ["dozens"], "dozens 12", 0.0),
        ("numeric", ["3", "4"], "4", 1.0),
    ],
)
def test_graders(grader: str, references: list[str], answer: str, correct: float) -> None:
    assert grade(question(grader, *references), answer) == correct


@pytest.mark.parametrize(
    ("reference", "answer", "correct"),
    [
        # Similarity is 2 * common letters in order / all letters: 2 * 10 / 21 = 0.952
        ("Mississippi", "Mississipi", 1.0),
        ("Abraham Lincoln", "lincoln, abraham", 1.0),
        ("N'Djamena", "Ndjamena", 1.0),
        ("Charlie", "Charley", 0.0),  # 2 * 6 / 14 = 0.857
        ("Austria", "Australia", 0.0),  # 2 * 7 / 16 = 0.875
        ("sodium nitrate 12", "sodium nitrate 12", 1.0),
        ("the year 1914 of the war", "the year 1915 of the war", 0.0),
        ("the year 1914 of the war", "year of war 1914", 0.0),  # another order may say another thing
        ("1,500 kilometres away", "1500 kilometers away", 1.0),
        ("minus -5 degrees Celsius", "minus 5 degrees Celsius", 0.0),
        ("Hepatitis A", "Hepatitis B", 0.0),  # 2 * 10 / 22 = 0.909
        ("World War I", "World War II", 0.0),  # 2 * 11 / 23 = 0.957
        ("programming language C++", "programming language C#", 0.0),
        ("a", "the", 0.0),
        ("", "", 0.0),
    ],
)
def test_fuzzy_forgives_spelling_but_no_number(reference: str, answer: str, correct: float) -> None:
    assert grade(question("fuzzy", "something else", reference), answer) == correct


MATH = [
    ("72", "He has 3 left. #### 72\n\nQuestion: 99", 1.0),
    ("72", "He has 72 left. #### 3", 0.0),
    ("1,234", "1234", 1.0),
    ("1234", "$1,234.00", 1.0),
    ("1234", r"\$1,234.00", 1.0),  # math-verify finds nothing there, `numeric` does
    ("2", "3 plus -1; the answer is 2. Not 9.", 1.0),
    ("2", "The answer is 9. Not 2.", 0.0),
    ("7", r"The answer is found by adding. \boxed{7}", 1.0),
    ("72", "Answer: 72", 1.0),
    ("72", "answer: 73", 0.0),
    ("-3", "\u22123", 1.0),
    ("3", "-3", 0.0),
    (r"\frac{1}{2}", "0.5", 1.0),
    ("1/2", r"$\frac{2}{4}$", 1.0),
    (r"\frac{1}{2}", r"\frac{1}{3}", 0.0),
    ("3.14", "3.15", 0.0),
    ("50%", "0.5", 1.0),
    ("50", "50%", 1.0),
    ("50", "60%", 0.0),
    ("5", "5 km", 1.0),
    (r"5\text{ cm}", "5 cm", 1.0),
    (r"\frac{3}{2}\text{ cm}", "1.5", 1.0),
    ("x+1", "1+x", 1.0),
    ("x+1", "x+2", 0.0),
    ("[0,1)", "[0, 1)", 1.0),
    ("[0,1)", "(0, 1)", 0.0),
    (r"\text{even}", "even", 1.0),
    (r"\text{even}", "odd", 0.0),
    ("five", "five", 1.0),
    ("5", "", 0.0),
]


@pytest.mark.parametrize(("reference", "answer", "correct"), MATH)
def test_math(reference: str, answer: str, correct: float) -> None:
    assert grade(question("math", "1000001", reference), answer) == correct


def test_math_outside_the_main_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        grades = list(pool.map(lambda case: grade(question("math", case[0]), case[1]), MATH))
    assert grades == [correct for _, _, correct in MATH]


@pytest.mark.slow
def test_math_gives_up_on_a_number_too_large(monkeypatch) -> None:
    monkeypatch.setattr("calibration_tuning.grading.graders._MATH_SECONDS", 1)
    assert grade(question("math", "5"), "$9^{9^{9^{9}}}$") == 0.0


@pytest.mark.parametrize(
    ("answer", "correct"),
    [
        ("B", 1.0), ("b", 1.0), ("(b)", 1.0), ("[B]", 1.0), ("B.", 1.0), ("B)", 1.0), ("**B**", 1.0), ("$B$", 1.0),
        ("B. iron", 1.0), ("B) Iron", 1.0), ("B: it is iron", 1.0), ("B - iron", 1.0), ("B iron", 1.0),
        ("B\nbecause A is wrong", 1.0), ("**B.** iron", 1.0), ("The answer is B", 1.0), ("The answer is (b).", 1.0),
        ("the correct answer is B because gold is not", 1.0), ("Answer: B", 1.0), ("Option B", 1.0),
        ("iron", 1.0), ("Iron.", 1.0), ("an iron", 1.0), ("Fe", 1.0),
        ("A", 0.0), ("The answer is A", 0.0), ("A. iron", 0.0), ("A: iron", 0.0), ("D", 0.0), ("The answer is E.", 0.0),
        ("Iron ore", 0.0), ("gold", 0.0), ("Bronze", 0.0), ("B2", 0.0), ("", 0.0), ("B gold", 0.0),
    ],
)  # fmt: skip
def test_choice_takes_the_letter_or_the_text(answer: str, correct: float) -> None:
    assert grade(question("choice", "iron", "Fe", choices=["gold", "iron", "tin"]), answer) == correct


@pytest.mark.parametrize("blank", [" ", "\n", " \n"])
def test_blank_space_without_end_takes_no_time_and_changes_nothing(blank: str) -> None:
    # 400 blanks took four seconds, and twice as many eight times as long: without the remedy this does not end.
    assert choice_index(f"The answer could be{blank * 50_000}hard to say", ["gold", "iron"], lettered=True) is None
    assert choice_index(f"The answer is{blank * 50_000}B", ["gold", "iron"], lettered=True) == 1


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("A dog ran", None), ("a dog", None), ("The answer is a dog", None), ("the answer is A", "A"), ("A.", "A"),
        ("a", "A"), ("U.S.", None), ("I'm not sure", None), ("As B says", None), ("the answer is I'm lost", None),
        ("", None),
    ],
)  # fmt: skip
def test_an_article_is_no_letter(answer: str, letter: str | None) -> None:
    index = choice_index(answer, [*"pqrstuvw"], lettered=True)
    assert (None if index is None else CHOICE_LETTERS[index]) == letter


@pytest.mark.parametrize(
    ("choices", "right", "answer", "correct"),
    [
        (["a cat", "a dog"], "a cat", "A dog ran", 0.0),
        (["a cat", "a dog"], "a dog", "a dog", 1.0),
        (["B", "A"], "B", "B", 1.0),  # the text wins over the letter
        (["B", "A"], "A", "B", 0.0),
        (["+", "-", "%"], "-", "-", 1.0),
        (["+", "-", "%"], "-", "+", 0.0),
        (["iron", "iron", "tin"], "iron", "B", 1.0),  # the same text twice: either letter
        (["iron", "tin", "tin"], "iron", "C", 0.0),
        (["E. coli", "C. elegans"], "E. coli", "E. coli", 1.0),
        (["E. coli", "C. elegans"], "E. coli", "C. elegans", 0.0),
        (["a dog", "dog"], "dog", "a dog", 0.0),  # letter for letter before all else
        (["a dog", "dog"], "dog", "the dog", 0.0),  # both will do: the first
        ([], "iron", "iron", 1.0),
        (["x"] * 27, "x", "Z", 1.0),
    ],
)
def test_choice_in_awkward_data(choices: list[str], right: str, answer: str, correct: float) -> None:
    assert grade(question("choice", right, choices=choices), answer) == correct


COUNTRIES = ["Trinidad and Tobago", "Jamaica", "Cuba|Republic of Cuba"]


@pytest.mark.parametrize(
    ("answer", "f1"),
    [
        ("Jamaica, Cuba, Trinidad and Tobago", 1.0),
        ("Trinidad and Tobago and Jamaica and Cuba", 1.0),
        ("Republic of Cuba; the Jamaica & Trinidad and Tobago.", 1.0),
        ("Here they are:\n- Jamaica\n- Cuba\n- Trinidad and Tobago\n", 1.0),
        ("1. Jamaica\n2. Cuba\n3. Trinidad and Tobago", 1.0),
        ("1) Jamaica 2) Cuba 3) Trinidad and Tobago", 1.0),
        ("• Jamaica • Cuba • Trinidad and Tobago", 1.0),
        ("Jamaica", 2 * 1 / (1 + 3)),
        ("Jamaica, jamaica, JAMAICA", 2 * 1 / (1 + 3)),
        ("Cuba, Republic of Cuba", 2 * 1 / (1 + 3)),  # one item in two spellings
        ("Jamaica, Haiti", 2 * 1 / (2 + 3)),
        ("Jamaica, Haiti, haiti", 2 * 1 / (2 + 3)),
        ("Trinidad, Tobago", 0.0),
        ("Haiti", 0.0),
        ("", 0.0),
        (", ; and", 0.0),
    ],
)
def test_set_is_the_f1_of_the_items(answer: str, f1: float) -> None:
    assert grade(question("set", *COUNTRIES), answer) == pytest.approx(f1)


def test_set_with_separators_numbers_and_repeats_in_the_references() -> None:
    assert grade(question("set", "Washington, D.C.|DC", "Rome"), "Rome and Washington, D.C.") == 1.0
    assert grade(question("set", "Apollo 11", "Apollo 12"), "Apollo 11 and Apollo 12.") == 1.0
    assert grade(question("set", "Apollo 11", "Apollo 12"), "Apollo 11.\nApollo 12.\n") == 1.0
    assert grade(question("set", "Rome", "rome", "Oslo"), "Rome, Oslo") == 1.0  # two references, one twice
    assert grade(question("set", "AT&T"), "AT&T") == 1.0


@pytest.mark.slow
def test_items_of_a_long_answer_take_no_time() -> None:
    assert len(list(items(", ".join(f"item {i}" for i in range(5000)), ["one and two"]))) == 5000


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("    return 1\n", "    return 1\n"),
        ("Here:\n```python\ndef f():\n    return 1\n```\nIt works.\n```\nf()\n```", "def f():\n    return 1\n"),
        ("```\nx = 1\n", "x = 1\n"),  # cut off at the token limit
        ("```py\nx = '`'\n```", "x = '`'\n"),
    ],
)
def test_code_comes_out_of_its_fence(answer: str, code: str) -> None:
    assert program_code(answer) == code


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        ("3 + 4 #### 7", "7"),
        ("#### Step 1\nadd\n#### 7\nmore", "7"),
        ("#### Step 1\nThe answer is 7.", "7"),
        ("the answer is 3.5 dollars. The next", "3.5 dollars"),
        ("The answer is 5. No, the answer is 6.", "6"),
        (r"The answer is clear: \boxed{7}", "7"),
        (" 7 ", "7"),
    ],
)
def test_final_answer(answer: str, final: str) -> None:
    assert final_answer(answer) == final


@pytest.mark.skipif(sys.platform != "linux", reason="programs run on Linux only")
def test_code_runs_the_program_with_the_answer_in_it() -> None:
    asked = question("code", "", program="def double(x):\n<answer>\nassert double(4) == 8")
    assert grade(asked, "    return 2 * x") == 1.0
    assert grade(asked, "```python\n    return 2 * x\n```") == 1.0
    assert grade(asked, "    return x") == 0.0
    assert grade(asked, "    return 2 * x\nimport sys\nsys.exit(0)") == 1.0  # the end is left out, and the tests run
    assert grade(asked, "    return x\nimport sys\nsys.exit(0)") == 0.0
    assert grade(asked, "no code at all") == 0.0


def test_code_without_a_program_is_the_users_error() -> None:
    with pytest.raises(UserError, match="question q1: grader code needs a program"):
        grade(question("code", ""), "x = 1")


@pytest.mark.parametrize("name", sorted(GRADERS.keys() - {"code"}))
@pytest.mark.parametrize("answer", ["", " ", "\n", "\x00", "\ud800", "🎉", "$", "\\", "```", "####", "((((", "|", "-"])
def test_every_grader_takes_any_text(name: str, answer: str) -> None:
    assert grade(question(name, "right", choices=["right", "wrong"]), answer) == 0.0


@pytest.mark.parametrize("choices", [["TT", "Tt", "tt"], ["A", "C", "G", "T"], ["O", "A", "AB", "B"], ["a", "b", "c"]])
@pytest.mark.parametrize("style", ["choice", "cloze", "open_ended"])
def test_the_right_answer_as_it_is_shown_is_right_and_no_other(choices: list[str], style: str) -> None:
    """Also where choices are letters themselves, or differ in case alone."""
    for right in choices:
        asked = question("choice", right, choices=choices).model_copy(update={"style": style})
        assert grade(asked, asked.target) == 1
        for wrong in choices:
            shown = question("choice", wrong, choices=choices).model_copy(update={"style": style}).target
            assert grade(asked, shown) == (wrong == right)


@pytest.mark.parametrize(
    ("reference", "answer", "correct"),
    [
        ("5", ".5", 0),
        ("0.5", ".5", 1),
        ("1500", "1.5e3", 1),
        ("$5", "5 dollars", 1),
        ("50%", "50 percent", 1),
        ("9007199254740993", "9007199254740992", 0),
        ("1,000", "1000.0", 1),
        ("3/4", "3", 0),  # not a number, so it equals none; such a row is refused when it is read
    ],
)
def test_numbers_are_read_as_they_are_written(reference: str, answer: str, correct: float) -> None:
    assert grade(question("numeric", reference), answer) == correct
