"""Killed at any moment, the same command goes on to the very files of a run that nothing happened to."""

from __future__ import annotations

import itertools
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import EPOCH, RUNS_KILLED, STAGES
from tests.forked import Forked, Program

if TYPE_CHECKING:
    from tests.faults.conftest import Outcomes, Stages

pytestmark = pytest.mark.slow
MOMENTS = {"data_curation": 10, "training": 10, "evaluation": 6}
"""In CI; `--moments` changes it (docs/reliability.md has a table of more)."""


def moments(stage: str, operations: int, count: int | None = None) -> list[int]:
    """File operations, drawn but for the last ones: those of the final folder and what comes after it."""
    count = count or MOMENTS[stage]
    last = list(range(operations - 4, operations + 1))
    drawn = random.Random(stage).sample(range(1, operations - 4), min(count - len(last), operations - 5))
    return sorted(drawn) + last


@pytest.mark.parametrize("stage", STAGES)
def test_kill_9(stages: Stages, outcomes: Outcomes, stage: str, request: pytest.FixtureRequest) -> None:
    for moment in moments(stage, stages.operations[stage], request.config.getoption("--moments", None)):
        stages.restore(f"before-{stage}")
        assert stages.run(stage, at=moment, signal=signal.SIGKILL) == -signal.SIGKILL, moment
        assert stages.run(stage) == 0, f"{moment}: {stages.said}"
        assert stages.digests(stage) == stages.expected[stage], f"killed at operation {moment}"
        if stage == "evaluation":
            assert stages.digests("training") == stages.finished["training"], f"killed at operation {moment}"
        outcomes.add("kill -9 at a file operation", stage, "went on to the same bytes")


@pytest.mark.parametrize("stage", STAGES)
def test_sigterm(stages: Stages, outcomes: Outcomes, stage: str) -> None:
    for moment in moments(stage, stages.operations[stage])[::4]:
        stages.restore(f"before-{stage}")
        code = stages.run(stage, at=moment, signal=signal.SIGTERM)
        assert code in (-signal.SIGTERM, 75, 0), f"{moment}: {stages.said}"
        assert "Traceback" not in stages.said
        assert stages.run(stage) == 0, f"{moment}: {stages.said}"
        assert stages.digests(stage) == stages.expected[stage], f"ended at operation {moment}"
        ended = {75: "wrote a checkpoint, exit code 75", 0: "had just finished"}.get(code, "ended")
        outcomes.add("SIGTERM at a file operation", stage, f"{ended}; went on to the same bytes")


def test_the_whole_run_killed(stages: Stages, outcomes: Outcomes, request: pytest.FixtureRequest) -> None:
    """At moments of time: all its processes at once, as when a machine goes down, or the first asked to end."""
    output_files = (stages.folder / f"run-{number}.txt" for number in itertools.count())

    def start() -> Forked:
        command = ["run", str(stages.config)]
        return Forked(
            Program("calibration_tuning.cli", command, next(output_files), environment={"NO_COLOR": "1"} | EPOCH)
        )

    stages.restore("before-data_curation")
    begun = time.monotonic()
    output = start().communicate()[0]
    whole = time.monotonic() - begun
    for stage in STAGES:
        assert stages.digests(stage) == stages.finished[stage], output
    draw = random.Random(0)
    for name, send in (("kill -9", Forked.kill), ("SIGTERM", Forked.terminate)):
        for _ in range(request.config.getoption("--runs-killed", RUNS_KILLED)):
            stages.restore("before-data_curation")
            process = start()
            time.sleep(draw.uniform(0.1, 1) * whole)
            had_finished = process.poll() is not None
            send(process)
            output = process.communicate()[0]
            assert "Traceback" not in output
            assert had_finished or process.returncode in (75, -signal.SIGTERM, -signal.SIGKILL), output
            again = start()
            said = again.communicate()[0]
            assert again.returncode == 0, said
            for stage in STAGES:
                assert stages.digests(stage) == stages.finished[stage], stage
            ended = "had just finished" if had_finished else "ended"
            outcomes.add(f"{name} at a moment of time", "run", f"{ended}; went on to the same bytes")
