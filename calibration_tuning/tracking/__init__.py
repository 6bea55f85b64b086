"""Where a stage shows its numbers, pictures and files: one tracked run a stage, grouped by the run's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from calibration_tuning.config.run import RunConfig
from calibration_tuning.config.tracking import check_installed
from calibration_tuning.runs.processes import is_first_process
from calibration_tuning.tracking.no_tracker import open_nothing
from calibration_tuning.tracking.tensorboard_tracker import open_tensorboard
from calibration_tuning.tracking.tracker import Artifact, Moment, Table, Tracker
from calibration_tuning.tracking.trackio_tracker import open_trackio
from calibration_tuning.tracking.wandb_tracker import open_wandb

__all__ = ["TRACKERS", "Artifact", "Moment", "Table", "Tracker", "tracked"]

TRACKERS: dict[str, Callable[[RunConfig, str, str | None, int], Tracker]] = {
    "wandb": open_wandb,
    "tensorboard": open_tensorboard,
    "trackio": open_trackio,
    "none": open_nothing,
}


@contextmanager
def tracked(config: RunConfig, stage: str, run_id: str | None = None, step: int = 0) -> Iterator[Tracker]:
    """The tracker of `config` for `stage`; on every process but the first, one that drops everything.

    With `run_id` and `step`, the run of that id is continued after that step. Raises `UserError` if the tracker's
    package is missing.
    """
    check_installed(config.tracking)
    opened = TRACKERS[config.tracking.to] if is_first_process() else open_nothing
    tracker = opened(config, stage, run_id, step)
    try:
        yield tracker
    except BaseException:  # Ctrl-C too: the run must be shown as failed, not as running
        tracker.finish(1)
        raise
    tracker.finish(0)
