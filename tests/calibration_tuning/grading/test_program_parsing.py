"""Programs as models wrap them: in chats, shells, quotes and fences."""

from __future__ import annotations

import sys

import pytest

from calibration_tuning.grading.graders import grade
from calibration_tuning.grading.program_parsing import program_code, program_with
from calibration_tuning.records import Question

WHOLE = "<answer>\n\nassert double(4) == 8\n"
BODY = 'def double(x):\n    """Doubles x."""\n<answer>\n\nassert double(4) == 8\n'
RIGHT, WRONG = "def double(x):\n    return 2*x", "def double(x):\n    return x"
SHELL = ">>> def double(x):\n...     return 2*x\n...\n>>> double(4)\n8"


def fenced(*blocks: str) -> str:
    return "\nand\n".join(f"```python\n{block}\n```" for block in blocks)


KINDS: dict[str, list[tuple[str, int]]] = {
    "helpers in other blocks": [
        (fenced("def double(x):\n    return helper(x)", "def helper(x):\n    return 2*x"), 1),
        (fenced("def double(x):\n    return a(x)", "def a(x):\n    return b(x)", "def b(x):\n    return 2*x"), 1),
        (fenced("def double(x):\n    return int(np.multiply(2, x))", "import numpy as np"), 1),
        (fenced("def double(x):\n    return helper(x)", "def helper(x):\n    return x"), 0),
        (fenced("def double(x):\n    return n*2", "n = 4\nprint(double(n))"), 0),  # a use, no part of the program
        (fenced(RIGHT, WRONG), 0), (fenced(RIGHT, "x = double(3)"), 1),
        (f"{RIGHT}\n\nUsage:\n{fenced('print(double(2))')}", 1),
    ],
    "indented as a whole": [
        ("    def double(x):\n        return 2*x", 1), (fenced("    def double(x):\n        return 2*x"), 1),
        ("Here it is:\n\n    def double(x):\n        return 2*x\n\nIt doubles.", 1),
        ("    def double(x):\n        return x", 0),
    ],
    "from a shell": [
        (SHELL, 1), (fenced(SHELL), 1), (f"```pycon\n{SHELL}\n```", 1), (f"In the shell:\n{SHELL}", 1),
        (f">>> {RIGHT}", 1),
        (SHELL.replace("2*x", "x"), 0), (">>> double(4)\n8", 0),
    ],
    "invisible characters": [
        (f"\ufeff{RIGHT}", 1), (f"\u200b{RIGHT}", 1), (f"\ufeff{fenced(RIGHT)}", 1), (RIGHT.replace(" ", "\u00a0"), 1),
        (fenced(RIGHT.replace("    ", "\u3000")), 1), (f"\ufeff{WRONG}", 0),
    ],
    "tags and stray fences": [
        (f"{RIGHT}\n```\nThis works.", 1), (f"{RIGHT}\n```", 1), (f"[PYTHON]\n{RIGHT}\n[/PYTHON]", 1),
        (f"python\n{RIGHT}", 1),
        (f"```\npython\n{RIGHT}\n```", 1), (f"{WRONG}\n```\nThis works.", 0), (f"[PYTHON]\n{WRONG}\n[/PYTHON]", 0),
        ("python", 0), ("def double(x):\n```\nreturn 2*x\n```", 0), ("`double = lambda x: 2*x`", 1),
    ],
    "quoted": [
        ("> " + RIGHT.replace("\n", "\n> "), 1),
        ("Sure:\n\n> ```python\n> def double(x):\n>     return 2*x\n> ```\nDone.", 1),
        ("> " + WRONG.replace("\n", "\n> "), 0),
    ],
}  # fmt: skip

BODIES = [
    ("    return 2*x", 1), ("```python\n    return 2*x\n```", 1),
    ("    y = 2*x\n    if y:\n        return y\n    return 0", 1),
    ("\u00a0\u00a0\u00a0\u00a0return 2*x", 1), ("    return 2*x\n```\nDone.", 1), ("    return x", 0),
    ("return 2*x", 0),
]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="programs run on Linux only")
@pytest.mark.parametrize(
    ("program", "answer", "correct"),
    [*((WHOLE, *case) for cases in KINDS.values() for case in cases), *((BODY, *case) for case in BODIES)],
)
def test_kinds_of_wrapping(program: str, answer: str, correct: float) -> None:
    asked = Question(
        id="q", source="s", subject="s", group="g", question="?", references=["x"], grader="code", program=program,
        style="open_ended",
    )  # fmt: skip
    assert grade(asked, answer) == correct


@pytest.mark.parametrize("body", ["    return 1\n", "    if x:\n        return 1\n    return 2\n"])
def test_the_body_of_a_function_keeps_its_indentation(body: str) -> None:
    assert program_code(body) == body
    assert program_with("def f(x):\n<answer>", body) == f"def f(x):\n{body}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", [" ", "a", "`", "```\n", "> \n", ">>> \n", "word word\n", "    x\n", "def f(:\n", "(\n"]
)
def test_long_answers_without_a_program_end(piece: str) -> None:
    program_with(WHOLE, (piece * 5000)[:5000])
