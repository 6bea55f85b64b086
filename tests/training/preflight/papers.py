"""Runs to plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from calibration_tuning.config.run import RunConfig
from calibration_tuning.records import read_records, write_records
from training.preflight import checks
from training.preflight.machines import GPUS
from training.preflight.paper import Paper

GPU = GPUS["a100-80gb"]


def paper_of(config: RunConfig, gpus: int = 8, gpu: str = "a100-80gb", **training: Any) -> Paper:
    settings = config.training.model_copy(update=training)
    return Paper(config.model_copy(update={"training": settings}), gpus, GPUS[gpu])


def rewrite(config: RunConfig, split: str, change: Callable[[list[Any]], list[Any]]) -> None:
    path = config.curation_dir / f"{split}.parquet"
    write_records(path, change(read_records(path)))
    (config.curation_dir / "SHA256SUMS").unlink(missing_ok=True)


def status(config: RunConfig, name: str, gpus: int = 1, gpu: str = "a100-80gb") -> checks.CheckResult:
    return dict(checks.findings(Paper(config, gpus, GPUS[gpu])))[name]
