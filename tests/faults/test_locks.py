"""Two runs at once in one folder: the second refuses, unless the first is dead."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import STAGES
from tests.faults.test_disk import one_sentence

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.conftest import Outcomes, Stages

pytestmark = pytest.mark.slow
HOLD = "import sys, time; from pathlib import Path; from calibration_tuning.runs.locks import lock_folder\n"
HOLD += "lock = lock_folder(Path(sys.argv[1])); print('locked', flush=True); time.sleep(600)"


def folder_of(stages: Stages, stage: str) -> Path:
    """Where the stage keeps unfinished work."""
    names = {"data_curation": ".curation", "training": ".training", "evaluation": ".findings"}
    (found,) = stages.run_dir.glob(names[stage])
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_the_second_refuses_and_a_dead_ones_lock_is_taken_over(stages: Stages, outcomes: Outcomes, stage: str) -> None:
    stages.restore(f"before-{stage}")
    assert stages.run(stage, at=stages.operations[stage] - 8, signal=9) == -9
    command = [sys.executable, "-c", HOLD, str(folder_of(stages, stage))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        assert stages.run(stage) == 2, stages.said
        assert f"(process {first.pid} on " in one_sentence(stages)
        assert ", for 0 minutes)" in stages.said
        outcomes.add("a second run in the same folder", stage, "refused, naming the first")
        first.kill()
    assert stages.run(stage) == 0, stages.said
    assert stages.digests(stage) == stages.expected[stage]
    outcomes.add("the first run killed with -9", stage, "its lock was taken over; the same bytes")
