import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from calibration_tuning.config.run import load_run_config
from data_curation.selection_cache import planned


@pytest.mark.parametrize("kind", ["damaged", "of another version"])
def test_a_plan_that_cannot_be_used_is_made_again(
    tmp_path: Path, write_tiny_config: Callable[[Path], Path], kind: str
) -> None:
    config = load_run_config(write_tiny_config(tmp_path), [])
    plan = tmp_path / "work/plan"
    selection = planned(config, plan.parent)
    whole = plan.read_text()
    if kind == "damaged":
        plan.write_text(whole[:-9])
    else:
        later = json.loads(whole.partition("\n")[2])
        later["asked"][0]["a_field_of_another_version"] = 1
        text = json.dumps(later)
        plan.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    assert planned(config, plan.parent) == selection
    assert plan.read_text() == whole
