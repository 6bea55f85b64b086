"""Weights & Biases."""

from __future__ import annotations

import os
import sys
from typing import Any

from calibration_tuning.config.run import RunConfig
from calibration_tuning.tracking.no_tracker import NoTracker
from calibration_tuning.tracking.tracker import Artifact, Moment, Tracker

PATIENCE = 60
"""Seconds to wait for the server at the start; W&B's own WANDB_INIT_TIMEOUT changes it."""


def open_wandb(config: RunConfig, stage: str, run_id: str | None, step: int) -> Tracker:
    """An unreachable server costs a warning, not the run: tracking falls back to offline."""
    settings, folder = config.tracking, config.run_dir
    mode = wandb_mode(config)
    if mode == "disabled":
        return NoTracker()

    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {
        "project": settings.project,
        "entity": settings.entity,
        "name": f"{config.name}-{stage}",
        "group": config.name,
        "job_type": stage,
        "dir": folder,
        "config": config.model_dump(mode="json"),
    }
    patience = float(os.environ.get("WANDB_INIT_TIMEOUT", PATIENCE))

    def quiet() -> Any:  # a new one each time, as W&B writes into it
        return wandb.Settings(silent=True, console="off", init_timeout=patience)

    # The agent of a sweep has given the run its id.
    is_resumable = run_id is not None and "WANDB_SWEEP_ID" not in os.environ
    continued: dict[str, Any] = {"id": run_id, "resume": "allow"} if is_resumable else {}
    try:
        run = wandb.init(mode=mode, settings=quiet(), **continued, **options)
    except wandb.Error as error:
        print(f"warning: W&B is not reachable ({error}); logging offline in {folder / 'wandb'}", file=sys.stderr)
        # W&B still holds the id that it could not ask the server about.
        run = wandb.init(mode="offline", settings=quiet(), **options)
    return WandbTracker(run, stage)


def wandb_mode(config: RunConfig) -> Any:
    """`tracking.wandb`, unless W&B's variable WANDB_MODE says otherwise (`online`, `offline`, `disabled`, ...)."""
    return os.environ.get("WANDB_MODE") or config.tracking.wandb


class WandbTracker:
    """The x axis is `<stage>/step` and not W&B's own count, so that a resumed run writes on."""

    disabled = False

    def __init__(self, run: Any, stage: str) -> None:
        self.run, self.axis = run, f"{stage}/step"
        self.has_axis = False

    def log(self, moment: Moment) -> None:
        import wandb

        if moment.step is not None and not self.has_axis:
            self.run.define_metric(self.axis)
            self.run.define_metric("*", step_metric=self.axis)
            self.has_axis = True
        axis = {} if moment.step is None else {self.axis: moment.step}
        self.run.log(
            axis | moment.values(wandb.Image, lambda table: wandb.Table(columns=table.columns, data=table.rows))
        )

    def say(self, name: str, text: str) -> None:
        self.run.summary[name] = text

    def log_artifact(self, artifact: Artifact) -> None:
        import wandb

        logged = wandb.Artifact(artifact.name, type=artifact.kind)
        logged.add_dir(str(artifact.folder))
        self.run.log_artifact(logged, aliases=["latest", artifact.version])

    def use_artifact(self, artifact: Artifact) -> None:
        if self.run.offline:  # what was used can only be looked up on the server
            return

        try:
            self.run.use_artifact(f"{artifact.name}:{artifact.version}", type=artifact.kind)
        except Exception as error:  # of many kinds, some private to W&B; a missing link must not end a training
            print(f"warning: W&B does not link this run to {artifact.name} ({error})", file=sys.stderr)

    def finish(self, exit_code: int) -> None:
        self.run.finish(exit_code=exit_code)
