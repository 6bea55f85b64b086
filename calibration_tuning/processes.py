"""Which of several processes this is, from the variables that torchrun and accelerate set."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def process_count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_index() -> int:
    return int(os.environ.get("RANK", "0"))


def local_process_index() -> int:
    """Which of the processes of this machine this is."""
    return int(os.environ.get("LOCAL_RANK", "0"))
