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
