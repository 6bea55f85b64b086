"""calibrators.json: every post-hoc calibrator that an evaluation has fitted, by confidence and kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, TypeAdapter, ValidationError

from calibration_tuning.errors import UserError, first_problem
from calibration_tuning.metrics.calibrators import AnyCalibrator
from calibration_tuning.runs.files import read_json

FILE = "calibrators.json"
_ADAPTER = TypeAdapter(dict[str, dict[str, Annotated[AnyCalibrator, Discriminator("kind")]]])


def as_json(fits: Mapping[str, Mapping[str, AnyCalibrator]]) -> dict[str, Any]:
    return {name: {kind: dataclasses.asdict(c) for kind, c in by_kind.items()} for name, by_kind in fits.items()}


def read_calibrators(path: str | Path) -> dict[str, dict[str, AnyCalibrator]]:
    """Calibrators by confidence (such as `query/after`) and kind. Raises `UserError` for a damaged file."""
    values = read_json(Path(path), "calibration-tuning evaluate CONFIG")
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        raise UserError(f"{path}{first_problem(error)}; evaluate again with --force") from None
