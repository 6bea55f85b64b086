from collections.abc import Callable
from pathlib import Path

import pytest

from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.errors import RunError
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.records import GradedAnswer
from data_curation.assemble import curated
from data_curation.selection import Selection


@pytest.fixture
def config(tmp_path: Path, write_tiny_config: Callable[[Path], Path]) -> RunConfig:
    return load_run_config(write_tiny_config(tmp_path), ["curation.query_few_shot=0"])


def answers(groups: int, each: int) -> list[GradedAnswer]:
    return [
        GradedAnswer(
            id=f"sums/{g}-{n}", source="sums", subject="s", group=f"g{g}", question=f"{g} and {n}?", references=["x"],
            grader="exact", answer="said", token_ids=[1], token_logprobs=[0.0], correct=float(n % 2),
        )
        for g in range(groups)
        for n in range(each)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("graded", "message"),
    [
        (
            answers(4, 15),
            r"validation: 8 .* none of the 60 .*\(groups of related questions, of up to 15, are too large",
        ),
        (answers(2, 8), r"validation: 8 .* none of the 16 .*\(groups of related questions, of up to 8, are too large"),
        (answers(3, 1), r"none of the 3 graded answers is left for it \(unanswered, or too long"),
    ],
    ids=["large groups", "few groups", "few answers"],
)
def test_why_a_split_is_empty(config: RunConfig, graded: list[GradedAnswer], message: str) -> None:
    with pytest.raises(RunError, match=message):
        curated(config, load_prompt_format(config.model), Selection([], [], {}), graded)
