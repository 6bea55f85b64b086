"""What a loaded checkpoint says of the same answers. It knows no subjects: one block stands before every question."""

from __future__ import annotations

from calibration_tuning.metrics.confidence import MAIN
from evaluation.evidence import Evidence
from evaluation.schema import AsLoaded


def as_loaded(evidence: Evidence) -> dict[str, AsLoaded] | None:
    """By split: the readout behind the one block, and its difference to the readout behind the block that an answer was
    written behind. None where the query alone is read: its block is the same everywhere."""
    if evidence.record.readout is None:
        return None
    table = {}
    for split in ("test", "evaluation"):
        if split in evidence.splits:
            both = evidence.compared(evidence.after(split), evidence.as_loaded(split), split, MAIN)
            table[split] = AsLoaded(n=len(evidence.splits[split]), confidence=both.after, difference=both.difference)
    return table
