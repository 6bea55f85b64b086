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

KINDS["a use that is no definition"] = [
    (fenced(RIGHT, "from solution import double\n\nassert double(2) == 4"), 1), (fenced(RIGHT, "import double"), 1),
    (fenced(RIGHT, "for double in range(3):\n    pass"), 1), (fenced(RIGHT, "def main(double):\n    print(double)"), 1),
    (fenced(WRONG, "from solution import double\nassert double(4) == 8"), 0),
    (fenced("from math import floor as double"), 0),
    (fenced("if True:\n    " + RIGHT.replace("\n", "\n    ")), 1),
    (fenced("double = lambda x: 2*x", "print(double(2))"), 1),
]  # fmt: skip
KINDS["cut off"] = [
    (f"```python\n{RIGHT}\n\n# Example\nprint(double(2", 1),
    (f"```python\n{RIGHT}\n\ndef test():\n    assert double(2) ==", 1),
    (f"{fenced(WRONG)}\n```python\n{RIGHT}\n\nprint(", 1), (f"```python\n{WRONG}\n\nprint(double(2", 0),
    ("```python\ndef double(x):\n    return 2*", 0),
]  # fmt: skip
KINDS["prose that looks like code"] = [
    (f"for this task, do:\n\n{RIGHT}", 1), (f"import math\n\nTo solve it:\n\n{RIGHT}", 1),
    (f"# Solution\n\nThe code is:\n\n{RIGHT}", 1), (f"for this task, do:\n\n{WRONG}", 0),
]  # fmt: skip

PROMPT = """def helper(x):
    return x + x

def double(x):
    \"\"\"Doubles the input, not __name__ or stdin.\"\"\"

<answer>

def check(candidate):
    assert candidate(4) == 8

check(double)
"""
COMPLETIONS = [
    *KINDS["a use that is no definition"], *KINDS["cut off"], *KINDS["prose that looks like code"],
    (fenced(WRONG, RIGHT), 1), (fenced(RIGHT, WRONG), 0), (fenced("import math", RIGHT), 1),
    (fenced("double(2)", RIGHT), 1),
    (fenced("def other(x):\n    return 2*x", "def double(x):\n    return other(x)"), 1), (fenced("    return 2*x"), 1),
    (fenced("    return x", "    return 2*x"), 1), (fenced("    return 2*x", "    return x"), 0),
    ("    return helper(x)", 1),
    (fenced("    return 2*x", "print(double(2))"), 1), (fenced("    return 2*x", "from solution import double"), 1),
    (fenced("    return twice(x)", "def twice(x):\n    return 2*x"), 1), ("    return 2*x\n```\n\nThis works.", 1),
    ("    return x\n```\n\nThis works.", 0), ("```python\n    y = 2*x\n    return y\n\nprint(double(", 1), ("pass", 0),
    (fenced(f"{RIGHT}\n\nprint(double(int(input())))"), 1), (fenced(f"{RIGHT}\n\nimport sys\nsys.exit(0)"), 1),
    (fenced(f"{WRONG}\n\nimport sys\nsys.exit(0)"), 0),
]  # fmt: skip
OTHERS = [
    ("x = 5\n<answer>\nassert f(x) == 10", fenced("def f(y):\n    return 2*y", "x = 3\nprint(f(x))"), 1),
    ("<answer>\nassert f(2) + g(2) == 10", fenced("def f(x):\n    return 2*x", "def g(x):\n    return 3*x"), 1),
    ("<answer>\nassert f(2) + g(2) == 10", fenced("def f(x):\n    return 2*x"), 0),
    ('import io, sys\nsys.stdin = io.StringIO("4")\n<answer>\nassert y == 8', "y = 2 * int(input())", 1),
    ('from unittest import mock\nwith mock.patch("builtins.input", return_value="4"):\n    <answer>\nassert y == 8',
     "y = 2 * int(input())", 1),
]  # fmt: skip

BODIES = [
    ("    return 2*x", 1), ("```python\n    return 2*x\n```", 1),
    ("    y = 2*x\n    if y:\n        return y\n    return 0", 1),
    ("\u00a0\u00a0\u00a0\u00a0return 2*x", 1), ("    return 2*x\n```\nDone.", 1), ("    return x", 0),
    ("return 2*x", 1), ("```python\nreturn 2*x\n```", 1), ("y = 2*x\nreturn y", 1),
    ("if x:\n    return 2*x\nreturn 0", 1),
    ("```\ny = 2*x\nreturn y\n```", 1), ("return x", 0), ("```\ny = x\nreturn y\n```", 0), ("2*x", 0),
    ("Return 2*x.", 0),
]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="programs run on Linux only")
@pytest.mark.parametrize(
    ("program", "answer", "correct"),
    [
        *((WHOLE, *case) for cases in KINDS.values() for case in cases),
        *((BODY, *case) for case in BODIES),
        *OTHERS,
        *((PROMPT, *case) for case in COMPLETIONS),
    ],
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
