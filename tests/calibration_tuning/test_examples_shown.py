"""Examples that a user shows in place of the checkpoint's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration_tuning import CalibratedModel
from calibration_tuning.errors import UserError
from calibration_tuning.examples import as_examples, read_examples
from calibration_tuning.records import Demonstration
from tests.forked import completed

USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"question": " q ", "answer": " r "}, ("q", "r")),
        ({"question": "q", "answer": 3.0}, ("q", "3")),
        ({"question": "q", "answer": "r", "context": "p"}, ("p\nq", "r")),
        ({"question": "q", "answer": "r", "context": "", "correct": True, "id": 7}, ("q", "r")),
        ({"question": "q", "options": {"A": "x", "B": "y"}, "answer": "B"}, ("q", "y")),
        ({"question": "q", "choices": ["x", "y"], "answer": "x"}, ("q", "x")),
        ({"messages": [USER, ASSISTANT]}, ("q", "r")),
        ({"messages": [USER], "answer": "r"}, ("q", "r")),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "r"}]}, ("q", "r")),
        (Demonstration(question="q", answer="r"), ("q", "r")),
        (Demonstration(question="q", answer="r", correct=True), ("q", "r")),
        ({"Question": "q", "Answer": "r", "Context": "p", "Correct": "true"}, ("p\nq", "r")),
        ({"messages": [{"role": "system", "content": "s"}, USER], "context": "p", "answer": "r"}, ("p\nq", "r")),
    ],
)
def test_shapes_of_an_example(row: Any, shown: tuple[str, str]) -> None:
    (found,) = as_examples(iter([row]))
    assert (found.question, found.answer, found.correct) == (*shown, None), "a verdict would show the query too"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "examples: there is none"),
        (iter([]), "examples: there is none"),
        (5, "examples: is an int"),
        ("q", "examples: is a str"),
        ({"question": "q", "answer": "r"}, "examples: is "),
        ([("q", "r")], "example 1: is a list"),
        ([{"question": "q", "answer": "r"}, {"question": "q"}], "example 2, answer: missing"),
        ([{"answer": "r"}], "example 1, question: missing"),
        ([{"question": "q", "answer": " "}], "example 1, answer: missing"),
        ([{"question": "q", "answer": "r", "correct": False}], "example 1, correct: is False"),
        ([{"question": "q", "answer": "r", "correct": 0.2}], "example 1, correct: is 0.2"),
        ([{"question": "q", "answer": "r", "correct": "false"}], "example 1, correct: is false"),
        ([Demonstration(question="q", answer="r", correct=False)], "example 1, correct: is False"),
        ([{"messages": [USER, ASSISTANT, USER], "answer": "s"}], "example 1: is a conversation of several turns"),
        (
            [{"messages": [{"role": "tool", "content": "q"}], "answer": "r"}],
            "example 1: messages.0.role: 'tool'; only messages by",
        ),
        ([{"question": [USER, ASSISTANT, USER], "answer": "s"}], "example 1: is a conversation of several turns"),
    ],
)
def test_what_cannot_be_shown(rows: Any, message: str) -> None:
    """Said before any model is looked for."""
    with pytest.raises(UserError) as error:
        CalibratedModel.from_pretrained("nowhere", examples=rows)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "q", "answer": "r"}\n\n{"question": "s"}\n', "line 3, answer: missing"),
        ("question,answer\nq,r\n", "line 1: not JSON"),
        ("[1]", "line 1: is a list"),
        ("\n", "holds no examples"),
    ],
)
def test_files_that_cannot_be_shown(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text(content)
    with pytest.raises(UserError, match=r"examples\.jsonl") as error:
        read_examples(file)
    assert message in str(error.value)


@pytest.mark.slow
def test_the_command_refuses_them_before_it_loads_anything(tmp_path: Path) -> None:
    result = completed("calibration_tuning.ask", "nowhere", "Why?", "--examples", tmp_path / "no.jsonl")
    assert result.returncode == 2
    assert "no.jsonl: cannot be read" in result.stderr.replace("\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"question": "q " * 4000, "answer": "r"}, r"examples: are [\d,]+ tokens long, but the model reads 512"),
        ({"question": "q", "answer": "r\ns"}, "example 1, answer: has a line break"),
    ],
)
def test_what_the_model_has_no_place_for(tiny_run: Path, example: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CalibratedModel.from_pretrained(tiny_run, examples=[example])


@pytest.mark.slow
def test_they_replace_the_checkpoints_own(tiny_run: Path, tmp_path: Path) -> None:
    question, examples = "What is 1 plus 2?", [{"question": "Why?", "answer": "Because of 7."}]
    model = CalibratedModel.from_pretrained(tiny_run)
    own = model.answer(question)
    model.show(examples)
    shown = model.answer(question)
    assert shown.text != own.text
    file = tmp_path / "examples.jsonl"
    file.write_text(json.dumps(examples[0]))
    said = completed("calibration_tuning.ask", tiny_run, question, "--examples", file).stdout
    assert said.splitlines()[0] == shown.text
