"""Curation asks the query about its first answers, before it writes any down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from calibration_tuning.config.run import load_run_config
from calibration_tuning.errors import UserError
from calibration_tuning.records import Demonstration
from data_curation.__main__ import curate
from data_curation.first_look import look_for_reasoning, made_up_block
from data_curation.question_sets import load_questions


@pytest.mark.slow
def test_a_model_that_does_not_answer_the_query_is_refused(tiny_config_path: Path) -> None:
    config = load_run_config(tiny_config_path, ["model.minimal_answer_mass=0.5"])
    with pytest.raises(UserError, match=r"\(mean of 16 answers\); probably the prompt"):
        curate(config, False)
    (work,) = config.run_dir.glob(".curation-*")
    assert [path.stat().st_size for path in (work / "answers").glob("*")] in ([], [0])
    curate(load_run_config(tiny_config_path, ["model.minimal_answer_mass=0"]), False)
    assert not work.exists(), "the same run, with the same questions, goes on"


@pytest.mark.slow
def test_little_mass_is_warned_of(tiny_config_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curate(load_run_config(tiny_config_path, ["model.minimal_answer_mass=0.000001"]), False)
    assert "warning: model.path: the untuned" in capsys.readouterr().err


def test_engines_that_cannot_say_are_named(
    tmp_path: Path, write_tiny_config: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.jsonl"
    config = load_run_config(write_tiny_config(tmp_path), [])
    ids = [question.id for question in load_questions(config.questions[0], None).questions]
    answers.write_text("".join(f'{{"id": "{name}", "answer": "7"}}\n' for name in ids))
    engine = f"curation.engine={{kind: recorded, path: {answers}}}"
    curate(load_run_config(tmp_path / "tiny.yaml", [engine, "model.minimal_answer_mass=0.001"]), False)
    assert "warning: curation.engine.kind: recorded does not tell how probable" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answers", "thinking", "is_warned"),
    [
        (["<think>Let me see", "<think>\nParis is\n</think>\nParis", "Paris"], "off", True),
        (["<think>Let me see", "Rome", "Paris"], "off", False),
        (["<think>Let me see", "<think>"], "on", False),
        (["`<think>` is a tag", "Rome"], "off", False),
        ([], "off", False),
    ],
)
def test_a_model_that_reasons_all_the_same_is_noticed(
    tiny_config_path: Path, answers: list[str], thinking: str, is_warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_run_config(tiny_config_path, [f"model.thinking={thinking}"])
    look_for_reasoning(config, answers)
    said = capsys.readouterr().err
    assert ("warning: model.thinking: off, but 2 of the first 3 answers hold a trace" in said) is is_warned
    assert bool(said) is is_warned


def test_wrong_and_right_in_turn() -> None:
    a, b, c = (Demonstration(question=name, answer=name.upper()) for name in "abc")
    assert made_up_block({"x": [a, b], "y": [c]}, 3) == [
        Demonstration(question="a", answer="A", correct=True),
        Demonstration(question="b", answer="A", correct=False),
        Demonstration(question="c", answer="C", correct=True),
    ]
    assert made_up_block({"x": [a]}, 0) == []
