"""The packages of each extra are those of the project file."""

from __future__ import annotations

from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from calibration_tuning.extras import PACKAGES

ASKED_FOR_WHERE_USED = {"gguf", "wandb", "relplot"}


@pytest.mark.parametrize("extra", PACKAGES)
def test_extras_are_those_of_the_project_file(extra: str) -> None:
    required = [Requirement(line) for line in requires("calibration-tuning") or ()]
    of_extra = {r.name for r in required if r.marker is not None and r.marker.evaluate({"extra": extra})}
    imported = {"sklearn" if name == "scikit-learn" else name.replace("-", "_") for name in of_extra}
    assert {*PACKAGES[extra]} == imported - ASKED_FOR_WHERE_USED
