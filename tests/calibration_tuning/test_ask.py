"""`calibration-tuning ask`, through its command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.forked import completed

pytestmark = pytest.mark.slow


def ask(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return completed("calibration_tuning.ask", *arguments, **environment)


def test_one_question(tiny_run: Path) -> None:
    result = ask(tiny_run / "checkpoint", "What is 1 plus 2?")
    assert result.returncode == 0, result.stderr
    _, bar = result.stdout.rstrip().splitlines()
    assert "%" in bar
    assert "\x1b[" not in result.stdout, "no colours in a pipe"
    chosen = ask(tiny_run / "checkpoint", "What is 1 plus 2?", "--choice", "[red]3[/red]", "--choice", "4")
    assert chosen.stdout.splitlines()[0] in ("[red]3[/red]", "4")
    judged = ask(tiny_run / "checkpoint", "What is 1 plus 2?", "--answer", "3")
    assert judged.stdout.splitlines()[0] == "3"


def test_a_passage_examples_and_a_cut_answer(tiny_run: Path, tmp_path: Path) -> None:
    """The tiny model goes on until its answers are cut."""
    plain = ask(tiny_run / "checkpoint", "Why?").stdout
    assert "cut at 3 tokens" in " ".join(plain.split())
    about = ask(tiny_run / "checkpoint", "Why?", "--context", "Ann has 3 boats.").stdout
    assert about == ask(tiny_run / "checkpoint", "Ann has 3 boats.\nWhy?").stdout != plain
    assert ask(tiny_run, "Why?").stdout == plain, "a run's folder stands for its checkpoint"
    examples = tmp_path / "examples.jsonl"
    examples.write_text('{"question": "How many boats?", "answer": "7"}')
    assert ask(tiny_run, "Why?", "--examples", examples).stdout != plain


def test_claims_of_an_answer(tiny_run: Path, tmp_path: Path) -> None:
    said = "It is 3. It is [b]odd[/b]."
    result = ask(tiny_run / "checkpoint", "What is 1 plus 2?", "--answer", said, "--claims")
    assert result.returncode == 0, result.stderr
    answer, whole, first, second = result.stdout.rstrip().splitlines()
    assert answer == said
    assert "%" in whole
    assert first.rstrip().endswith("It is 3.")
    assert second.rstrip().endswith("It is [b]odd[/b].")
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps({"question": "Why?", "answer": text}) + "\n" for text in (said, "")))
    printed = ask(tiny_run / "checkpoint", "--jsonl", file, "--claims")
    claims, none = (json.loads(line)["claims"] for line in printed.stdout.splitlines())
    assert [claim["text"] for claim in claims] == ["It is 3.", "It is [b]odd[/b]."]
    assert all(0 <= claim["confidence"] <= 1 for claim in claims)
    assert none == []


def test_colours_can_be_forced_and_switched_off(tiny_run: Path) -> None:
    coloured = ask(tiny_run / "checkpoint", "Why?", FORCE_COLOR="1", NO_COLOR="")
    assert "\x1b[3" in coloured.stdout
    plain = ask(tiny_run / "checkpoint", "Why?", FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b[3" not in plain.stdout


def test_questions_from_a_pipe(tiny_run: Path) -> None:
    """In a process started anew, as users do."""
    command = [sys.executable, "-m", "calibration_tuning.ask", str(tiny_run / "checkpoint")]
    long, variables = "Why? " * 600, os.environ | {"PYTHONPATH": "."}
    questions = f"What is 1 plus 2?\n\n{long}\nWhat is 2 plus 2?\n"
    result = subprocess.run(command, input=questions, capture_output=True, text=True, check=False, env=variables)
    assert result.returncode == 0, result.stderr
    assert sum("%" in line for line in result.stdout.splitlines()) == 2
    assert "error: question 0: takes" in result.stderr


def test_a_file_of_questions(tiny_run: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "What is 1 plus 2?", "id": 7},
        {"question": "What is 1 plus 2?", "answer": "5"},
        {"question": "What is\u2028 2?", "choices": ["3", "4"]},
        {"question": "Why?", "context": "Ann has 3 boats."},
        {"question": "Ann has 3 boats.\nWhy?", "context": " \n"},
        {"question": "Why?", "answer": "5", "is_cut": True, "familiar": 0.5, "trusted": True},
    ]
    file, output = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    result = ask(tiny_run / "checkpoint", "--jsonl", file, "--output", output)
    assert result.returncode == 0, result.stderr
    found = [json.loads(line) for line in output.read_text().split("\n") if line]
    assert found[0]["id"] == 7
    assert found[1]["answer"] == "5"
    assert found[2]["answer"] in ("3", "4")
    assert found[0]["is_cut"] is True
    assert found[3]["context"] == "Ann has 3 boats."
    assert (found[3]["answer"], found[3]["confidence"]) == (found[4]["answer"], found[4]["confidence"])
    assert not {"is_cut", "familiar"} & found[5].keys()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    assert all(0 <= row["confidence"] <= 1 for row in found)
    printed = ask(tiny_run / "checkpoint", "--jsonl", file)
    assert [json.loads(line) for line in printed.stdout.split("\n") if line] == found


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Why? " * 600}, "question: takes"),
        ({"question": "Why?", "context": "Ann has 3 boats. " * 100}, "question: takes"),
        ({"question": "Why?", "answer": "so " * 600}, "question: takes"),
        ({"question": "Why?", "choices": ["a", "so " * 600]}, "question: takes"),
        ({"question": "Why?", "answer": "It is so. " * 25}, "question with its claims: takes"),
    ],
)
def test_a_line_that_does_not_fit_is_named_before_any_is_answered(
    tiny_run: Path, tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    """The last row fits by itself, but not with each of its claims behind it."""
    file, output = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    file.write_text("\n".join(['{"question": "Why?"}', "", json.dumps(row)]))
    result = ask(tiny_run / "checkpoint", "--jsonl", file, "--output", output, "--claims")
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {file}, line 3: {message}"), result.stderr
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "a"}\n{"question": ""}\n', "line 2, question: String should have at least 1 character"),
        ('{"question": "a"}\nnot json\n', "line 2: not JSON"),
        ('{"text": "a"}\n', "line 1, question: Field required"),
        ('{"question": "a", "answer": "b", "choices": ["b", "c"]}\n', "line 1: has an answer to judge and choices"),
        ('{"question": "a", "choices": ["b"]}\n', "line 1, choices: List should have at least 2 items"),
        ("\n", "holds no questions"),
        ('{"question": ["a"]}\n', "line 1: is a list, not text"),
        ('{"question": "a", "answer": {"value": "b"}}\n', "line 1, answer: Input should be a valid string"),
        ('{"question": "a", "choices": [["b"], "c"]}\n', "line 1: is a list, not text"),
        ('{"question": "  "}\n', "line 1, question: String should have at least 1 character"),
        (
            '{"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}\n',
            "line 1: messages: the first turn must be the user's",
        ),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]}\n', "line 1"),
        ("[1]\n", "line 1: is a list; a line is an object with a question"),
        ("9" * 5000 + "\n", "line 1: not JSON"),
        ("[" * 200_000 + "\n", "line 1: not JSON"),
        (
            '{"question": "a", "answer": "b", "messages": [{"role": "tool", "content": "c"}]}\n',
            "line 1: messages.0.role: 'tool'; only messages by",
        ),
    ],
)
def test_files_that_cannot_be_asked(tmp_path: Path, content: str, message: str) -> None:
    from calibration_tuning.errors import UserError
    from calibration_tuning.question_rows import read_rows

    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        read_rows(file)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('{"question": "a", "answer": 3.0}', ("a", "3", None)),
        ('\ufeff{"question": " a "}', ("a", None, None)),
        ('{"question": "a", "choices": {"A": "b", "B": 2}}', ("a", None, ["b", "2"])),
        (
            '{"question": "a", "choices": [{"label": "A", "text": "b"}, {"label": "B", "text": "c"}]}',
            ("a", None, ["b", "c"]),
        ),
        ('{"messages": [{"role": "user", "content": "a"}]}', ("a", None, None)),
        ('{"instruction": "Translate.", "input": "Hello", "output": "Salut"}', ("Translate.\nHello", None, None)),
        ('{"Question": "a", " ANSWER ": 3.0}', ("a", "3", None)),
        ('{"question": "a", "Question": "b", "Choices": ["c", "d"]}', ("a", None, ["c", "d"])),
        ('{"question": "a", "answer": NaN, "choices": NaN, "context": NaN}', ("a", None, None)),
        ('{"messages": [{"role": "user", "content": "a"}], "question": NaN, "answer": NaN}', ("a", None, None)),
        ('{"prompt": [{"role": "user", "content": [{"type": "text", "text": "a"}]}], "answer": "b"}', ("a", "b", None)),
    ],
)
def test_lines_are_read_as_curation_reads_them(tmp_path: Path, line: str, row: tuple[object, ...]) -> None:
    from calibration_tuning.question_rows import read_rows

    file = tmp_path / "rows.jsonl"
    file.write_text(line, encoding="utf-8")
    (read,) = read_rows(file).values()
    assert (read.question, read.answer, read.choices) == row


def test_a_passage_is_read_whatever_the_case_of_its_name(tmp_path: Path) -> None:
    from calibration_tuning.question_rows import read_rows

    file = tmp_path / "rows.jsonl"
    file.write_text('{"Question": "Who?", "Context": "Ann keeps the harbour.", "Answer": "Bob", "ID": 7}')
    (read,) = read_rows(file).values()
    assert (read.question, read.context, read.answer) == ("Who?", "Ann keeps the harbour.", "Bob")
    assert read.model_extra == {"ID": 7}


def test_a_conversation_that_ends_with_its_answer(tmp_path: Path) -> None:
    """Its last question is asked behind the earlier turns, and below the system message, as in curation."""
    from calibration_tuning.conversation import Conversation
    from calibration_tuning.question_rows import read_rows
    from calibration_tuning.records import Demonstration

    said = [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    turns = [{"role": role, "content": text} for role, text in said]
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"messages": turns}))
    (read,) = read_rows(file).values()
    assert read.asked == Conversation("c", (Demonstration(question="a", answer="b"),))
    assert (read.context, read.answer) == ("Be brief.", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Why?", "--jsonl", "x"], "--jsonl: holds the questions"),
        (["--output", "x"], "--output: is for --jsonl"),
        (["--answer", "x"], "--answer: judges an answer to one QUESTION"),
        (["Why?", "--choice", "x"], "--choice: give at least two"),
        (["--jsonl", "none.jsonl"], "none.jsonl: cannot be read"),
        (["--jsonl", "x", "--context", "y"], "--jsonl: holds the questions"),
        (["--jsonl", "x", "--output", "."], "--output .: is a folder"),
        ([""], "error: question: String should have at least 1 character"),
        (["Why?", "--choice", "a", "--choice", ""], "error: choices.1: String should have at least 1 character"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], message: str) -> None:
    result = ask("nowhere", *arguments)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_checkpoint_before_its_run(tmp_path: Path) -> None:
    result = ask(tmp_path / "runs/demo", "Why?")
    assert result.returncode == 2
    assert "runs/demo: no such folder here, and it could not be fetched from the hub (" in result.stderr
    assert "; run `calibration-tuning run CONFIG` first, or check the name" in result.stderr


def test_a_checkpoint_that_is_none(tmp_path: Path) -> None:
    result = ask(tmp_path, "Why?")
    assert result.returncode == 2
    assert "calibration.json: does not exist" in result.stderr
