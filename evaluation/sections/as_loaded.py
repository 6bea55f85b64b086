"""The confidences that a loaded checkpoint gives the same answers. The same block stands before every question."""

from __future__ import annotations

from calibration_tuning.metrics.confidence import MAIN
from evaluation.evidence import Evidence
from evaluation.schema import AsLoaded


def as_loaded(evidence: Evidence) -> dict[str, AsLoaded] | None:
    """By split: the metrics of the readout behind the loaded checkpoint's block, and their difference to the readout
    behind the block that an answer was written behind.

    None if the checkpoint reads only the query, whose block is the same everywhere.
    """
    if evidence.record.readout is None:
        return None
    table = {}
    for split in ("test", "evaluation"):
        if split in evidence.splits:
            compared = evidence.compared(evidence.after(split), evidence.as_loaded(split), split, MAIN)
            n = len(evidence.splits[split])
            table[split] = AsLoaded(n=n, confidence=compared.after, difference=compared.difference)
    return table
