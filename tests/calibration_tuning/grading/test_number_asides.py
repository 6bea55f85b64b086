"""Sentences with several numbers, lists of steps, remarks and doubts, for `numeric` and `math`."""

import pytest

from calibration_tuning.grading.graders import grade
from calibration_tuning.grading.number_asides import without_asides, without_item_numbers
from calibration_tuning.records import Question


def question(grader: str, reference: str, text: str = "?") -> Question:
    return Question(id="q", source="s", subject="s", group="g", question=text, references=[reference], grader=grader)


GLASSES = "One glass costs $5, but every second glass costs only 60%. Kylar wants 16 glasses. How much does he pay?"
EGGS = "Janet's ducks lay 16 eggs per day. She eats 3 and bakes 4. She sells the rest at $2 per egg. How much?"
SHEEP = "How many sheep do Toulouse, Charleston and Seattle have together if Seattle has 20 sheep?"
WORKED = [  # question, right number, an answer, wrong numbers
    (GLASSES, "64", "So Kylar needs to pay $64 for 16 glasses.", "16"),
    (GLASSES, "64", "**64**\n\nHere is why: 8 glasses cost $5 and 8 cost $3.", "8 3 5"),
    (EGGS, "18", "16 - 3 - 4 = 9\n9 * 2 = 18\nTherefore, Janet makes $18 from selling 9 eggs.", "9 16 2"),
    (EGGS, "18", "18 dollars. She sells 9 eggs at $2.", "9 2"),
    (EGGS, "18", "The answer is $18 (9 eggs × $2).", "9 2"),
    (SHEEP, "260", "Therefore, the total number of sheep is 260 if Seattle has 20 sheep.", "20"),
    ("How many months are in 3 quarters?", "9", "There are 9 months in 3 quarters.", "3"),
    ("How far does he travel in 6 hours at 50 mph?", "300", "The distance is 300 miles (50 mph for 6 hours).", "50 6"),
    ("How many slices are left?", "8", "There are 8 slices left out of 12.", "12"),
    ("?", "366", "60 + 180 + 126 = 366. The program had a total of 366 downloads over the 3 months.", "3 126 180"),
    ("?", "14", "So there are 14 ways to choose 2 people out of 5.", "2 5"),
    ("?", "64", "He pays 64 dollars, i.e. $5 each for 8 glasses and $3 each for the other 8.", "8 5 3"),
    ("?", "7", "We have $x = 3$ and $y = 4$, giving $x+y = 7$", "3 4"),
    # steps
    (EGGS, "18", "1. A has 2.\n2. B has 3.\n\nTherefore, Janet makes $18 every day.", "1 2 3"),
    ("?", "18", "1. A has 2.\n2. B has 3.\n\nThe total is 18.", "1 2 3"),
    ("?", "5", "1. A has 2.\n2. B has 3.\n3. 2 + 3 = 5 apples.\n\nThey have 5 apples.", "1 2 3"),
    ("?", "9", "1. **Eggs**: 16 - 7 = 9\n2. These are left.", "1 2 16 7"),
    ("?", "18", "1. Count the eggs.\n2. Multiply.\n\nJanet makes $18.", "1 2"),
    ("?", "12", "1. There are 5.\n2. There are 7.\n\nTherefore, there are 12 in total.", "1 2 5 7"),
    ("?", "12", "The answer is 12 (3 × 4).", "3 4 144"),
    ("?", "12", "(1) 5\n(2) 7\n\n12", "1 2 5 7"),
    # remarks, parts and checks
    ("?", "100", "Water boils at 100 degrees Celsius (212 degrees Fahrenheit).", "212"),
    ("?", "46", "Humans have 46 chromosomes (23 pairs).", "23"),
    ("?", "88", "A piano has 88 keys (52 white and 36 black).", "52 36"),
    ("?", "12", "He has 12 pens (3*4).", "3 4"), ("?", "64", "A chessboard has 64 squares (8 × 8).", "8"),
    ("?", "4", "The heart has 4 chambers: 2 atria and 2 ventricles.", "2"),
    ("?", "3", "3 bolts: 2 blue, 1 white", "2 1"), ("?", "45", "It is 45 miles. Note that he drove at 30 mph.", "30"),
    ("?", "12", "12\n\nCheck: 12 / 4 = 3", "3 4"), ("?", "92", "92 (U-238)", "238"),
    ("How many pens are in 4 boxes?", "18", "He buys 4 boxes (18 pens).", "4"),
    ("?", "9", "Janet has 16 eggs (she uses 7, so 9 are left).", "16 7"),
    # wrong as a count
    ("?", "3", "He got 3 wrong.", "0"), ("?", "3", "There were 3 incorrect answers.", "0"),
    ("?", "17", "20 - 3 wrong = 17 right", "3 20"), ("?", "3", "The number of wrong answers is 3.", "0"),
    ("?", "7", "3 (wrong), so 7", "3"), ("?", "7", "3, wrong. 7", "3"),
    # doubts about another number
    ("?", "80", "The wrong answer is 70. The right one is 80.", "70"),
    ("?", "80", "70 was my first guess; 80 is the answer.", "70"), ("?", "80", "80, although some say 70.", "70"),
    ("?", "80", "80 or so, certainly not 70", "70"), ("?", "80", "70 is a common misconception. It is 80.", "70"),
    ("?", "80", "There is no doubt that it is 80.", "0"), ("?", "80", "I am not sure, but I think it is 80.", "0"),
    ("?", "80", "It cannot be determined exactly, but it is 80.", "0"),
]  # fmt: skip
NO_ANSWER = [  # answers that give none of their numbers
    "I doubt it is 70.", "It is unlikely to be 70.", "It's unclear whether it's 70.", "There's no way it's 70.",
    "I can't determine whether it is 70.", "I am not sure that 70 is right.", "70 is a common misconception.",
    "The wrong answer is 70.", "The incorrect answer would be 70.", "A common mistake is 70.", "instead of 70",
    "It used to be 70.", "twice as many as 70", "70 halved", "70 doubled", "70 per thousand", "Some say 70.",
    "Many people think it's 70.", "There is not enough information; 70 is given.", "70 is impossible.",
    "As an AI language model, I cannot solve 70.", "70 degrees 30 minutes", "from 70 to 80 minutes", "70–80",
    "70 – 80", "$70 - $80", "either 70 or 80", "It lies between 70 and 80.", "July 70, 80", "70 and 80 boxes",
    "Janet's ducks lay 16 eggs per day. She eats 70 for breakfast and bakes 80", "1. Add 70.\n2. Divide by 80.",
    "1. Add 70.\n2. Divide.", "x = 70 or x = 80", "The solutions are x = 80 or x = 70.", "First 80, then 70.",
    "He has 70 boxes: 5 red, 6 blue", "70 (or 80)", "70 (maybe 80)", "20 of 70 (80 in the end)",
]  # fmt: skip


@pytest.mark.parametrize("grader", ["numeric", "math"])
@pytest.mark.parametrize(
    ("asked", "reference", "answer", "correct"),
    [
        *((asked, right, answer, 1) for asked, right, answer, _ in WORKED),
        *((asked, other, answer, 0) for asked, _, answer, wrong in WORKED for other in wrong.split()),
        *(("?", other, answer, 0) for answer in NO_ANSWER for other in ("70", "80")),
    ],
)
def test_a_sentence_with_several_numbers(grader: str, asked: str, reference: str, answer: str, correct: float) -> None:
    assert grade(question(grader, reference, asked), answer) == correct


def test_what_is_taken_out() -> None:
    assert without_asides("46 pairs (23 each) are 4: 2 and 2", ()) == "46 pairs are 4"
    assert without_asides("46 pairs (23 each)", {46}) == "46 pairs (23 each)"
    assert without_item_numbers("1. a\n2. b\n(3) c") == "‣ a\n‣ b\n‣ c"
    assert without_item_numbers("1. a") == "1. a"
