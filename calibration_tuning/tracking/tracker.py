"""What every tracker does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Moment:
    """What is logged at one moment."""

    scalars: Mapping[str, float]
    images: Mapping[str, Any] = field(default_factory=dict)
    """PIL images, or paths of PNG files."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    step: int | None = None
    """The x axis."""

    def values(self, image: Callable[[Any], Any], table: Callable[[Table], Any]) -> dict[str, Any]:
        """Everything by name, with pictures and tables as the tracker's types."""
        pictures = {name: image(str(p) if isinstance(p, Path) else p) for name, p in self.images.items()}
        return {**self.scalars, **pictures, **{name: table(rows) for name, rows in self.tables.items()}}


class Tracker(Protocol):
    disabled: bool
    """True if everything is dropped, so that plots need not be drawn."""

    def log(self, moment: Moment) -> None:
        """Log everything of one moment."""

    def say(self, name: str, text: str) -> None:
        """A sentence about the whole run."""

    def log_artifact(self, artifact: Artifact) -> None:
        """This run made it."""

    def use_artifact(self, artifact: Artifact) -> None:
        """This run read it. One that the tracker does not know costs a warning at most."""

    def finish(self, exit_code: int) -> None:
        """Write everything out; `exit_code` other than 0 marks the run as failed where that can be shown."""
