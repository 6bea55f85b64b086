"""A run on the tiny model that nothing happened to, and the same stages with faults; the table of what happened."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.server import Order

STAGES = {"data_curation": "curation", "training": "checkpoint", "evaluation": "evaluation"}
"""And the folder that each leaves."""
RUNS_KILLED = 2
SETTINGS = {
    "curation": {"samples": 1, "engine": {"batch_size": 8}},
    "training": {"checkpoints": 4, "lora": {"r": 2, "lora_dropout": 0.2}},
    "evaluation": {"estimators": ["query", "sequence_likelihood"]},
}

EPOCH = {"SOURCE_DATE_EPOCH": "0"}
"""A report says its day, and midnight may pass."""

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-table", type=Path, help="Write what happened into this file, between its marks.")
    parser.addoption("--moments", type=int, help="At how many moments each stage is killed.")
    parser.addoption("--runs-killed", type=int, default=RUNS_KILLED, help="How often the whole run is killed.")


class Stages:
    """The stages in one folder, whose state can be put back to what it was before or after any of them."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder, self.config = folder, config
        self.run_dir = folder / "runs" / "tiny"
        self.log = folder / "log.txt"
        environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": "."}
        environment |= EPOCH
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._reply() == "ready"
        self.operations: dict[str, int] = {}
        self.expected: dict[str, dict[str, str]] = {}
        for stage in STAGES:
            shutil.copytree(self.folder / "runs", self.folder / f"before-{stage}", dirs_exist_ok=True)
            assert self.run(stage) == 0, self.said
            self.operations[stage] = int((self.folder / "log.txt.operations").read_text())
            self.expected[stage] = self.digests(stage)
        self.finished = {stage: self.digests(stage) for stage in STAGES}
        """Evaluation adds its results to the card and the thresholds to the checkpoint."""

    def run(self, stage: str, *overrides: str, **fault: Any) -> int:
        """Exit code of the stage; -9 where it was killed."""
        arguments = [str(self.config), *overrides]
        order = Order(stage, arguments, str(self.folder / "runs"), str(self.log), **fault)
        assert self._server.stdin is not None
        self._server.stdin.write(order.send())
        self._server.stdin.flush()
        return int(self._reply())

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def restore(self, state: str) -> None:
        """`before-STAGE`."""
        shutil.rmtree(self.folder / "runs")
        shutil.copytree(self.folder / state, self.folder / "runs")

    def digests(self, stage: str) -> dict[str, str]:
        """SHA-256 of every file that the stage leaves, README and report included."""
        final = self.run_dir / STAGES[stage]
        files = sorted(path for path in final.rglob("*") if path.is_file())
        return {str(path.relative_to(final)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def close(self) -> None:
        self._server.kill()
        self._server.wait()

    def _reply(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[[Path], Path]) -> Iterator[Stages]:
    folder = tmp_path_factory.mktemp("faults")
    config = write_tiny_config(folder)
    values = yaml.safe_load(config.read_text())
    for part, own in SETTINGS.items():
        values[part] |= own
    values["tracking"] = {"to": "none"}
    config.write_text(yaml.safe_dump(values))
    (folder / "runs").mkdir()
    found = Stages(folder, config)
    yield found
    found.close()


class Outcomes:
    """What happened, by fault and place."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Counter[str]] = {}

    def add(self, fault: str, where: str, what: str) -> None:
        self.counts.setdefault((fault, where), Counter())[what] += 1

    def table(self) -> str:
        lines = ["| fault | where | tried | what happened | lost |", "|---|---|---:|---|---:|"]
        for (fault, where), counts in self.counts.items():
            happened = "; ".join(f"{what} ({count})" for what, count in counts.items())
            lines.append(f"| {fault} | {where} | {counts.total()} | {happened} | 0 |")
        return "\n".join(lines) + "\n"


OUTCOMES = pytest.StashKey[Outcomes]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = Outcomes()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    path = session.config.getoption("--faults-table", None)
    if path is not None and exitstatus == 0:
        head, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        table = session.config.stash[OUTCOMES].table()
        path.write_text(f"{head}{BEGIN}\n{table}{END}{rest.partition(END)[2]}", encoding="utf-8")


@pytest.fixture
def outcomes(request: pytest.FixtureRequest) -> Outcomes:
    """Every assertion that leads up to an `add` is about nothing being lost: a row says 0 only where all held."""
    return request.config.stash[OUTCOMES]
