"""A report of made-up evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.evidence import Evidence
from evaluation.metrics_json import metrics_of
from evaluation.report import write_report
from evaluation.schema import Metrics


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, evidence: Evidence) -> tuple[Path, Metrics]:
    folder, metrics = tmp_path_factory.mktemp("report"), metrics_of(evidence)
    write_report(folder, metrics, evidence)
    return folder, metrics
