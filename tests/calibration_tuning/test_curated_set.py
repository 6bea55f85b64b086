"""What a curated set's manifest says of its answers."""

from __future__ import annotations

from typing import Any

import pytest

from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import answers_of_others

ENDPOINT = {"kind": "openai", "base_url": "http://localhost:8000/v1"}


@pytest.mark.parametrize(
    ("engine", "whose"),
    [
        ({"kind": "transformers"}, None),
        ({"kind": "vllm"}, None),
        (ENDPOINT, None),
        (ENDPOINT | {"served_model": "m"}, None),
        (ENDPOINT | {"served_model": "org/large"}, "answers of org/large"),
        ({"kind": "recorded", "path": "logs/said.jsonl"}, "recorded answers from said.jsonl"),
    ],
)
def test_the_author_of_the_answers(engine: dict[str, Any], whose: str | None) -> None:
    questions = [{"path": "embedded:arithmetic"}]
    values = {"name": "x", "model": {"path": "m"}, "questions": questions, "curation": {"engine": engine}}
    settings = RunConfig.model_validate(values).curation_inputs()
    assert answers_of_others({"settings": settings}) == whose
