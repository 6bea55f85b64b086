"""What a loaded checkpoint shows before every question."""

from __future__ import annotations

from typing import Any

import pytest

from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import Demonstration, QueryExample
from data_curation.selection import Selection
from data_curation.shown_block import shown_block

TOPICS = [f"{source}/{subject}" for source in ("capitals", "elements", "rivers") for subject in "ab"]


def row(topic: str, question: str = "Where?") -> QueryExample:
    source, subject = topic.split("/")
    values: dict[str, Any] = {"source": source, "subject": subject, "group": topic, "references": ["x"]}
    split = "evaluation" if source == "elements" else "train"
    answer = {"grader": "exact", "answer": "there", "token_ids": [5, 6], "token_logprobs": [], "correct": 1.0}
    return QueryExample(id=topic, question=question, split=split, **values, **answer)  # type: ignore[arg-type]


@pytest.fixture
def selection() -> Selection:
    found = Selection.__new__(Selection)
    found.demonstrations = {
        topic: [Demonstration(question=f"What is {topic}?", answer=n * "so " + "so")] for n, topic in enumerate(TOPICS)
    }
    return found


def test_a_set_that_is_only_evaluated_is_not_shown(tiny: Any, selection: Selection) -> None:
    shown = shown_block([row(topic) for topic in TOPICS], selection, "subject", PromptFormat(tiny[1], "text"), 512)
    assert [one.question for one in shown] == [f"What is {topic}?" for topic in TOPICS if "elements" not in topic]


def test_of_many_blocks_those_shown_are_of_all_sets(tiny: Any, selection: Selection) -> None:
    rows = [row(topic).model_copy(update={"split": "train"}) for topic in TOPICS]
    shown = shown_block(rows, selection, "subject", PromptFormat(tiny[1], "text"), 512)
    assert [one.question for one in shown] == [f"What is {TOPICS[n]}?" for n in (0, 1, 3, 5)]


def test_the_longest_question_fits_behind_it(
    tiny: Any, selection: Selection, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt_format = PromptFormat(tiny[1], "text")
    rows = [row(topic) for topic in TOPICS]
    rows.append(row("elements/a", "Where? " * 20))
    needed = len(prompt_format.answering_ids(rows[-1])) + 2
    two = [selection.demonstrations[topic][0] for topic in TOPICS[:2]]
    longest = needed + len(prompt_format.few_shot_ids(two))
    assert shown_block(rows, selection, "subject", prompt_format, longest) == two, "the longest answers are left out"
    assert "shows 2 of 4 demonstrations" in capsys.readouterr().err
    assert shown_block(rows, selection, "subject", prompt_format, needed) == []
