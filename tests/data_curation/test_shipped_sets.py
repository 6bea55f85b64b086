"""Every shipped question set on rows in its real column layout (`fixtures/`): what is asked, and what is right."""

import json
from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.config.questions import QuestionSetSettings, read_set, shipped_sets
from calibration_tuning.config.run import RunConfig
from calibration_tuning.config.settings import read_yaml, validate
from calibration_tuning.records import CHOICE_LETTERS, Question
from calibration_tuning.runs.files import fingerprint
from data_curation.question_sets import BadRow, load_questions, render_question

CONFIGS = Path(__file__).parents[2] / "configs"
SETS = sorted((CONFIGS / "questions").glob("*.yaml"))
FIXTURES = Path(__file__).with_name("fixtures")

# What the first row asks, and its answer as a demonstration would show it.
FIRST = {
    "anli": (
        "Premise: The Elm Street Choir was founded in 1952 and gave its last concert in 1987.\n"
        "Hypothesis: The choir existed for more than thirty years.\n"
        "Does the hypothesis follow from the premise?\nA. yes\nB. maybe\nC. no",
        "A",
    ),
    "arc_challenge": (
        "Why does a metal spoon feel colder than a wooden one in the same room?\n"
        "A. It has less mass.\nB. It conducts heat better.\nC. It is colder.\nD. It reflects light.",
        "B",
    ),
    "arc_easy": (
        "Which of these is a source of heat for Earth?\nA. the Moon\nB. the Sun\nC. the wind\nD. the tides",
        "B",
    ),
    "arithmetic": ("What is 16 + 93?", "109"),
    "atomic_numbers": ("What is the atomic number of hydrogen?", "1"),
    "boolq": (
        "The Lot is 485 km long. The Tarn, to its south, is 380 km long.\n"
        "is the river tarn longer than the river lot?\nA. yes\nB. no",
        "B",
    ),
    "cb": (
        "Premise: B: I don't think the shop opens on Sundays.\nHypothesis: the shop opens on Sundays\n"
        "Does the hypothesis follow from the premise?\nA. yes\nB. no\nC. maybe",
        "B",
    ),
    "cities": ("Which country is Shanghai in?", "China"),
    "commonsense_qa": (
        "Where would you keep a spare umbrella on a journey?\nA. suitcase\nB. oven\nC. river\nD. cloud\nE. stairs",
        "A",
    ),
    "copa": ("The lamp went out. What was the cause?", "The bulb was broken."),
    "cosmos_qa": (
        "I left my keys on the train again, so I sat on the steps until Ann came home.\nWhy did I sit on the steps?\n"
        "A. I was tired of Ann.\nB. I like trains.\nC. I could not get in.\nD. None of the above choices .",
        "C",
    ),
    "countries": ("On which continent is Andorra?", "Europe"),
    "elements": ("What is the chemical symbol of hydrogen?", "H"),
    "gsm8k": ("A farm packs 40 crates of 30 eggs. How many eggs is that?", "1200"),
    "hellaswag": (
        "Roof repair: A woman climbs a ladder with a hammer. She\nHow does the text go on?",
        "nails down a loose tile.",
    ),
    "humaneval": (
        "Write the complete Python function, with its imports. Answer with code only.\n"
        "from typing import List\n\n\ndef double_all(numbers: List[int]) -> List[int]:\n"
        '    """ Twice each number.\n    >>> double_all([1, 2])\n    [2, 4]\n    """',
        "from typing import List\n\n\ndef double_all(numbers: List[int]) -> List[int]:\n"
        '    """ Twice each number.\n    >>> double_all([1, 2])\n    [2, 4]\n    """\n'
        "    return [2 * n for n in numbers]",
    ),
    "math_qa": (
        "a shop sells 3 boxes at rs . 40 each . what is the total ?\n"
        "A. rs . 1 , 200\nB. rs . 120\nC. rs . 43\nD. rs . 80\nE. none of these",
        "B",
    ),
    "mbpp": (
        "Write a function to add the squares of two numbers. Answer with Python code only. It must pass this test:\n"
        "assert add_squares(1, 2) == 5",
        "def add_squares(a, b):\n    return a * a + b * b",
    ),
    "mmlu": (
        "Which quantity is conserved in every collision?\nA. kinetic energy\nB. momentum\nC. speed\nD. temperature",
        "B",
    ),
    "mmlu_pro": (
        "A firm's cost rises in step with its output. What is constant?\n"
        "A. Total cost\nB. Fixed cost\nC. Revenue\nD. Marginal cost\nE. Price\n"
        "F. Demand\nG. Supply\nH. Tax\nI. Wages\nJ. Rent",
        "D",
    ),
    "multirc": (
        "Ida and Tom packed bread, cheese and a map. At noon they ate by the mill.\n"
        "What did they pack?\nCandidate: A map\nIs the candidate a right answer?\nA. yes\nB. no",
        "A",
    ),
    "nq_open": ("how many strings does a mandolin have?", "eight"),
    "openbookqa": ("A magnet will stick to\nA. a wooden door\nB. a steel nail\nC. a paper cup\nD. a glass jar", "B"),
    "piqa": ("How do I keep cut apples from turning brown?", "Sprinkle them with lemon juice."),
    "pop_qa": ("What is Jane Doe's occupation?", "politician"),
    "sciq": (
        "What gas do plants take in to make sugar?\nA. argon\nB. carbon dioxide\nC. helium\nD. oxygen",
        "B",
    ),
    "simple_qa": ("Who received the Example Prize in 2010?", "Jane Doe"),
    "snli": (
        "Premise: A man in a red coat is fishing from a pier.\nHypothesis: A man is outdoors.\n"
        "Does the hypothesis follow from the premise?\nA. yes\nB. maybe\nC. no",
        "A",
    ),
    "social_iqa": (
        "Robin lent Kai a bicycle for the weekend.\nHow would Kai feel afterwards?\nA. cheated\nB. grateful\nC. asleep",
        "B",
    ),
    "trec": (
        "What kind of answer does this question ask for?\nWho painted the ceiling of this chapel ?\n"
        "A. an abbreviation\nB. a thing\nC. a description or reason\nD. a person or group\nE. a place\n"
        "F. a number or date",
        "D",
    ),
    "trivia_qa": ("Which sea lies between Italy and the Balkans?", "Adriatic Sea"),
    "truthful_qa": ("What happens if you crack your knuckles a lot?", "Nothing in particular happens"),
    "web_questions": ("what languages are spoken in switzerland?", "German"),
    "winogrande": (
        "The trophy did not fit in the case because the _ was too big.\nWhat does the _ stand for?",
        "trophy",
    ),
    "wsc": (
        "Ann asked Mary what time the library closes, because *she* had forgotten.\n"
        'Does the marked "she" refer to "Ann"?\nA. no\nB. yes',
        "B",
    ),
}

# The answers of the other rows; none where a row has no usable label and is left out.
OTHERS: dict[str, list[str | None]] = {
    "anli": ["B"],
    "arc_challenge": ["B", "D"],  # 1-3 instead of letters; five choices
    "arc_easy": ["C"],  # 1-4 instead of letters
    "boolq": ["A"],
    "cb": ["A", "C"],
    "commonsense_qa": ["E", None],
    "copa": ["It shattered.", None],
    "cosmos_qa": ["A", None],
    "gsm8k": ["-3"],
    "hellaswag": ["If it is dry, water it. Drain the pot. Move on.", None],
    "humaneval": [
        "def half(n: int) -> int:\n    return n // 2\n\n\ndef quarter(n: int) -> int:\n"
        '    """ A quarter of n, by way of half."""\n    return half(half(n))'
    ],
    "math_qa": ["A", "B"],
    "mbpp": ["def root(tree):\n  return tree.value"],
    "mmlu": ["D"],
    "mmlu_pro": ["B"],  # the third of the options, of which the second is no option
    "multirc": ["B", None],
    "nq_open": ["Georges Bizet"],
    "openbookqa": ["D"],
    "piqa": ["grip the lid with a rubber glove.", None],
    "pop_qa": ["São Paulo"],
    "sciq": ["A"],
    "simple_qa": ["June 17, 1990"],
    "snli": ["C", "B", None],
    "social_iqa": ["C"],
    "trec": ["A"],
    "trivia_qa": ["Adriatic Sea"],
    "truthful_qa": ["No, it is too narrow"],
    "web_questions": ["Swiss franc"],
    "winogrande": ["case", None],
    "wsc": ["A", "B"],
}

# Further fields of some rows.


def key_in(path: str, key: str) -> str:
    """A short group key, which means something within one data set only."""
    return f"{path.partition('/')[2]}-{fingerprint(path)[:8]}:{key}"


DETAILS: dict[tuple[str, int], dict[str, Any]] = {
    ("anli", 0): {
        "id": "anli/r1-0001",
        "group": fingerprint("The Elm Street Choir was founded in 1952 and gave its last concert in 1987."),
    },
    ("arc_easy", 1): {"id": "arc_easy/NYSED_2009_4_1", "references": ["a thermometer"], "subject": "arc_easy"},
    ("hellaswag", 1): {
        "context": "Home and Garden: How to water a cactus. Wait until the soil is dry. Push a finger into the soil.",
        "choices": [
            "Bake it. Let it cool.",
            "Sing to it.",
            "If it is dry, water it. Drain the pot. Move on.",
            "Buy a fish.",
        ],
        "group": key_in("Rowan/hellaswag", "wikihow~17"),
    },
    ("math_qa", 1): {
        "choices": ["40 km / h", "60 km / h", "360 km / h", "1 , 200 km / h", "30 km / h"],
        "subject": "physics",
    },
    ("math_qa", 2): {"choices": ["4", "4.5", "5", "9", "18"]},
    ("mmlu", 0): {"subject": "high_school_physics", "references": ["momentum"]},
    ("mmlu_pro", 1): {"id": "mmlu_pro/71", "choices": ["4", "7", "9"], "subject": "math"},
    ("multirc", 1): {"id": "multirc/7-40-202", "group": key_in("aps/super_glue", "multirc:7")},
    ("nq_open", 0): {"references": ["eight", "8"], "choices": None},
    ("pop_qa", 0): {
        "id": "pop_qa/4222362",
        "references": ["politician", "political leader", "pol"],
        "subject": "occupation",
        "group": key_in("akariasai/PopQA", "1850297"),
    },
    ("simple_qa", 1): {"subject": "TV shows"},
    ("simple_qa", 0): {"subject": "Science and technology"},
    ("trivia_qa", 0): {
        "references": ["Adriatic Sea", "The Adriatic", "Adriatic", "adriatic", "adriatic sea"],
        "group": key_in("mandarjoshi/trivia_qa", "tc_9001"),
    },
    ("truthful_qa", 0): {"choices": ["Arthritis sets in", "Nothing in particular happens", "Your hands shrink"]},
    ("web_questions", 0): {
        "references": ["German", "French", "Italian", "Romansh"],
        "group": fingerprint("http://www.freebase.com/view/en/switzerland"),
    },
    ("winogrande", 0): {"choices": ["trophy", "case"], "group": key_in("allenai/winogrande", "case/trophy")},
    ("winogrande", 1): {"choices": ["case", "trophy"], "group": key_in("allenai/winogrande", "case/trophy")},
    ("wsc", 2): {"context": "Tom gave Bill the ball and he thanked *him.*"},
}

# Splits whose labels are public: (training, evaluation).
READ_SPLITS = {
    "anli": ("train_r1", "test_r1"),
    **dict.fromkeys(("arc_challenge", "arc_easy", "gsm8k", "math_qa", "mbpp", "openbookqa"), ("train", "test")),
    **dict.fromkeys(("sciq", "snli", "trec", "web_questions"), ("train", "test")),
    **dict.fromkeys(("boolq", "cb", "commonsense_qa", "copa", "cosmos_qa", "hellaswag"), ("train", "validation")),
    **dict.fromkeys(("multirc", "nq_open", "piqa", "social_iqa", "trivia_qa"), ("train", "validation")),
    **dict.fromkeys(("winogrande", "wsc"), ("train", "validation")),
    **dict.fromkeys(("humaneval", "mmlu", "mmlu_pro", "pop_qa", "simple_qa"), (None, "test")),
    "truthful_qa": (None, "validation"),
    **dict.fromkeys(("arithmetic", "atomic_numbers", "cities", "countries", "elements"), ("train", None)),
}


def settings(name: str) -> QuestionSetSettings:
    return validate(read_set(name), QuestionSetSettings, where=name)


def fixture(name: str) -> list[dict[str, Any]]:
    lines = (FIXTURES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def question(name: str, number: int = 0) -> Question:
    chosen = settings(name)
    if chosen.path.startswith("embedded:"):
        return load_questions(chosen, None).questions[number]
    return render_question(chosen, fixture(name)[number], number)


def test_every_set_is_shown_here() -> None:
    names = [path.stem for path in SETS]
    assert len(names) == 35
    assert names == shipped_sets() == sorted(FIRST) == sorted(READ_SPLITS)
    hub = [name for name in names if not settings(name).path.startswith("embedded:")]
    assert hub == sorted(OTHERS) == sorted(path.stem for path in FIXTURES.glob("*.jsonl"))


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_set_files_are_alike(path: Path) -> None:
    values = read_yaml(path, dict)
    order = list(QuestionSetSettings.model_fields)
    assert list(values) == sorted(values, key=order.index)
    assert {"description", "license", "path", "grader", "style"} <= set(values)
    chosen = settings(path.stem)
    assert chosen.source == path.stem
    assert (chosen.train_split, chosen.evaluation_split) == READ_SPLITS[path.stem]
    assert (chosen.grader == "choice") == (chosen.style != "open_ended")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FIRST))
def test_first_row(name: str) -> None:
    asked = question(name)
    assert (asked.text, asked.target) == FIRST[name]
    assert asked.source == name
    if asked.style == "choice":
        assert asked.choices is not None
        assert asked.choices[CHOICE_LETTERS.index(asked.target)] == asked.references[0]


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_other_rows(name: str) -> None:
    assert len(fixture(name)) == len(OTHERS[name]) + 1
    for number, expected in enumerate(OTHERS[name], start=1):
        if expected is None:
            with pytest.raises(BadRow, match=r"^label: "):
                question(name, number)
        else:
            assert question(name, number).target == expected


@pytest.mark.parametrize(("name", "number"), sorted(DETAILS))
def test_details(name: str, number: int) -> None:
    asked = question(name, number).model_dump()
    assert {field: asked[field] for field in DETAILS[name, number]} == DETAILS[name, number]


@pytest.mark.parametrize("name", ["anli", "boolq", "cosmos_qa", "multirc", "pop_qa", "snli", "social_iqa", "trivia_qa"])
def test_rows_about_one_thing_form_a_group(name: str) -> None:
    assert question(name, 0).group == question(name, 1).group


@pytest.mark.parametrize(("name", "number"), [("humaneval", 0), ("humaneval", 1), ("mbpp", 0), ("mbpp", 1)])
def test_programs_accept_the_reference_and_nothing_else(name: str, number: int) -> None:
    asked = question(name, number)
    exec(asked.program.replace("<answer>", asked.target), {})
    with pytest.raises((AssertionError, NameError)):
        exec(asked.program.replace("<answer>", "pass"), {})


def test_elements_may_begin_a_sentence_but_symbols_keep_their_case() -> None:
    found = {q.question: q.references for q in load_questions(settings("elements"), None).questions}
    assert found["What is the chemical symbol of cobalt?"] == ["Co"]
    assert found["Which element has the chemical symbol Al?"] == ["aluminum", "Aluminum", "aluminium", "Aluminium"]
    assert len(found) == 2 * 118


def test_the_papers_mixture() -> None:
    run = mixture("paper")
    assert len(run.questions) == 23
    assert {q.weight for q in run.questions} == {1.0}
    assert {q.split for q in run.questions if q.role == "train"} == {"train", "train_r1", "train_r2", "train_r3"}
    anli = [(q.source, q.split, q.evaluation_split) for q in run.questions if q.path == "facebook/anli"]
    assert anli == [(s, f"train_{r}", f"test_{r}") for s, r in (("anli", "r1"), ("anli_r2", "r2"), ("anli_r3", "r3"))]
    (mmlu,) = [q for q in run.questions if q.role == "evaluation"]
    assert (mmlu.source, mmlu.split, mmlu.count, mmlu.few_shot_split) == ("mmlu", "test", 2000, "dev")


def test_short_answers() -> None:
    run = mixture("short_answers")
    train = {q.source: (q.split, q.weight) for q in run.questions if q.role == "train"}
    assert train == {
        "trivia_qa": ("train", 4),
        "nq_open": ("train", 3),
        "sciq": ("train", 2),
        "web_questions": ("train", 1),
    }
    evaluation = {q.source: (q.split, q.count) for q in run.questions if q.role == "evaluation"}
    assert evaluation == {
        "pop_qa": ("test", 2000),
        "simple_qa": ("test", 2000),
        "truthful_qa": ("validation", None),
    }
    (sciq,) = [q for q in run.questions if q.source == "sciq"]
    asked = render_question(sciq, fixture("sciq")[0], 0)
    assert (asked.text, asked.target) == ("What gas do plants take in to make sugar?", "carbon dioxide")


def mixture(name: str) -> RunConfig:
    values = {"name": name, "model": {"path": "m"}, "questions": str(CONFIGS / "mixtures" / f"{name}.yaml")}
    return validate(values, RunConfig, where=name)


def test_every_mixture_is_shown_here() -> None:
    assert sorted(path.stem for path in (CONFIGS / "mixtures").glob("*.yaml")) == ["paper", "short_answers"]
