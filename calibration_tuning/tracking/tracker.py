"""What every tracker does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Table(NamedTuple):
    columns: list[str | int]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Artifact:
    """A folder that one stage makes and another uses."""

    name: str
    kind: str
    """`dataset`, `model` or `evaluation`."""
    version: str
    """Fingerprint, so that a stage names the very files that it used and not the latest of that name."""
    folder: Path


class Tracker(Protocol):
    disabled: bool
    """True if everything is dropped, so that plots need not be drawn."""

    def log(
        self,
        scalars: Mapping[str, float],
        images: Mapping[str, Any] | None = None,
        tables: Mapping[str, Table] | None = None,
        step: int | None = None,
    ) -> None:
        """Everything of one moment. An image is a PIL image or the path of a PNG; `step` is the x axis."""

    def say(self, name: str, text: str) -> None:
        """A sentence about the whole run."""

    def log_artifact(self, artifact: Artifact) -> None:
        """This run made it."""

    def use_artifact(self, artifact: Artifact) -> None:
        """This run read it. One that the tracker does not know costs a warning at most."""

    def finish(self, exit_code: int) -> None:
        """Write everything out; `exit_code` other than 0 marks the run as failed where that can be shown."""
