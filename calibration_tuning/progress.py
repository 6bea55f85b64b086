"""Progress with rate and time left, on standard error; quiet on every process but the first."""

from __future__ import annotations

import os
from typing import Any

from tqdm import tqdm


def progress(total: int, description: str, unit: str) -> Any:
    return tqdm(
        total=total,
        desc=description,
        unit=f" {unit}",
        disable=os.environ.get("RANK", "0") != "0",
        dynamic_ncols=True,
        smoothing=0.1,
    )
