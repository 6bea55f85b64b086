"""Answers that change their mind, deny, explain and work things out, for `numeric` and `math`."""

import pytest

from calibration_tuning.grading.conclusion import after_change_of_mind, boxed, marked, unstyled
from calibration_tuning.grading.graders import grade
from calibration_tuning.records import Question


def question(grader: str, reference: str, text: str = "?") -> Question:
    return Question(id="q", source="s", subject="s", group="g", question=text, references=[reference], grader=grader)


CORRECTED = [  # from 5 to 6
    "\\boxed{5}\n\nWait, I made a mistake. The correct answer is 6.", "#### 5\nCorrection: the answer is 6.",
    "5. Wait, that's wrong. It's 6.", "The answer is 5? No, it's 6.", "\\boxed{5} is wrong. The answer is 6.",
    "The answer is 5. Wait, \\boxed{6}.", "\\boxed{5}\n\nCorrection:\n#### 6", "5? No, 6.", "5, I mean 6",
    "The answer is 5.\n\nWait, let me recheck: 3 + 3 = 6. So it's 6.", "The answer is 5.\n\nActually, the answer is 6.",
    "5. Correction: 6.", "\\boxed{5}\n\nNo, that is wrong. \\boxed{6}", "I think it's 5. Oops, 6.",
    "The answer is 5... no wait, 6.", "x = 5. Hold on, x = 6.", "#### 5\n\nSorry, #### 6", "5 (should be 6)",
    "It is 5. No - it is 6.", "My first answer was 5, but that is incorrect. The answer is 6.", "~~5~~ 6",
    "5 is wrong, the correct answer is 6.", "\\boxed{5} is not right; it should be \\boxed{6}.", "5, actually 6",
    "The answer isn't 5, it's 6.", "The answer is not 5 but 6.", "The answer is not 5. The answer is 6.",
    "Is it 5? No, it's 6.", "It can't be 5, so it is 6.", "It's 6 and not 5.", "6. 5 would be wrong.",
    "The answer is 6. It cannot be 5.", "At first I thought 5, but the correct value is 6.", "5 is too low; it's 6",
]  # fmt: skip
DENIED = [  # 5 is not the answer
    "The answer is 5. That is wrong.", "\\boxed{5} is incorrect.", "I don't think it's 5.", "The answer cannot be 5.",
    "5 (or 6)", "The answer isn't 5.", "5 is not the answer.", "5 is wrong.", "5 isn't right.", "It could never be 5.",
    "The answer is 5, which is wrong.", "That's not 5.", "Neither 5 nor 6.", "I don't believe the answer is 5.",
    "The answer should not be 5.", "The answer is anything but 5.", "5? No.", "\\boxed{5}? No.", "5 cannot be right.",
    "I was wrong to say 5. It is 6.", "The correct answer is not 5.", "~~5~~", "not \\boxed{5}", "5 → 6", "5 -> 6",
    "5 maybe, or 6", "5 but could be 6", "\\boxed{6}, not \\boxed{5}",
]  # fmt: skip
KEPT = [  # 5 is the answer, whatever words stand beside it
    "No, 5.", "No. 5", "Wait, 5", "5. No doubt about it.", "5. No more, no less.", "5, no more than that.", "5, not 6",
    "5 is the answer.", "5 is correct.", "\\boxed{5} is correct.", "The answer is 5. That is correct.", "5 (correct)",
    "The answer is 5. It is not 6.", "The answer is 5. This is not surprising.", "The answer is actually 5.",
    "There are 5 apples, no pears.", "After the wait, 5 remain.", "Not many, only 5.", "No one knows better: 5.",
    "The number of people who do not smoke is 5.", "5 people do not smoke.", "It isn't difficult. The answer is 5.",
    "5. Wait, let me double-check. Yes, that is right.", "The answer is 5. Wait, let me check: 2 + 3 = 5. Yes.",
    "The answer is 5. Let me know if that is wrong.", "The answer is 5 because the others are wrong.",
    "\\boxed{\\text{\\textbf{5}}}", "\\fbox{5}", "It is not hard: 5.", "The answer is approx. 5.",
]  # fmt: skip


@pytest.mark.parametrize("grader", ["numeric", "math"])
@pytest.mark.parametrize(
    ("reference", "answer", "correct"),
    [
        *(("6", answer, 1) for answer in CORRECTED), *(("5", answer, 0) for answer in [*CORRECTED, *DENIED]),
        *(("5", answer, 1) for answer in KEPT),
    ],
)  # fmt: skip
def test_the_last_word_counts(grader: str, reference: str, answer: str, correct: float) -> None:
    assert grade(question(grader, reference), answer) == correct


ABROAD = [
    ("168", "一天24小时，一周7天，24×7=168。答案是168。", 1), ("168", "1日は24時間なので、答えは168時間です。", 1),
    ("168", "하루는 24시간입니다. 정답은 168시간입니다.", 1),
    ("168", "Un día tiene 24 horas. La respuesta es 168 horas.", 1),
    ("168", "Un jour a 24 heures. La réponse est 168.", 1), ("168", "Ein Tag hat 24 Stunden. Die Antwort ist 168.", 1),
    ("168", "В сутках 24 часа. Ответ: 168", 1), ("168", "每天有24小时，一周有7天，所以一周有168小时。", 1),
    ("24", "每天有24小时，一周有7天，所以一周有168小时。", 0), ("24", "В сутках 24 часа. Ответ: 168", 0),
    ("6", "5。不对，应该是6。", 1), ("6", "5? Nein, 6.", 1), ("6", "5 ? Non, 6.", 1), ("5", "5。不对，应该是6。", 0),
    ("5", "5ではない", 0), ("5", "答案不是5。", 0), ("5", "5이 아닙니다", 0), ("5", "大于5", 0), ("5", "5 o más", 0),
    ("5", "Die Antwort ist nicht 5.", 0), ("5", "La respuesta no es 5.", 0), ("5", "La réponse n'est pas 5.", 0),
    ("5", "正解は5です", 1), ("5", "正确答案是：5", 1), ("5", "La risposta è 5.", 1), ("5", "约5个", 1),
    ("5", "5 oder mehr", 0),
]  # fmt: skip


@pytest.mark.parametrize("grader", ["numeric", "math"])
@pytest.mark.parametrize(("reference", "answer", "correct"), ABROAD)
def test_the_last_word_in_other_languages(grader: str, reference: str, answer: str, correct: float) -> None:
    assert grade(question(grader, reference), answer) == correct


FORMULAS = [
    ("x+1", "x+2. No, x+1.", 1), ("x+1", "\\boxed{x+2}\n\nWait, \\boxed{x+1}", 1), ("no", "No.", 1), ("no", "no", 1),
    (r"\frac{1}{2}", r"The answer is not \frac{1}{2}.", 0), (r"\frac{1}{2}", r"\frac{1}{2} is wrong.", 0),
    (r"\frac{1}{2}", r"The answer is \frac{1}{3}? No, \frac{1}{2}.", 1), ("no", "The answer is no.", 1),
    ("12 and 15", r"\boxed{12} and \boxed{15}", 1), ("-5", "The answer is 5. No, -5.", 1),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "answer", "correct"), FORMULAS)
def test_the_last_word_in_formulas(reference: str, answer: str, correct: float) -> None:
    assert grade(question("math", reference), answer) == correct


IS_72 = [
    # a mark with a calculation
    "The answer is 48 + 24 = 72.", "Answer: 48+24=72", "The answer is: 48 + 24 = **72**", "The answer is 72 = 3 * 24.",
    "Answer: 48 × 1.5 = 72 clips", "The answer is 48 clips plus 24 = 72.", r"\boxed{48 + 24 = 72}",
    # a last line, sentence or clause that concludes
    "She sold 48 in April.\n\n**72**", "She sold 48 in April.\n\n72", "She sold 48 in April. So the total is 72 clips.",
    "First, 48.\nThen 24 more.\nTotal: 72", "April: 48\nMay: 24\n**Total: 72**", "48 plus 24 equals 72.",
    "1. April: 48\n2. May: 24\n\n72", "Half of 48 is 24, and 48 plus 24 is 72.", "Adding 48 and 24 gives us 72 clips.",
    "She sold 48 in April and 24 in May, so there were 72.", "48 and half of that, 24, makes 72.", "3 * 24 is 72.",
    "48/2 = 24. 48+24 = 72. Natalia sold 72 clips.", "24 times 3 is 72", "Two plus seventy is seventy-two.",
    "She sold 72 clips altogether, 48 in April and 24 in May.", "Natalia sold 48 + 24 = 72 clips in total.",
    "= 48 + 24\n= 72", "48 + 24\n= 72", "In total, 72 clips in 2 months.", "72 = 48 + 24",
    # a number that opens the answer and is explained
    "72 clips (48 in April and 24 in May)", "72 because half of 48 is 24 and 48+24 is 72.", "72, since 48 + 24 = 72",
    "72.\n\nExplanation: 48 in April and 24 in May.", "**72**\n\nIn April she sold 48. In May she sold half, 24.",
    "72, because she sold 48 in April and 24 in May.", "It is 72, as 48 is two thirds of it.", "72 total (48 + 24)",
    "x = 72, since x/2 = 36",
]  # fmt: skip
NOT_48 = [
    "She sold 48 in April.\n\n72", "She sold 48 in April and 24 in May.", "She sold 48 in April. She sold 72 in all.",
    "48 in April, so 72 in all.", "48 and half of that, 24, makes 72.", "48 plus 24 equals 72.", "April: 48\nMay: 24",
    "48 clips in April.\n24 clips in May.\n72 clips in total.", "There were 48. Then 24 came. Now there are 72.",
    "48\n24\n72", "x = 48, y = 24", "She sold 72 clips altogether, 48 in April and 24 in May.",
    "Apollo 48 landed in 1969.",
    "July 48, 1969", "1. Add 48. 2. Divide.", "In 48 hours there are 2 days.", "A 48-hour trip takes 2 days.",
]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "answer", "correct"), [*(("72", a, 1) for a in IS_72), *(("48", a, 0) for a in [*IS_72, *NOT_48])]
)
def test_numeric_takes_the_conclusion_of_a_worked_answer(reference: str, answer: str, correct: float) -> None:
    assert grade(question("numeric", reference), answer) == correct


GIVEN = [
    ("When did Apollo 11 land on the moon?", "1969", "Apollo 11 landed in 1969.", 1),
    ("When did Apollo 11 land on the moon?", "11", "Apollo 11 landed in 1969.", 0),
    ("How many hours do 7 days have?", "168", "In 7 days there are 168 hours.", 1),
    ("How many hours do 7 days have?", "7", "In 7 days there are 168 hours.", 0),
    ("A train travels 60 km in 1 hour. How far in 2 hours?", "120", "The train travels 120 km in 2 hours.", 1),
    ("Which is larger, 5 or 7?", "7", "7", 1), ("Which is larger, 5 or 7?", "5", "Of the two, 7 beats 5.", 0),
    ("How many of 10 people came?", "15", "10 to 15", 0), ("How many days?", "7", "In 7 days there are 168 hours.", 0),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "reference", "answer", "correct"), GIVEN)
def test_numbers_of_the_question_are_no_answer_beside_another(
    asked: str, reference: str, answer: str, correct: float
) -> None:
    assert grade(question("numeric", reference, asked), answer) == correct


def test_parts_of_an_answer() -> None:
    assert after_change_of_mind("5. No, 6") == "6"
    assert after_change_of_mind("5. Wait, let me see.") == "5"
    assert marked(r"\boxed{5}. The answer is 6.") == ["5", "6"]
    assert marked("The answer is not 5.") == [""]
    assert marked("No mark.") == []
    assert unstyled(r"\text{\textbf{5}} \mathrm{kg}") == "5 kg"
    assert [content for _, _, content in boxed(r"\boxed{\frac{1}{2}} \fbox{3} \boxed 7 \boxed{cut")] == [
        r"\frac{1}{2}", "3", "7",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", [" ", "\n", "9", "no, ", "5. No, ", "= ", "answer is ", "\\boxed{", "~~", "not ", "so ", "total ", "8. "]
)
def test_long_answers_end(piece: str) -> None:
    answer = f"5. {(piece * 20_000)[:20_000]} 6"
    assert grade(question("numeric", "7"), answer) == grade(question("math", "7"), answer[:5000]) == 0
