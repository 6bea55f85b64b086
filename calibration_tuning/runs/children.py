"""Commands as child processes that signals reach."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from calibration_tuning.shipped_files import import_path

PYTHON = "python"
"""In a command that is shown to people; what runs is the Python of this process."""


def run_child(command: list[str]) -> tuple[int, bool]:
    """Run `command` to its end: its exit code, and whether this process was asked to end meanwhile (SIGTERM, SIGUSR1).

    The child is asked as well, so that nothing runs on without its parent.
    """
    asked: list[int] = []
    words = [sys.executable if command[0] == PYTHON else command[0], *command[1:]]
    child = subprocess.Popen(words, env=os.environ | import_path())

    def hand_on(number: int, frame: object) -> None:
        asked.append(number)
        child.terminate()  # SIGTERM for SIGUSR1 too: every launcher hands it on

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        with child:
            return child.wait(), bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
