"""Progress with rate and time left, on standard error; quiet on every process but the first."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from calibration_tuning.runs.processes import is_first_process


def progress(total: int, description: str, unit: str) -> Any:
    return tqdm(
        total=total,
        desc=description,
        unit=f" {unit}",
        disable=not is_first_process(),
        dynamic_ncols=True,
        smoothing=0.1,
    )
