"""Training stops when a signal asks it to (preemption, time limit): it writes a checkpoint after the current step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from calibration_tuning.errors import RunError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Stopped(RunError):
    """The training was interrupted. The same command resumes it. Exit code 75 means "try again" in sysexits.h."""

    exit_code = 75


@contextmanager
def stop_requests() -> Iterator[Event]:
    """Yield an event that SIGTERM and SIGUSR1 set while the block runs. Only the main thread can call it."""
    asked = Event()
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
