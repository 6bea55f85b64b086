"""A disk that is full or read-only: one sentence, what was finished is kept, and the same command goes on."""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.conftest import STAGES

if TYPE_CHECKING:
    from tests.faults.conftest import Outcomes, Stages

pytestmark = pytest.mark.slow


def one_sentence(stages: Stages) -> str:
    """The error that the stage ended with, which must be the only one and no traceback."""
    assert "Traceback" not in stages.said, stages.said
    errors = [line for line in stages.said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, stages.said
    return errors[0]


def survives(stages: Stages, stage: str, **fault: Any) -> str:
    """What was said. The stage fails, and goes on once the fault is gone."""
    stages.restore(f"before-{stage}")
    code = stages.run(stage, **fault)
    assert code in (1, 2), f"{code}: {stages.said}"
    said = one_sentence(stages)
    assert str(stages.run_dir) in said, said
    assert stages.run(stage) == 0, stages.said
    assert stages.digests(stage) == stages.expected[stage]
    return said


@pytest.mark.parametrize("stage", STAGES)
def test_full(stages: Stages, outcomes: Outcomes, stage: str) -> None:
    for moment in sorted(random.Random(stage).sample(range(1, stages.operations[stage] - 2), 5)):
        assert "No space left" in survives(stages, stage, at=moment, errno=errno.ENOSPC)
        outcomes.add("disk full from a file operation on", stage, "one sentence; went on to the same bytes")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("size", [100, 4000])
def test_files_stop_growing(stages: Stages, outcomes: Outcomes, stage: str, size: int) -> None:
    survives(stages, stage, file_size=size)
    outcomes.add(f"no file grows above {size} bytes", stage, "one sentence; went on to the same bytes")


@pytest.mark.parametrize("stage", STAGES)
def test_read_only(stages: Stages, outcomes: Outcomes, stage: str) -> None:
    assert "Read-only file system" in survives(stages, stage, at=1, errno=errno.EROFS)
    outcomes.add("read-only output folder", stage, "one sentence; went on to the same bytes")
