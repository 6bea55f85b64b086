"""`thresholds.json` of a checkpoint: for each error rate, the lowest confidence at which an answer may be given."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from calibration_tuning.errors import UserError, first_problem
from calibration_tuning.runs.files import read_json

FILE = "thresholds.json"
MADE_BY = "calibration-tuning evaluate CONFIG"


class Threshold(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    error_rate: float
    """At most this share of the answers from the threshold on is wrong."""
    threshold: float | None
    """A value of the confidence before calibration, in [0, 1]; None where the calibration data supports none."""
    coverage: float
    """Share of the test questions that are answered by it."""
    error: float | None
    """Share of these that were wrong; None where none was answered."""


class Thresholds(BaseModel):
    """Written by evaluation, as error rates are its settings; one for each of `evaluation.error_rates`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    inputs_fingerprint: str
    """Fingerprint of the checkpoint that these thresholds belong to."""
    confidence: float
    """Probability that each threshold keeps its error rate, over draws of the calibration split."""
    n_calibration: int
    rates: list[Threshold]

    def of(self, error_rate: float | None) -> Threshold | None:
        """Return the threshold for `error_rate`. If it is None, return the one for the lowest error rate that the
        calibration data supports, or None if it supports none.

        Raises `UserError` if evaluation did not look for a threshold at that rate.
        """
        if error_rate is None:
            supported = [rate for rate in self.rates if rate.threshold is not None]
            return min(supported, key=lambda rate: rate.error_rate) if supported else None
        match = next((rate for rate in self.rates if abs(rate.error_rate - error_rate) < 1e-9), None)
        if match is None:
            known = ", ".join(f"{rate.error_rate:g}" for rate in self.rates)
            raise UserError(
                f"error_rate {error_rate:g}: the checkpoint has thresholds for {known}; evaluate it again with "
                f"evaluation.error_rates=[{error_rate:g}]"
            )
        return match


def read_thresholds(folder: Path, inputs_fingerprint: str) -> Thresholds | None:
    """Read the thresholds of a checkpoint. Return None if it was not evaluated.

    Raises `UserError` if the file is damaged or belongs to another checkpoint.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        thresholds = Thresholds.model_validate(read_json(path, MADE_BY))
    except ValidationError as error:
        raise UserError(f"{path}{first_problem(error)}; run `{MADE_BY}` again with --force") from None
    if thresholds.inputs_fingerprint != inputs_fingerprint:
        raise UserError(
            f"{path}: belongs to another checkpoint than the one in this folder; run `{MADE_BY}` again with --force"
        )
    return thresholds
