"""The tables of docs/models.md: what held for each family of models, by what the tests saw."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from tests.families.architectures import SETTINGS
from tests.families.templates import TEMPLATES

Table = Literal["templates", "architectures"]
COLUMNS: dict[Table, tuple[str, ...]] = {
    "templates": ("prompt ids", "verdict's token", "end of a turn", "thinking on"),
    "architectures": (
        "confidences",
        "log-probabilities",
        "answers",
        "training loss",
        "trains",
        "resumes",
        "loads elsewhere",
    ),
}
ROWS: dict[Table, tuple[str, ...]] = {"templates": ("text", *TEMPLATES), "architectures": tuple(SETTINGS)}


class Matrix:
    """What happened, by row and column of each table."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], Counter[str]] = {}

    def add(self, row: str, column: str, what: str = "equal") -> None:
        """A test saw this. What a failing test leads up to is never written: the tables need a run without failures."""
        self.seen.setdefault((row, column), Counter())[what] += 1

    def table(self, name: Table) -> str:
        columns = COLUMNS[name]
        lines = [f"| {name} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
        for row in ROWS[name]:
            cells = (self._cell(self.seen.get((row, column))) for column in columns)
            lines.append(f"| {row} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    @staticmethod
    def _cell(seen: Counter[str] | None) -> str:
        if seen is None:
            return "not tried"
        ordered = sorted(seen.items(), key=lambda item: not item[0].startswith("equal"))
        return "; ".join(f"{what} ({count})" if count > 1 else what for what, count in ordered)


MATRIX = pytest.StashKey[Matrix]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--models-table", type=Path, help="Write what held into this file, between its marks.")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MATRIX] = Matrix()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    path = session.config.getoption("--models-table", None)
    if path is None or exitstatus != 0:
        return
    text = path.read_text(encoding="utf-8")
    for name in COLUMNS:
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, _, rest = text.partition(begin)
        text = f"{head}{begin}\n{session.config.stash[MATRIX].table(name)}{end}{rest.partition(end)[2]}"
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest) -> Matrix:
    return request.config.stash[MATRIX]
