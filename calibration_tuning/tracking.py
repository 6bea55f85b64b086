"""Weights & Biases: one W&B run per stage, grouped by the run's name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from calibration_tuning.processes import is_first_process
from calibration_tuning.run_config import RunConfig

PATIENCE = 60
"""Seconds to wait for the server at the start; W&B's own WANDB_INIT_TIMEOUT changes it."""


@contextmanager
def tracked(config: RunConfig, stage: str, run_id: str | None = None) -> Iterator[Any]:
    """A W&B run for `stage`; on every process but the first, and with `wandb: disabled`, one that drops everything.

    An unreachable server costs a warning, not the run: tracking falls back to offline. With `run_id`, a W&B run of that
    id is continued.
    """
    import wandb

    settings = config.tracking
    mode = settings.wandb if is_first_process() else "disabled"
    folder = config.run_dir
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

    continued: dict[str, Any] = {} if run_id is None else {"id": run_id, "resume": "allow"}
    try:
        run = wandb.init(mode=mode, settings=quiet(), **continued, **options)
    except wandb.Error as error:
        print(f"warning: W&B is not reachable ({error}); logging offline in {folder / 'wandb'}", file=sys.stderr)
        # W&B still holds the id that it could not ask the server about.
        run = wandb.init(mode="offline", settings=quiet(), **options)
    try:
        yield run
    except BaseException:  # Ctrl-C too: W&B must show the run as failed, not as running
        run.finish(exit_code=1)
        raise
    run.finish()
