"""calibrators.json comes back as it was written, and damage in it is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from calibration_tuning.errors import UserError
from calibration_tuning.metrics.cross_fitting import fit_all
from evaluation.calibrators_json import as_json, read_calibrators


def test_saved_and_loaded(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    logit = generator.normal(size=200)
    fits = {
        "query/after": fit_all(logit, (generator.random(200) < expit(3 * logit)).astype(float)),
        "p_true/before": {},
    }
    path = tmp_path / "calibrators.json"
    path.write_text(json.dumps(as_json(fits)))
    again = read_calibrators(path)
    assert again == fits == read_calibrators(str(path))
    grid = np.linspace(-3, 3, 20)
    for kind, calibrator in fits["query/after"].items():
        assert (again["query/after"][kind](grid) == calibrator(grid)).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"query/after": {"platt": {"kind": "platt", "scale": "wide"}}}',
            r"query/after.platt.platt.scale: .* --force",
        ),
        ('{"query/after": {"magic": {"kind": "magic"}}}', r"query/after.magic"),
    ],
)
def test_damage_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "calibrators.json"
    path.write_text(text)
    with pytest.raises(UserError, match=f"calibrators.json, {message}"):
        read_calibrators(path)
