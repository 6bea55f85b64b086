"""Code: confidence of lines and programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from calibration_tuning.records import GradedAnswer
from evaluation.evidence import Evidence
from evaluation.findings import key
from evaluation.sections import code


class Pieces:
    """A tokenizer of given pieces."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    def decode(self, ids: list[int]) -> str:
        return "".join(self.pieces[i] for i in ids)


def program(n: int) -> GradedAnswer:
    return GradedAnswer.model_construct(token_ids=list(range(n)))


def test_a_token_belongs_to_the_line_it_ends_on() -> None:
    tokenizer = Pieces("def f", "():\n", "    ", "return", " 1\n", "\n", "f()")
    logprobs = np.log([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]).tolist()
    # Lines: "def f():" of tokens 0 and 1; "    return 1" of 2, 3, 4; a blank one with token 5; "f()" of token 6.
    found = code.line_confidences(tokenizer, program(7), logprobs)
    assert found == pytest.approx([(0.9 + 0.8) / 2, (0.7 + 0.6 + 0.5) / 3, 0.3])


def test_one_line_and_none() -> None:
    assert code.line_confidences(Pieces("x = 1"), program(1), [np.log(0.5)]) == pytest.approx([0.5])
    assert code.line_confidences(Pieces("\n", "\n"), program(2), [-1.0, -1.0]) == []


@pytest.mark.slow
def test_programs_and_lines_are_rated(make_evidence: Callable[..., Evidence], monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = make_evidence(settings={"estimators": ["query"]})
    rows = [row.model_copy(update={"grader": "code"}) for row in evidence.splits["test"]]
    evidence = make_evidence(
        splits={"calibration": evidence.splits["calibration"], "test": rows}, settings={"estimators": ["query"]}
    )
    monkeypatch.setattr(code, "load_tokenizer", lambda settings: Pieces("", "a = 1\n", "b = 2"))
    values: Any = evidence.findings.values["tokens"]
    for row in rows:  # right programs are written surely: lines at 0.9 and 0.8, wrong ones at 0.2 and 0.1
        pair = (0.9, 0.8) if row.correct else (0.2, 0.1)
        values[key("before", row)]["answer_logprobs"] = np.log(pair).tolist()
        values[key("after", row)]["answer_logprobs"] = np.log(pair[::-1]).tolist()
    both = code.code(evidence)
    assert both is not None
    assert both.n == 80
    before, after = both.before, both.after
    assert before.lines == after.lines == 160
    assert after.line["brier"] != after.program["sequence_likelihood"]["brier"]
    likelihood = before.program["sequence_likelihood"]
    assert after.program["sequence_likelihood"]["brier"].value == pytest.approx(likelihood["brier"].value)
    assert before.line["auroc"].value == likelihood["auroc"].value == 1.0
    share = evidence.correct("test").mean()
    expected = share * ((0.1**2 + 0.2**2) / 2) + (1 - share) * ((0.2**2 + 0.1**2) / 2)
    assert before.line["brier"].value == pytest.approx(expected)
    # Both lines of a program, and both programs of a group, are drawn together: the interval is that of 40 groups.
    assert before.line["accuracy"].high - before.line["accuracy"].low > 0.15


@pytest.mark.slow
def test_without_programs_there_is_nothing_to_say(evidence: Evidence) -> None:
    assert code.code(evidence) is None
