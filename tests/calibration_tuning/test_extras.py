"""The packages of each extra are those of the project file."""

from __future__ import annotations

from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from calibration_tuning.extras import PACKAGES, extra_for

ASKED_FOR_WHERE_USED = {"gguf", "wandb", "relplot"}


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("data_curation", "torch", "pipeline"),
        ("init", "torch", "pipeline"),
        ("preflight", "torch", "pipeline"),
        ("publish", "huggingface_hub", "pipeline"),
        ("", "torch", "pipeline"),  # the script `calibration-tuning`
        ("ask", "torch", "model"),
        ("serving", "torch", "serve"),
        ("compare", "pyarrow", "parquet"),
        ("score", "torch", "logits"),
        ("score", "matplotlib", "plots"),
        ("training", "trackio", "trackio"),  # not in the command's own
        ("ask", "pandas", None),
    ],
)
def test_a_missing_package_names_the_extra_of_the_command(command: str, package: str, extra: str | None) -> None:
    assert extra_for(command, package) == extra


@pytest.mark.parametrize("extra", PACKAGES)
def test_extras_are_those_of_the_project_file(extra: str) -> None:
    required = [Requirement(line) for line in requires("calibration-tuning") or ()]
    of_extra = {r.name for r in required if r.marker is not None and r.marker.evaluate({"extra": extra})}
    imported = {"sklearn" if name == "scikit-learn" else name.replace("-", "_") for name in of_extra}
    assert {*PACKAGES[extra]} == imported - ASKED_FOR_WHERE_USED
