"""python -m benchmarks graders: false accepts and false rejects of every grader, on real questions.

Answers of known grade are made from question files: the gold answer as it stands and as language models write it (must
be right), and the wrong choices, other numbers, half-answers and misspellings of other words (must be wrong). A file is
gzipped JSON lines of question, choices (or null), answer and subject; code is taken from humaneval*.jsonl.gz.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from calibration_tuning.config.questions import Style
from calibration_tuning.grading.code_sandbox import run_program
from calibration_tuning.grading.graders import grade
from calibration_tuning.records import CHOICE_LETTERS, Question

Row = dict[str, Any]
Case = tuple[str, str, Question, str, bool]
"""Grader, what is tried, the question, an answer, whether it is right."""
SHORT = 60
"""Characters of the longest gold answer that counts as a short one."""

LETTER_FORMS = (
    "{letter}", "{letter}.", "({letter})", "**{letter}**", "[[{letter}]]", "{letter}. {text}",
    "The answer is {letter}.",
    "The answer is ({letter}) {text}.", "\\boxed{{{letter}}}", "Option {letter} is correct.", "{letter} is correct.",
    "The answer is {text}.", "{text}", "Option {other} is wrong. The answer is {letter}.", "Answer: {letter}",
    "The answer is {other}? No, the answer is {letter}.", "It is not {other}. I choose {letter}.",
)  # fmt: skip
UNDECIDED_FORMS = ("{letter} or {other}", "Both {letter} and {other}", "The answer is {letter} or {other}.")
NUMBER_FORMS = (
    "{n}",
    "{n:,}",
    "{n}.0",
    "The answer is {n}.",
    "${n:,}",
    "{n} apples",
    "\\boxed{{{n}}}",
    "**{n}**",
    "#### {n}",
)
OTHER_NUMBER_FORMS = (
    "{n}/7",
    "{n}-{m}",
    "{n} million",
    "{m}",
    "-{n}",
    "{n}, {m}, {m}",
    "{n}.5",
    "{n}²",
    "between {n} and {m}",
)
LIST_FORMS = ("{0}, {1}, {2}", "{0}, {1} and {2}", "{2} & {0} & {1}", "- {0}\n- {1}\n- {2}", "1. {0}\n2. {1}\n3. {2}",
              "The answers are: {0}, {1}, {2}.", "{0}; {1}; {2}", "{0}、{1}、{2}")  # fmt: skip
CODE_FORMS = (
    "{code}", "```python\n{code}\n```", "~~~python\n{code}\n~~~", "```bash\npip install x\n```\n```python\n{code}\n```",
    "```python\n{code}\n\nif __name__ == '__main__':\n    import sys\n    sys.exit(0)\n```",
    "A draft:\n```python\n{draft}\n```\nFixed:\n```python\n{code}\n```", "Here is the code:\n\n{code}\n\nIt works.",
)  # fmt: skip

TESTS = """<answer>

import doctest
examples = doctest.DocTestParser().get_doctest({examples!r}, globals(), "examples", None, 0)
assert doctest.DocTestRunner(verbose=False).run(examples).failed == 0
"""


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of *.jsonl.gz question files.")],
    sample: Annotated[int, typer.Option(help="Questions of each file that choices and numbers are tried on.")] = 500,
    programs: Annotated[int, typer.Option(help="Code questions that are run.")] = 20,
    seed: int = 0,
) -> None:
    files = {path.name.removesuffix(".jsonl.gz"): read(path) for path in sorted(folder.glob("*.jsonl.gz"))}
    counts: dict[tuple[str, str], list[int]] = {}
    started = time.perf_counter()
    graded = 0
    for grader, tried, question, answer, right in cases(files, sample, programs, seed):
        count = counts.setdefault((grader, tried), [0, 0, 0, 0])
        value = grade(question, answer)
        count[0 if right else 2] += 1
        count[1 if right else 3] += (value < 1) if right else (value == 1)
        graded += 1
    print(
        "| grader | what is tried | right answers | false rejects | wrong answers | false accepts |\n"
        "|---|---|---|---|---|---|"
    )
    for (grader, tried), (right_n, rejects, wrong_n, accepts) in counts.items():
        print(f"| {grader} | {tried} | {share(right_n, rejects)} | {share(wrong_n, accepts)} |")
    seconds = time.perf_counter() - started
    print(f"\n{graded:,} answers to the questions of {len(files)} files in {seconds:.0f} s, seed {seed}.")


def share(count: int, errors: int) -> str:
    return f"{count:,} | {errors:,} ({100 * errors / count:.2f}%)" if count else " | "


def read(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def cases(files: dict[str, list[Row]], sample: int, programs: int, seed: int) -> Iterator[Case]:
    draw = random.Random(seed)
    for name, rows in files.items():
        if name.startswith("humaneval"):
            yield from code_cases(rows, programs)
        if rows[0]["subject"] == "code":
            continue
        yield from gold_cases(rows)
        drawn = draw.sample(rows, min(sample, len(rows)))
        yield from choice_cases([row for row in drawn if row["choices"]], draw)
        yield from number_cases(drawn)
        yield from misspelling_cases(drawn, draw)
        yield from list_cases(drawn)


def question(grader: str, *references: str, choices: list[str] | None = None, program: str | None = None) -> Question:
    style: Style = "choice" if grader == "choice" else "open_ended"
    return Question(
        id="q", source="s", subject="s", group="g", question="?", references=list(references), grader=grader,
        choices=choices, style=style, program=program,
    )  # fmt: skip


def gold_cases(rows: Iterable[Row]) -> Iterator[Case]:
    """Short gold answers as they stand, and all wrong choices."""
    for row in rows:
        gold = row["answer"]
        for grader in ("exact", "case_sensitive", "fuzzy", "set"):
            asked = question(grader, gold)
            if len(gold) <= SHORT:
                yield grader, "gold as it stands", asked, gold, True
            if grader in ("exact", "fuzzy"):
                for wrong in row["choices"] or ():
                    if wrong != gold:
                        yield grader, "wrong choices", asked, wrong, False


def choice_cases(rows: Iterable[Row], draw: random.Random) -> Iterator[Case]:
    for row in rows:
        choices, gold = row["choices"], row["answer"]
        if len(set(choices)) < len(choices) or gold not in choices:
            continue
        right = choices.index(gold)
        wrong = draw.choice([i for i in range(len(choices)) if i != right])
        for given, other in ((right, wrong), (wrong, right)):
            fields = {"letter": CHOICE_LETTERS[given], "other": CHOICE_LETTERS[other], "text": choices[given]}
            asked = question("choice", gold, choices=choices)
            for form in LETTER_FORMS:
                yield "choice", "letter and text in 17 forms", asked, form.format(**fields), given == right
            for form in UNDECIDED_FORMS:
                yield "choice", "two choices, undecided", asked, form.format(**fields), False


def number_cases(rows: Iterable[Row]) -> Iterator[Case]:
    for row in rows:
        gold = row["answer"].replace(",", "")
        if not gold.isdecimal() or len(gold) > 9 or row["choices"] or int(gold) < 2:
            continue
        n, m = int(gold), int(gold) + 3
        for grader in ("numeric", "math"):
            for form in NUMBER_FORMS:
                yield grader, "number in 9 forms", question(grader, gold), form.format(n=n), True
            for form in OTHER_NUMBER_FORMS:
                yield grader, "another number, ranges, lists", question(grader, gold), form.format(n=n, m=m), False
        two = question("math", f"{n} and {m}")
        yield "math", "two parts", two, f"{m} and {n}", True
        yield "math", "two parts", two, f"{m}", False
        yield "math", "a corrected box", question("math", gold), f"\\boxed{{{m}}}. No: \\boxed{{{n}}}", True
        yield "math", "a corrected box", question("math", gold), f"\\boxed{{{n}}}. No: \\boxed{{{m}}}", False


def misspelling_cases(rows: Iterable[Row], draw: random.Random) -> Iterator[Case]:
    """One slip in one long word of the gold answer: recall of `fuzzy`."""
    for row in rows:
        words = row["answer"].split()
        long = [i for i, word in enumerate(words) if len(word) >= 8 and word.isalpha() and word.isascii()]
        if not long or len(row["answer"]) > SHORT:
            continue
        place = draw.choice(long)
        for kind, word in slips(words[place], draw).items():
            misspelt = " ".join([*words[:place], word, *words[place + 1 :]])
            yield "fuzzy", f"misspelt: {kind}", question("fuzzy", row["answer"]), misspelt, True


def slips(word: str, draw: random.Random) -> dict[str, str]:
    """The word with one mistake of each kind that it offers, not in its first or last letters."""
    inner = range(2, len(word) - 3)
    double = [i for i in range(1, len(word) - 1) if word[i] == word[i + 1]]
    swap = [i for i in inner if word[i] != word[i + 1]]
    vowel = [i for i in range(3, len(word) - 4) if word[i] in "aeiou"]
    misspelt = {}
    if double:
        i = draw.choice(double)
        misspelt["a doubled letter once"] = word[:i] + word[i + 1 :]
    if swap:
        i = draw.choice(swap)
        misspelt["two letters changed round"] = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        i = draw.choice(swap)
        misspelt["a letter twice"] = word[: i + 1] + word[i:]
        misspelt["a letter left out"] = word[:i] + word[i + 1 :]
        misspelt["any other letter"] = (
            word[:i] + draw.choice([c for c in "abcdefghijklmnoprstuvwxyz" if c != word[i]]) + word[i + 1 :]
        )
    if vowel:
        i = draw.choice(vowel)
        misspelt["another vowel"] = word[:i] + draw.choice([c for c in "aeiou" if c != word[i]]) + word[i + 1 :]
    return misspelt


def list_cases(rows: Iterable[Row]) -> Iterator[Case]:
    """Gold answers of three questions as one set. No file has sets; answers that hold a separator are left out."""
    answers = [row["answer"] for row in rows if len(row["answer"]) <= SHORT]
    plain = [answer for answer in dict.fromkeys(answers) if all(c.isalnum() or c in " '-" for c in answer)]
    plain = [a for a in plain if " and " not in a.lower() and a.lower() not in ("a", "the", "and", "yes", "no")]
    for start in range(0, len(plain) - 3, 4):
        three, other = plain[start : start + 3], plain[start + 3]
        if len({answer.lower() for answer in (*three, other)}) < 4:
            continue
        asked = question("set", *three)
        for form in LIST_FORMS:
            yield "set", "three answers in 8 forms", asked, form.format(*three), True
        yield "set", "one of three is another", asked, ", ".join([*three[:2], other]), False


def code_cases(rows: Iterable[Row], count: int) -> Iterator[Case]:
    """Completions of HumanEval's prompts, tested by the examples of their docstrings."""
    for row in rows:
        prompt, code = row["question"], f"{row['question']}{row['answer']}"
        names = [line.split("def ")[1].split("(")[0] for line in prompt.splitlines() if line.startswith("def ")]
        program = TESTS.format(examples=prompt)
        if ">>>" not in prompt or count == 0 or run_program(program.replace("<answer>", code)).verdict != "passed":
            continue
        count -= 1
        asked = question("code", "x", program=program)
        draft = code.replace("def ", "def (", 1)
        for form in CODE_FORMS:
            yield "code", "gold program in 7 forms", asked, form.format(code=code, draft=draft), True
        stub = "\n".join(f"def {name}(*a, **k):\n    return None" for name in names)
        yield "code", "a program that does nothing", asked, f"```python\n{stub}\n```", False


if __name__ == "__main__":
    typer.run(main)
