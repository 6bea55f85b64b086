"""Choices that open an answer whose rest explains them, with denials and other choices in the explanation."""

import time

import pytest

from calibration_tuning.grading.choice_parsing import choice_index

CITIES = ["Rome", "Oslo", "Paris", "Bern"]
BLOOD = ["A", "B", "AB", "O"]
LENGTHS = ["5 km", "10 km", "15 km", "20 km"]
NUMBERS = ["0.5", "5", "50", "500"]
POWERS = ["x^2", "2x", "x", "2"]
VERDICTS = [["yes", "no"], ["No", "Yes"], ["True", "False"], ["yes", "no", "maybe"],
            ["entailment", "neutral", "contradiction"]]  # fmt: skip
# What stands for {text} and {letter} is right; {other} is another choice.
EXPLAINED = [
    "{text}. The passage says that there is no limit to it.", "{text}, there is no doubt.",
    "{text}, they have no legs.",
    "{text}\n\nThe passage states that no permission is needed.", "{text}, no license is required.",
    "{letter}. {text}\n\nThere is no limit.", "({letter}) {text}, no license is needed.", "{text}. It is not {other}.",
    "{text}, according to the passage, no one can.", "{text} (no license is required)", "{text}: no tax is due.",
    "{text} - no tax is due.", "The answer is {text}. There is no limit.", "{text}, it isn't illegal.",
    "The answer is {text}, no license is needed.", "{letter}, no license is needed.", "{text}; no permit is needed",
    "{text}, because no permit is needed", "**{text}**. No permit is needed.", "{text}, no-one can.",
    "Based on the passage, {text}. No permit is needed.", "{text}, without a permit.",
]  # fmt: skip
NOT_EXPLAINED = [
    "{text} {other}", "{text} or {other}", "{text}/{other}", "{text}, {other}", "{text}. {other}.",
    "{text}\n\n{other}", "{text} and {other}", "{text}; {other}", "{text}, but that's wrong", "{text}, wait",
    "{text}? There is no limit.", "Not {text}.", "{text}. Wait, that is wrong.",
    "{text} is wrong, no permit is needed.",
]  # fmt: skip


def verdict_cases(forms: list[str]) -> list[tuple[list[str], int, str]]:
    return [
        (choices, index, form.format(text=text, other=choices[not index], letter="ABC"[index]))
        for choices in VERDICTS
        for index, text in enumerate(choices)
        for form in forms
    ]


@pytest.mark.parametrize(("choices", "index", "answer"), verdict_cases(EXPLAINED))
def test_a_denial_in_the_explanation_is_none_of_the_verdict(choices: list[str], index: int, answer: str) -> None:
    assert choice_index(answer, choices, lettered=True) == index
    assert choice_index(answer[0].upper() + answer[1:], choices, lettered=True) == index


@pytest.mark.parametrize(("choices", "index", "answer"), verdict_cases(NOT_EXPLAINED))
def test_a_verdict_that_is_taken_back_is_none(choices: list[str], index: int, answer: str) -> None:
    assert choice_index(answer, choices, lettered=True) is None


KINDS: dict[str, list[tuple[list[str], int | None, list[str]]]] = {
    "yes and no": [
        (VERDICTS[0], 0, ["Yes it is.", "Yes they do.", "yes you can, no permit is needed", "no, wait, yes"]),
        (VERDICTS[0], 1, ["No it is not.", "No they don't.", "no. Yes is wrong.", "No, no one has.",
                  "yes, no, wait, no"]),
        (VERDICTS[0], None, ["No one knows.", "No permit is needed.", "no doubt", "No-one can.", "No matter",
                  "No, yes."]),
        (VERDICTS[0], None, ["Yes and no, there is no limit.", "Yes, no.", "Yes they do, no?", "Yes, no is right? no"]),
        (VERDICTS[0], None, ["yes, but no license is needed", "Yes, in some cases, no in others.", "Yes it is not."]),
        (VERDICTS[0], None, ["Yes, they don't.", "Yes, that is wrong.", "Yes, sometimes no.",
                  "Yes, the answer: no or yes"]),
        (VERDICTS[2], 0, ["True. The claim that it is false is wrong.", "True. It is not false."]),
        (VERDICTS[2], None, ["True. Not true.", "True, that is not true.", "True or false: no."]),
        (CITIES, 2, ["A, no. C is right.", "C, no other city fits.", "C, no city in the list is larger."]),
        (CITIES, 2, ["A - no, it is in Italy.\nC - yes", "Paris, no other city fits."]),
        (CITIES, None, ["C, no.", "The answer is C, no.", "C - no it is in France.", "Paris, no.", "Paris - wrong."]),
        (CITIES, None, ["Paris, which is not in Italy.", "Paris, that's wrong.", "No other city fits."]),
    ],
    "the answer first, then the other options": [
        (CITIES, 2, [
            "C. Paris\n\nExplanation:\nA. Rome is in Italy.\nB. Oslo is in Norway.\nC. Paris is in France.",
            "**C) Paris**\n\n- A) Rome: capital of Italy\n- B) Oslo: capital of Norway",
            "C\n\nWhy not the others?\nA) Rome is in Italy.", "C. Paris\n\nExplanation:\nA. Rome is",
            "C. Paris\n\nParis is the capital of France, while Rome (A) is the capital of Italy.",
            "The answer is C.\n\nRome (A) is in Italy and Oslo (B) is in Norway.",
            "The answer is C. Rome (A) is in Italy.",
            "Answer: C. Rome is in Italy, so A is wrong.", "**C. Paris**\n\nA. Rome is the capital of",
            "The answer is (C). Rome is in Italy, Oslo is in Norway.", "Option C\n\nA. Rome is in Italy.",
            "C\nExplanation:\nA. Rome is in Italy.\nB. Oslo is in Norway.",
            "**Paris**\n\n- Rome: Italy\n- Oslo: Norway",
            "Paris\n\nRome (A) is in Italy and Oslo (B) is in Norway.",
        ]),
        (CITIES, 0, [
            "A. Rome\n\nExplanation:\nA. Rome is in Italy.\nB. Oslo is in Norway.",
            "A. Rome\n\nA. Rome is in Italy.\nB. Oslo is",
            "A\n\nWhy not the others?\nB) Oslo is in Norway.", "C. Paris\n\nWait, no. The answer is A.",
            "C\n\nExplanation: Paris is in France.\n\nThe answer is A.", "C. Paris\n\nSorry, I mean A.",
            "B\n\nA. Rome is correct, B. Oslo is wrong.",
        ]),
        (CITIES, None, [
            "A. Rome\n\nB. Oslo\n\nC. Paris\n\nD. Bern", "A. Rome\n\nB. Oslo is in Norway.\n\nC. Paris", "A\n\nB\n\nC",
            "C. Paris\n\nD. Bern", "A. Rome\n\nRome is the capital of Italy.\n\nB. Oslo\n\nOslo is the", "C\n\nA. Rome",
            "The answer is C. Rome.", "The answer is C. Rome is in Italy.",
            "The answer is C. Rome is in Italy, not Paris.",
            "The answer is C. Rome (C) is in Italy.", "The answer is C: Rome", "Option C. Rome is in Italy.",
            "A) Paris\n\nExplanation:\nB) Oslo is in Norway.", "C or D\n\nExplanation:\nA. Rome is in Italy.",
            "C. Rome\n\nExplanation:\nA. Rome is in Italy.\nB. Oslo is in Norway.",
            "C?\n\nExplanation:\nA. Rome is in Italy.\nB. Oslo is in Norway.",
            "Not C\n\nExplanation:\nA. Rome\nB. Oslo",
            "C\n\nWait, that is wrong.\nA. Rome is in Italy.\nB. Oslo is in Norway.",
            "E\n\nExplanation:\nA. Rome\nB. Oslo",
            "C. Paris\n\nC is wrong.\nA. Rome is in Italy.\nB. Oslo is in Norway.", "Paris\n\nRome\n\nOslo",
            "Let's look at the options.\n\nC. Paris\n\nA. Rome is", "The options are:\n\nC. Paris\n\nA. Rome",
        ]),
    ],
    "what is said of a choice": [
        (CITIES, 2, [
            "C seems to be the correct answer.", "C appears correct.", "C looks right.", "C makes the most sense.",
            "C is the most likely answer.", "C is your answer.", "C I think", "C maybe", "Clearly Paris.", "Answer-C",
            "ans-C", "option (c) is correct", "By process of elimination, C.",
            "We can rule out A, B, and D, leaving C.",
            "C is the most likely to be correct.", "C est correct.", "C ist richtig.", "La opción C es correcta.",
            "C选项正确", "C가 맞습니다.", "Cが正しい。", "選択肢Cが正解です。",
            "C'est C.", "Es ist C.", "Il s'agit de C.",
            "Richtig ist C.", "C è corretta.", "A opção C é correta.", "È la C.",
        ]),
        (CITIES, 0, ["Although C seems right, it's A.", "C seems right, but the answer is A.",
                     "C seems right but A is correct."]),
        (CITIES, None, [
            "C seems right but isn't.", "C seems right, but it is not.", "C looks right but is wrong.",
            "C seems right at first.", "C looks right, but I doubt it.", "C doesn't look right.", "C appears twice.",
            "C seems right, but so does A.", "C seems right to many people.", "C is your answer? No.",
            "C is most likely wrong.",
            "C is your mistake.", "C I doubt", "C maybe not", "C maybe?", "Clearly not Paris.", "Answer-E",
            "Answer-C or D",
            "option (c) is incorrect", "option (c) and option (d) are correct", "We can rule out A, leaving C and D.",
            "We exclude A, leaving C out.", "C n'est pas correct.", "C est incorrect.", "C ist nicht richtig.",
            "La opción C no es correcta.", "C选项不正确", "C选项正确吗？", "C가 맞지 않습니다.", "Cが正しくない。",
            "C est correct ?",
            "Cが正しいとは言えない。", "Es ist nicht C.", "C'est A ou C.", "A、C选项正确", "A und C ist richtig",
            "Je ne crois pas que C est correct.", "C est correct, A est correct", "By process of elimination, not C.",
        ]),
    ],
    "the text of a choice": [
        (CITIES, 2, [
            "Paris is the capital of France, not Rome.",
            "The capital of France is Paris. Rome is the capital of Italy.",
            "Paris is in France, not Rome or Oslo.", "Paris is the capital of France, rather than Rome.",
        ]),
        (CITIES, None, [
            "Paris is not the capital of Italy, but Rome is large.", "Paris is in France, not in Italy.",
            "Paris is not Rome.",
            "Paris is the capital of France, not the answer.", "Paris is not in Italy, not Rome.",
            "Rome is the capital of Italy. Oslo is the capital of Norway. Paris is the capital of France.",
            "The capital of France is Paris. But Rome is in Italy.", "The first city is Paris. Rome is in Italy.",
        ]),
        (BLOOD, 3, ["The answer is O.", "Type O", "O", "Blood type O is the universal donor.", "It is O."]),
        (BLOOD, None, ["Type O or AB", "Not O", "The answer is not O.", "O or A", "Type E", "The answer is E."]),
        (LENGTHS, 1, ["10km", "The distance is 10km.", "B) 10km"]),
        (LENGTHS, None, ["10m", "110km", "10kmh", "The answer is 10miles.", "5km or 10km", "A) 10km"]),
        (NUMBERS, 1, ["The answer is 5.0", "5.0", "\\boxed{5.0}", "B. 5.0"]),
        (NUMBERS, None, ["The answer is 5.5", "5.01", "The answer is 5.0%", "A. 5.0", "The answer is 5.0 or 50"]),
        (["5", "5.0", "6"], None, ["The answer is 5.00"]),
        (["5", "5.0", "6"], 1, ["The answer is 5.0"]),
        (POWERS, 1, ["The derivative of x^2 is 2x.", "f'(x) = 2x"]),
        (POWERS, None, ["The derivative of x^2 is not 2x.", "The derivative of x^2 is 2x or x."]),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("choices", "index", "answer"),
    [(choices, index, answer) for kind in KINDS.values() for choices, index, answers in kind for answer in answers],
)
def test_kinds_of_openings(choices: list[str], index: int | None, answer: str) -> None:
    assert choice_index(answer, choices, lettered=True) == index


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["yes, no ", "no license ", "C\n\n", "not Rome or ", "\n", "of Rome is ", "leaving ", "C est "]
)
def test_long_answers_take_no_time(piece: str) -> None:
    start = time.perf_counter()
    choice_index((piece * 5000)[:5000], CITIES, lettered=True)
    choice_index("yes, " + (piece * 5000)[:5000], VERDICTS[0], lettered=True)
    assert time.perf_counter() - start < 5
