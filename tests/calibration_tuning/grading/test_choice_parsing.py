import time

import pytest

from calibration_tuning.grading.choice_parsing import choice_index

CITIES = ["Rome", "Oslo", "Paris", "Bern"]
PARIS = [
    "C", "c", "(C)", "[C]", "[[C]]", "C.", "C!", "C。", "Ｃ", "（Ｃ）", "### C", "**C**", "\\boxed{C}",
    "$\\boxed{\\text{C}}$", "\\boxed{\\textbf{(C)}}", "\\boxed{Paris}", "\\(C\\)", '"C"', "'C'", "“C”", "「C」", "`C`",
    "$C$", "<C>", "Option A is wrong because Rome is in Italy. The answer is C.",
    "The answer is B? No, the answer is C.", "C is correct.", 'The answer is "C".', "The answer is $\\boxed{C}$.",
    "The answer is Paris.", "Paris", "paris.", "C. Paris", "C) Paris", "C: Paris", "C - Paris", "C Paris",
    "(C) Paris", "Option C", "Option C.", "Choice C", "option (c)", "Answer: C", "answer:C", "**Answer:** C",
    "**Answer: C**", "Final answer: C", "The correct answer is option C.", "The correct option is C) Paris.",
    "The correct answer is: **C. Paris**", "The answer is (C).", "The answer is C because Rome is in Italy.",
    "The best answer would be C.", "I choose C.", "I would go with C.", "I'd say C", "I think it's C.", "It is C.",
    "It's Paris.", "So the answer is C", "Therefore, C.", "Thus, the answer must be C.", "Paris is correct.",
    "Paris is the correct answer.", "Option C is correct.", "(C) is the right answer.", "C is the best choice.",
    "C is right, since Paris is the capital.", "Paris, because it is the capital of France.",
    "Paris is the capital of France.", "The capital of France is Paris.",
    "A is wrong. B is wrong. C is correct. D is wrong.",
    "A. Rome is in Italy, so no. B. Oslo is in Norway. The answer is C.", "First I thought A. But the answer is C.",
    "The answer is C, not A.", "The answer is not A but C.", "The answer is not A. The answer is C.",
    "The answer isn't A. It's C.", "C\n\nExplanation: A is in Italy, B in Norway.", "Rome is in Italy.\n\nC",
    "Let's think.\nRome is in Italy.\nAnswer: (C)", "\\boxed{B}. Wait, that is wrong. \\boxed{C}", "#### C",
    "Rome is in Italy. #### C", "答案是C", "答案：C", "正确答案是 C。", "Antwort: C", "Respuesta: C",
    "I believe (C) fits best.",
    "The answer is B. Oh wait, it is C.",
    "Let me check each option. (A) Rome is in Italy. (B) Oslo is in Norway. (C) Paris is in France. So the answer is (C).",  # noqa: E501
    "The correct answer is C, which is Paris.", "Answer: C\n\nA is wrong since Rome is in Italy.",
    "C, because A is in Italy.", "Based on this, I select option C.", "My answer is C", "C is the answer",
    "The answer: C", "The answer is **C**", "The answer is: (C) Paris, not (A) Rome.",
    "The final answer is \\(\\boxed{C}\\)", "I'm going with Paris.", "Sure! The answer is C.", "Correct answer: C",
    "Correct: C", "The answer is option A? It isn't. The answer is option C.", "Ⓒ", "C ", "C\n", "(c) Paris",
    "c) Paris", "c. Paris", "C.Paris", "C,Paris", "It's not A, B or D, so C.", "The only option left is C.",
    "That leaves C.", "Answer is C", "ANSWER: C", "the answer is c", "the answer is c.", "Hence (C).", "C is true",
    "C; Paris", "Paris (C)", "Paris. The answer is C", "The right choice is Paris",
    "The capital is Paris, so the answer is C.", "A is correct? No, C is correct.",
    "It is not A. It is not B. C.", "The answer is D... wait, actually C.", "The answer is D. Wait, no, it's C.",
    "B. No, C.", "D. Sorry, I mean C.", "C. No other city fits.", "C. Actually, A is in Italy and B is in Norway.",
    "Rome? No. Paris.", "C. So A is in Italy.", "The answer is C. No, A is wrong.", "C, no doubt",
    "I think the answer is probably C.", "I pick Paris", "Among A, B, C and D, the correct one is C.",
]  # fmt: skip
ROME = [
    "The answer is A", "A", "a", "A.", "The answer is A. Rome",
]  # fmt: skip
UNDECIDED = [
    "A. B. C. D.", "I like vitamin C.", "A is Rome. B is Oslo.", "No one knows. A or B.",
    "A and C", "A or C", "Both A and C", "The answer is A or C.", "The answer is either A or C.",
    "It could be Paris or Rome.", "A. Rome\nB. Oslo\nC. Paris\nD. Bern", "A, B", "A, C", "A/C", "Rome and Paris",
    "Rome, Paris", "I don't know.", "", "None of the above", "The answer is not C.", "C is not correct.",
    "C is wrong.", "Not C", "The answer is E.", "E", "It is not Paris.", "Neither A nor C", "Paris is wrong",
    "As B says", "A dog ran", "The answer is C?", "ABCD", "The answers are A and C.",
    "All of them", "Options A and C are correct.", "A and C are both correct",
    "Option A is incorrect, option B is incorrect, option D is incorrect.",
]  # fmt: skip


@pytest.mark.parametrize("answer", PARIS)
def test_the_last_conclusion_is_the_choice(answer: str) -> None:
    assert choice_index(answer, CITIES, lettered=True) == 2


@pytest.mark.parametrize("answer", ROME)
def test_the_first_letter_is_no_article(answer: str) -> None:
    assert choice_index(answer, CITIES, lettered=True) == 0


@pytest.mark.parametrize("answer", UNDECIDED)
def test_no_choice_or_several_are_none(answer: str) -> None:
    assert choice_index(answer, CITIES, lettered=True) is None


# Kinds of answers: what decides, where an easy reading goes wrong. All are about CITIES; the value is the index.
KINDS: dict[str, list[tuple[str, int | None]]] = {
    "denied before the lead": [
        ("I don't think it's C.", None), ("I do not think it is C.", None), ("I don't believe the answer is C.", None),
        ("I doubt the answer is C.", None), ("I seriously doubt that it's C.", None),
        ("There is no way the answer is C.", None), ("It is unlikely that the answer is C.", None),
        ("No one would say the answer is C.", None), ("I would never say the answer is C.", None),
        ("It is not true that the answer is C.", None), ("I'm not sure the answer is C.", None),
        ("I don't know whether the answer is C.", None), ("It would be wrong to say the answer is C.", None),
        ("I don't think the answer is Paris.", None), ("I doubt it is (C).", None),
        ("I don't think C is correct.", None),
        ("I don't think C.", None), ("You might think it's C.", None), ("The answer is anything but Paris.", None),
        ("I don't think it's A but C.", 2), ("I don't think it's A; it's C.", 2), ("I don't think so, it is C.", 2),
        ("I doubt it's A, so C.", 2), ("I'm not sure, but the answer is C.", 2),
        ("There is no doubt that the answer is C.", 2), ("I don't doubt that the answer is C.", 2),
        ("No one knows for sure, but the answer is C.", 2), ("It is impossible for Rome to fit; the answer is C.", 2),
        ("None of the other options makes sense, so the answer is C.", 2), ("I don't think it's C, it's A.", 0),
    ],
    "on a condition": [
        ("If it were France, it would be C.", None), ("If that were so, it would be C.", None),
        ("If the question asked about France, the answer would be C.", None), ("Suppose the answer is C.", None),
        ("Had the question asked for France, it would be C.", None), ("The answer is C only if x is even.", None),
        ("C is correct only if x is even.", None), ("I wonder if it is C.", None),
        ("The answer is D. C would be right if the question asked for France.", 3),
        ("If it were France, it would be C, but it is A.", 0), ("If I had to guess, I'd say C.", 2),
        ("If we eliminate A, B and D, the answer is C.", 2), ("If x is 3 then y is 2, so the answer is C.", 2),
        ("If I'm not mistaken, the answer is C.", 2), ("The answer is C if I remember correctly.", 2),
        ("Even if A seems right, the answer is C.", 2),
    ],
    "with a reason or a contrast": [
        ("C because A is Rome.", 2), ("C since A is in Italy.", 2), ("C as A is Italian and B is Norwegian.", 2),
        ("(C) because (A) is in Italy.", 2), ("C.\nRome is in Italy.", 2), ("C rather than A.", 2), ("C, not A.", 2),
        ("Paris, not Rome.", 2), ("Paris (not Rome)", 2), ("Paris rather than Rome", 2), ("Paris instead of Rome", 2),
        ("Paris, unlike Rome, is in France.", 2), ("Not Rome but Paris.", 2), ("Paris because Rome is in Italy.", 2),
        ("Paris. Rome is in Italy.", 2), ("A because C is in France.", 0), ("Rome, not Paris.", 0),
        ("I'd say A rather than C.", 0), ("C. Rome", None), ("C\nRome", None), ("C. Rome is in Italy.", None),
        ("A: C", None), ("C or A, since both fit.", None), ("Paris and Rome, because both fit.", None),
        ("Rome is older than Paris.", None), ("Rome. Oslo. Paris.", None), ("Paris is not Rome.", None),
    ],
    "others are wrong": [
        ("A, B and D are wrong. C is right.", 2), ("A and B are wrong. C is right.", 2),
        ("A is wrong and C is right.", 2),
        ("A, B and D are false. C is true.", 2), ("A and B are wrong; C is correct.", 2),
        ("Rome, Oslo and Bern are wrong. Paris is right.", 2), ("Neither A nor B is right. C is right.", 2),
        ("Options (A), (B) and (D) are wrong.\nOption (C) is right.", 2), ("Between A and C, C is right.", 2),
        ("B, C and D are wrong. A is right.", 0), ("C is wrong and A is right.", 0), ("A and C are wrong.", None),
        ("A is right and C is right.", None), ("A and C are right.", None),
        ("A, B and C are wrong. None is right.", None),
    ],
    "a word and a letter": [
        *((answer, 2) for answer in (
            "Yes, C.", "Well, C.", "Okay, C", "Probably C", "Definitely C.", "Certainly, C.", "I think C.",
            "I believe C.",
            "Let's go with C.", "Let's choose C.", "Result: C", "Selected: C", "Prediction: C", "Output: **C**",
            "Key: C",
            "Prediction: C\nRome is in Italy.", "The correct answer is - C", "The answer is ... C",
            "C should be the answer.", "C has to be right.", "C it is.", "The answer, then, is C.",
            "The answer to the problem is C.", "The answer that fits is C.", "The answer I choose is C.",
            "Answer (letter only): C", "The capital of France is C.",
        )),
        ("Probably A", 0), ("Yes, A.", 0), ("I like vitamin C.", None), ("World War I", None), ("25 °C", None),
        ("It is 25 C", None), ("I got a grade of C", None), ("Washington, D.C.", None), ("Rome, C", None),
        ("Probably A or C", None), ("Maybe A, maybe C.", None), ("Probably not C", None), ("Probably C?", None),
        ("Everything but C", None), ("Result: E", None), ("I think E.", None), ("Choose from options A - C.", None),
    ],
    "in other languages": [
        *((answer, 2) for answer in (
            "La réponse correcte est C.", "La respuesta correcta es C.", "La risposta corretta è C.",
            "A resposta correta é C.", "正解はCです", "答えはCです。", "정답은 C입니다.", "답은 C번입니다.",
            "Antwoord: C",
            "Svar: C", "Odpowiedź: C", "答案选C", "Die Antwort lautet C.",
        )),
        ("正解はAです", 0), ("정답은 A입니다.", 0), ("正解はEです", None),
    ],
    "each option marked": [
        *((answer, 2) for answer in (
            "A) Wrong\nB) Wrong\nC) Correct\nD) Wrong", "A: No\nB: No\nC: Yes\nD: No",
            "A. Rome\nB. Oslo\nC. Paris (correct)\nD. Bern", "A. Rome: no\nB. Oslo: no\nC. Paris: yes\nD. Bern: no",
            "A. Rome ✗\nB. Oslo ✗\nC. Paris ✓\nD. Bern ✗", "A ❌ B ❌ C ✅ D ❌", "(A) ✗\n(B) ✗\n(C) ✓\n(D) ✗",
            "A. Rome\nB. Oslo\nC. Paris ← correct\nD. Bern", "A\nB\nC (correct)\nD",
            "A) Incorrect, it is in Italy.\nB) Incorrect.\nC) Correct, it is in France.\nD) Incorrect.",
        )),
        ("A) Correct\nB) Wrong\nC) Wrong\nD) Wrong", 0),
        ("A. Rome\nB. Oslo\nC. Paris (correct)\nD. Bern\nAnswer: A", 0),
        ("A) Correct\nB) Wrong\nC) Correct\nD) Wrong", None), ("A. Rome ✓\nB. Oslo ✗\nC. Paris ✓\nD. Bern ✗", None),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("answer", "index"), [case for cases in KINDS.values() for case in cases])
def test_kinds_of_answers(answer: str, index: int | None) -> None:
    assert choice_index(answer, CITIES, lettered=True) == index


@pytest.mark.parametrize(
    ("choices", "answer", "index"),
    [
        (["True", "False"], "A: True\nB: False", None),  # a list of the options, no verdict on them
        (["True", "False"], "A. True\nB. False", None),
        (["No", "Yes"], "A. No\nB. Yes", None),
        (["Yes", "No"], "A) Yes (correct)\nB) No", 0),
        (["True", "False"], "A. True ✗\nB. False ✓", 1),
        (["-5", "-4"], "A. -5\nB. -4 (correct)", 1),
        (["-5", "5", "3"], "The answer is - 5", None),
        (["because it is cold", "because it is hot"], "A) because it is cold\nB) because it is hot", None),
        (["Natural selection.", "Evolution.", "Drift."], "A) Natural selection.\nB) Evolution.\nC) Drift.", None),
        (["Vitamin C", "Vitamin D", "Vitamin A"], "Probably C.", None),  # the letter, or the vitamin
        (["Vitamin C", "Vitamin D", "Vitamin A"], "The answer is C.", 2),
        (["Error", "abc", "cba", "c"], "A is wrong. C is right.", 2),
        (["A型", "B型", "O型"], "答案是B型血", None),
        (["12", "15", "18"], "A) 12 ✗ B) 15 ✓ C) 18 ✗", 1),
        (["12", "15", "18"], "15 rather than 12", 1),
    ],
)
def test_choices_that_read_like_verdicts_or_letters(choices: list[str], answer: str, index: int | None) -> None:
    assert choice_index(answer, choices, lettered=True) == index


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [" ", "a", "C", '"', "C ", "Paris ", "not Paris. ", "answer ", "the answer to ", "A is wrong, ", "A is right and ",
     "I don't think ", "if it is so, ", "no, ", "C ✓ ", "A) x\n", "\n ", "((", "- "],
)  # fmt: skip
def test_long_answers_take_no_time(piece: str) -> None:
    start = time.perf_counter()
    choice_index((piece * 5000)[:5000], CITIES, lettered=True)
    assert time.perf_counter() - start < 5  # under a second on a quiet machine; "A is wrong, " took 55 s
