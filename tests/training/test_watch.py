"""The curves of a run on disk."""

from __future__ import annotations

import json
from pathlib import Path

from calibration_tuning.tracking.no_tracker import NoTracker
from training.watch import Watch


def test_a_resumed_run_drops_what_its_checkpoint_has_not_seen_and_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "training.jsonl"
    watch = Watch(NoTracker(), path, 0)
    for step in (1, 2, 3):
        watch.steps(step, {"loss": step / 10})
    path.write_bytes(path.read_bytes() + b'{"step": 2, "train/lo')
    Watch(NoTracker(), path, 2).steps(3, {"loss": 0.5})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "train/loss": 0.1},
        {"step": 2, "train/loss": 0.2},
        {"step": 3, "train/loss": 0.5},
    ]
