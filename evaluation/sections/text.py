"""Full-ECE on running text, before and after tuning."""

from __future__ import annotations

import numpy as np

from calibration_tuning.metrics.token_calibration import TokenCalibration
from evaluation.evidence import Evidence
from evaluation.passes.base import BOTH, State, unpack
from evaluation.schema import Text
from evaluation.sections.tokens import pair


def text(evidence: Evidence) -> Text | None:
    """Token metrics of the windows of `evaluation.text`, resampled by document; None where no text is given."""
    if evidence.config.evaluation.text is None:
        return None
    groups = np.array([row.group for row in evidence.texts])
    before, after = (_seen(evidence, state) for state in BOTH)
    return Text(
        path=evidence.config.evaluation.text.path,
        documents=len(np.unique(groups)),
        windows=len(groups),
        tokens=pair(evidence, before, after, groups),
    )


def _seen(evidence: Evidence, state: State) -> TokenCalibration:
    rows = dict(enumerate(evidence.texts))
    sums = evidence.findings.each("text", state, rows, lambda finding: unpack(finding["tokens"]))
    vocabulary = evidence.findings.need("text", state, rows[0])["vocabulary"]
    return TokenCalibration(evidence.config.evaluation.num_bins).restored(vocabulary, sums)
