"""Choices that an answer discusses, denies or mislabels, beside those that it offers; many replies are cut off."""

import time

import pytest

from calibration_tuning.grading.choice_parsing import choice_index

CITIES = ["Rome", "Oslo", "Paris", "Bern"]

# What is judged: the answers that decide for none, and near them those that decide for Paris.
UNDECIDED: dict[str, list[str]] = {
    "a walk through the options that is cut off": [
        "Let's analyze each option:\n\nA. Rome: Rome is the capital of", "Let's consider each option:\nA) Rome -",
        "To answer this question, let's look at option A: Rome", "Let's evaluate each choice:\n\n(A) Rome is",
        "Let's analyze the options step by step:\n\n1. **Option A: Rome**",
        "Let's review the choices one by one:\n(A) Rome",
        "To determine the correct answer, let's examine each option:\n\n**A. Rome**: Rome is",
        "Let's go through the options one by one.\n\n(C)", "Let's look at each option. Option C",
        "Let's break down each option:\n\n**A. Rome** - This is the capital", "## Analysis\n\nA. Rome is in Italy.",
        "Looking at the options:\nA. Rome: capital of Italy", "The options are:\nA. Rome",
        "Here are the options:\n\nA. Rome", "Let's dissect the options:\n\nA. Rome",
        "Considering each option: A. Rome -", "Let's start with option B.",
        "To determine the answer, consider option C first. Paris is a city that", "First, Paris is a city in France.",
        "First, let's consider option A, Rome. Rome is the capital of", "Step 1: Let's check option A (Rome).",
        "I'll analyze each choice carefully.\n\nA. Rome - This is", "Consider option C.", "Let's evaluate option C.",
    ],
    "a sentence that breaks off": [
        "A. Rome is the capital of", "A) Rome – This is the capital of Italy", "Okay, let's think. Rome is in",
        "A. Rome is the capital of Italy, B.", "Option A is the capital of Italy.\nOption B is the",
        "Option A (Rome) is", "The question asks which city is the capital of France. Rome is the capital of",
        "Paris is one possibility, but", "We need to find the capital of Italy. Paris is the capital of France, and",
        "Option C, on the other hand, is",
    ],
    "denied, excluded, doubted or asked": [
        "Option C is irrelevant.", "I can eliminate option C.", "We can rule out (C).", "Option C can be excluded.",
        "Option C makes no sense.", "Option C is less likely.", "Option C is unrelated.", "Option C is too far.",
        "Option C is off.", "Option C refers to the capital of France, which is irrelevant.",
        "Option C contradicts the premise.", "(C) is too far west.", "(C) is partially correct.",
        "Option C is a myth.", "Choice C is a trap.", "Option C says Paris.", "Paris is in France, so that's not it.",
        "Paris is a city in France, which makes it incorrect.",
        "Paris is a nice city, but it's not what the question asks.", "Paris is in France, not in Italy.",
        "Paris is irrelevant.", "Paris can be excluded.", "Paris is often mistaken for the answer.",
        "It used to be Paris.", "Paris is the least likely.", "No, Paris is in France.",
        "Paris is the odd one out, so not that.",
        "Paris is the capital of France, but the question asks about Italy.", "Is the answer C?", "C?", "(C)?",
        "C, right?", "Many people choose C.", "You might be tempted to pick C.",
    ],
    "a wrong or first guess before the letter": [
        "The wrong answer is C.", "The incorrect option is C.", "The least likely answer is C.",
        "The worst answer is C.", "The option to eliminate is C.", "The answer I would eliminate is C.",
        "The obvious (but wrong) answer is C.", "The answer to avoid is C.", "The tempting answer is C, but",
        "At first the answer seems to be C.", "False answer: C",
        "At first, the answer seems to be C. On reflection, A or B.", "Initially, I thought the answer was C.",
    ],
    "two answers": [
        "C, but could also be A", "C, possibly A", "C, maybe A", "C, but it could also be A.", "C: maybe. A: maybe.",
        "C or perhaps B", "C (or A)",
    ],
    "an answer that is no option": [
        "The answer is Lyon.\nParis is the capital of France.", "It's Madrid! Paris is French.",
        "Answer: Madrid\nExplanation: Paris, for example, is in France.", "Madrid. Paris is in France.",
        "The answer is Lyon, not listed. Paris is closest.",
        "The correct answer is not listed. Option C is the closest.", "London.\n\nParis is in France.",
        "My answer is Vienna.\n\nParis is in France.",
        "The answer is not among the options, though Paris is the capital of France.",
    ],
    "the label of another choice": [
        "A) Paris", "(A) Paris", "A (Paris)", "A\nParis", "**A)** Paris", "\\boxed{\\text{A) Paris}}", "A Paris",
        "a) Paris", "A - Paris", "B (Paris)", "Paris (B)", "The answer is Paris (B).",
        "The answer is Paris, option B.", "Paris - B", "Answer: Paris [A]", "It is Paris (B).", "Paris. (B)",
    ],
    "denied in other languages": [
        "La respuesta correcta no es C.", "La bonne réponse n'est pas C.", "Die richtige Antwort ist nicht C.", "不选C",
        "A resposta correta não é C.", "答案不是C", "正确答案不可能是C", "Jawaban yang benar bukan C.", "答案C错误",
        "Poprawna odpowiedź to nie C.", "Đáp án đúng không phải là C.", "La respuesta C es incorrecta.",
        "La risposta C è sbagliata.", "सही उत्तर C नहीं है।", "Rätt svar är inte C.", "答案是E",
    ],
}  # fmt: skip
PARIS: dict[str, list[str]] = {
    "after a walk": [
        "Let's evaluate the options.\n\nRome is in Italy. Oslo is in Norway.\n\nC. Paris",
        "After analyzing each option, C is the best answer.", "Let's evaluate each option. The correct answer is C.",
        "Let's look at the options. Rome is Italian, Oslo Norwegian, Bern Swiss.\n\nC",
        "Checking the options, C is right.",
        "Let's analyze each option:\nA. Rome - Italy.\nB. Oslo - Norway.\nC. Paris - France.\nThe answer is C.",
        "Let's think step by step. The capital of France is Paris.", "From the given choices, (C) Paris is correct.",
        "Let me think. Paris is the capital of France.", "Considering the options, the answer is Paris.",
    ],
    "cut off behind the answer": [
        "The answer is C because Paris is the", "C. Paris\n\nParis is the capital of",
        "C. Paris. Paris is the capital of", "**C. Paris**\n\nRome is the capital of Italy, and",
        "C, because Paris is the capital", "C. This is because Paris is the", "C\n\nParis is", "C.\n\nRome is",
        "The answer is C) Paris. This is", "C, since it is the capital of",
    ],
    "told of": [
        "Paris, not Rome", "Paris, not Lyon.", "Paris, because it is not in Italy.", "Paris, the capital of France",
        "Paris is known as the capital of France.", "Paris is responsible for it.",
        "Option C fits best, as Paris is in France.", "I'm not sure, but I think it's Paris.",
        "Paris, but I'm not sure.", "This matches option C.", "Paris fits the description.",
        "A is tempting, but C is better.", "C is better than A.", "C is more likely than A.",
        "The incorrect statement is C.",
        "At first glance, the answer is A. However, looking closer, C is the better choice.",
        "The more likely answer is C.", "Initially A seems right. But C is better.",
        "The wrong answers are A, B and D; the right one is C.", "The answer is C. Paris is not in Italy.",
        "Option A can be eliminated, so the answer is C.", "The answer is simple: Paris.",
        "The answer is clear. Paris is the capital of France.", "Sure! Paris is the capital of France.",
        "That's a good question. Paris is the capital of France.", "The answer is Lyon. No, wait, the answer is C.",
    ],
    "with its label": [
        "Paris (C)", "Paris [C]", "Paris, option C", "Paris - C", "The answer is Paris (C).",
        "The answer is Paris, which is option C.", "(C) Paris is the capital of France.", "- C. Paris", "Paris. (C)",
    ],
    "in other languages": [
        "选C", "故选C。", "我选C", "【答案】C", "答案：【C】", "应该选C。", "故选：C", "答案 C", "正确答案选C",
        "La respuesta correcta es la opción C.", "La opción correcta es C.", "La opción correcta es la C.", "Letra C",
        "La bonne réponse est la C.", "La bonne réponse est l’option C.", "Die richtige Antwort ist also C.",
        "Opción C", "A alternativa correta é a letra C.", "A resposta certa é C.", "La risposta corretta è la C.",
        "L'opzione corretta è C.", "Poprawna odpowiedź to C.", "Jawaban yang benar adalah C.", "Đáp án đúng là C.",
        "الإجابة الصحيحة هي C.", "सही उत्तर C है।", "คำตอบคือ C", "คำตอบที่ถูกต้องคือ C", "Rätt svar är C.",
        "Správná odpověď je C.", "Răspunsul corect este C.", "Oikea vastaus on C.", "A helyes válasz C.",
        "الجواب هو C", "Правильный ответ — C.",
    ],
    "in nested boxes": [
        "\\boxed{\\text{\\textbf{C}}}", "\\boxed{\\textrm{C}}", "\\boxed{\\rm C}", "$\\boxed{\\mathbf{\\text{(C)}}}$",
        "\\boxed{\\textbf{C. } \\text{Paris}}",
    ],
}  # fmt: skip


@pytest.mark.parametrize("answer", [answer for answers in UNDECIDED.values() for answer in answers])
def test_what_is_only_discussed_is_no_answer(answer: str) -> None:
    assert choice_index(answer, CITIES, lettered=True) is None


@pytest.mark.parametrize("answer", [answer for answers in PARIS.values() for answer in answers])
def test_what_is_offered_is_the_answer(answer: str) -> None:
    assert choice_index(answer, CITIES, lettered=True) == 2


@pytest.mark.parametrize("answer", ["A. Rome", "A) Rome", "A: Rome", "A. Rome.", "A. Rome\n\nRome is the", "A, Rome."])
def test_a_label_with_its_text_is_the_answer(answer: str) -> None:
    assert choice_index(answer, CITIES, lettered=True) == 0


def test_a_corrected_box_is_taken_back_behind_much_markup() -> None:
    options = "**Option A:** *Rome* is in **Italy**. **Option B:** *Oslo* is in **Norway**. **Option D:** *Bern*. " * 3
    plain = " This is because the city on the Seine has been the seat of the French government for centuries." * 6
    assert choice_index(f"{options}$\\boxed{{B}}$. No: the answer is C.{plain}", CITIES, lettered=True) == 2


FRUIT = ["apple", "pear", "plum"]
ORIGINS = ["Natural selection", "Genetic drift", "Mutation"]
GENOTYPES = ["TT", "Tt", "tt"]
WATTS = ["MW", "mW", "kW", "W"]
NUMBERS = ["10", "20", "30", "40"]
COLOURS = ["red", "green", "blue", "cyan", "pink", "gray", "gold", "teal", "navy", "lime"]
TITLES = ["Whale", "Shark", "A Midsummer Night's Dream", "C.S. Lewis"]
KINDS: list[tuple[list[str], int | None, list[str]]] = [
    (FRUIT, 1, ["A pear.", "a pear", "A pear, because it is green.", "The answer is a pear."]),
    (FRUIT, None, ["A) pear", "(A) pear", "A. pear", "a) pear", "A good question! Let me think", "The answer is a"]),
    (TITLES, 2, ["A Midsummer Night's Dream!", "**A Midsummer Night's Dream**"]),
    (TITLES, 2, ["A Midsummer Night's Dream is by Shakespeare."]),
    (TITLES, 3, ["C. S. Lewis", "C.S. Lewis"]),
    (ORIGINS, 2, ["It is caused by mutation.", "This process is called mutation."]),
    (ORIGINS, 2, ["Mutation is the source of variation."]),
    (ORIGINS, None, ["Mutation is a change in DNA, but the question asks", "Mutation is a change in"]),
    (["increase", "decrease", "no change"], 0, ["It will increase.", "It would increase, not decrease."]),
    (["increase", "decrease", "no change"], 2, ["There is no change.", "No change."]),
    (["increase", "decrease", "no change"], None, ["It will not increase.", "It will increase or decrease."]),
    (["yes", "no"], 1, ["No, it does not", "No - it isn't", "The passage says no."]),
    (["yes", "no"], None, ["There is no", "Let's see. There's no", "There is no information"]),
    (NUMBERS, 1, ["The answer is 20 km.", "20 km", "The speed is 20 km/h.", "The total is 20 apples."]),
    (NUMBERS, 1, ["20 meters per second", "So the answer is 20 apples."]),
    (NUMBERS, None, ["20 million", "20 or more", "20 minus 5", "-20 km", "20/3 km", "20 and a half",
                     "20 thousand people", "x = 20 - 5 = 15", "multiply by 20"]),
    (["20 km", "20 m", "20 miles"], 0, ["20 km", "The answer is 20 km."]),
    (["20 km", "20 m", "20 miles"], None, ["The answer is 20 feet.", "20 feet"]),
    *((GENOTYPES, index, [text, f"The answer is {text}.", f"The genotype is {text}.", f"**{text}**",
        f"\\boxed{{{text}}}"])
      for index, text in enumerate(GENOTYPES)),
    (GENOTYPES, None, ["A) tt", "B) TT"]),
    *((WATTS, index, [f"The answer is {text}.", f"The unit is {text}."]) for index, text in enumerate(WATTS[:3])),
    (["Iron", "Gold", "Tin"], 0, ["Iron because gold is soft.", "So, Iron", "Iron, since tin is soft."]),
    (WATTS, 2, ["The answer is kw."]),
    (WATTS, None, ["The answer is mw."]),
    (COLOURS, 8, ["I", "(I)", "I.", "**I**", "I) navy", "I. navy", "The answer is I.", "Answer: I", "\\boxed{I}",
                  "I: navy", "I is correct.", "Option I"]),
    (COLOURS, None, ["I, as an AI, cannot decide.", "I, however, am not sure.", "I for one can't tell.", "Sorry, I",
                     "So I", "Therefore, I", "I was right.", "I - well", "I not sure", "I think, therefore I",
                     "Hmm. I"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("choices", "index", "answer"), [(kind[0], kind[1], answer) for kind in KINDS for answer in kind[2]]
)
def test_texts_numbers_and_the_letter_i(choices: list[str], index: int | None, answer: str) -> None:
    assert choice_index(answer, choices, lettered=True) == index


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    ["option C ", "(C) is it? ", "答案 ", "选 ", "first, ", "look at ", "look at option ", "Paris is ", "\\boxed{C} ",
     "= 2", "\\text{", "The answer is ", "20 km ", "A) ", "I, "],
)  # fmt: skip
def test_long_answers_take_no_time(piece: str) -> None:
    start = time.perf_counter()
    choice_index((piece * 5000)[:5000], CITIES, lettered=True)
    choice_index((piece * 5000)[:5000], NUMBERS, lettered=True)
    assert time.perf_counter() - start < 5
