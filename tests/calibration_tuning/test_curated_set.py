"""What a curated set's manifest says of its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.config.run import RunConfig
from calibration_tuning.curated_set import answers_of_others, curation_folder
from calibration_tuning.errors import UserError

ENDPOINT = {"kind": "openai", "base_url": "http://localhost:8000/v1"}


def test_a_folder_that_holds_no_set_is_named_with_its_setting(tmp_path: Path) -> None:
    values = {"name": "x", "model": {"path": "m"}, "questions": [{"path": "embedded:arithmetic"}]}
    assert curation_folder(RunConfig.model_validate(values)) == Path("runs/x/curation")  # still to be made
    config = RunConfig.model_validate(values | {"curated": tmp_path})
    with pytest.raises(UserError, match=rf"curated: {tmp_path} holds no curated set \(no manifest\.json\)"):
        curation_folder(config)
    (tmp_path / "manifest.json").write_text("{}")
    assert curation_folder(config) == tmp_path


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
