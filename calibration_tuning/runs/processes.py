"""Which of several processes this is, from the variables that torchrun and accelerate set."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from datetime import timedelta
from typing import NoReturn


def is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def process_count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_index() -> int:
    return int(os.environ.get("RANK", "0"))


def local_process_index() -> int:
    """Which of the processes of this machine this is."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def wait_for_everyone() -> None:
    """Go on when every process has come this far. Joins accelerate's process group at first use."""
    if process_count() == 1:
        return
    from accelerate import PartialState

    from calibration_tuning.runs.devices import has_accelerator

    # One process may have hours more to do than another: the default of ten minutes would end the run.
    PartialState(cpu=not has_accelerator(), timeout=timedelta(days=7)).wait_for_everyone()


def leave(code: int) -> NoReturn:
    """End this process with all its work done: what was registered with atexit runs, the interpreter is not torn down.

    For ranks that used gloo. DistributedDataParallel keeps gloo's threads alive beyond `destroy_process_group`, and of
    some thousand trainings two ended in the teardown with "terminate called without an active exception" (SIGABRT),
    which the launcher takes for a failed training.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)
