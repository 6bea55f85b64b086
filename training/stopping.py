"""Asked to end (preemption, the end of a time limit), training writes a checkpoint after the step it is at."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from calibration_tuning.errors import RunError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Stopped(RunError):
    """Interrupted: the same command resumes. Exit code 75, "try again" to sysexits.h."""

    exit_code = 75


@contextmanager
def stop_requests() -> Iterator[Event]:
    """An event that is set by SIGTERM or SIGUSR1 as long as the block runs; the main thread's alone."""
    asked = Event()
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
