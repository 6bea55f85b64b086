"""metrics.json: every section, and Holm's correction over the tables of the headline; no verdict is uncorrected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from calibration_tuning.metrics.bootstrap import Difference
from calibration_tuning.metrics.comparison import Quantity, holm_corrected
from calibration_tuning.metrics.confidence import METRICS
from calibration_tuning.metrics.token_calibration import TOKEN_METRICS
from calibration_tuning.runs.progress import progress
from evaluation.evidence import Evidence
from evaluation.schema import SCHEMA_VERSION, Metrics, with_corrected, with_differences
from evaluation.sections import SECTIONS

PACKAGES = ("calibration-tuning", "torch", "transformers", "peft", "numpy", "scipy", "scikit-learn", "relplot")


def metrics_of(evidence: Evidence) -> Metrics:
    config = evidence.config
    sections: dict[str, Any] = {}
    with progress(len(SECTIONS), "computing", "sections") as bar:
        for name, section in SECTIONS.items():
            sections[name] = section(evidence)
            bar.update(1)
    metrics = Metrics(
        schema_version=SCHEMA_VERSION,
        name=config.name,
        model=evidence.record.model.path,
        method=evidence.record.method,
        readout=evidence.record.readout,
        calibrator=evidence.record.calibrator,
        seed=config.seed,
        num_bins=config.evaluation.num_bins,
        bootstrap_samples=config.evaluation.bootstrap_samples,
        examples={split: len(rows) for split, rows in evidence.splits.items()},
        base_rate=evidence.base_rate,
        comparisons={},
        curation_fingerprint=evidence.manifest["fingerprint"],
        inputs_fingerprint=evidence.record.inputs_fingerprint,
        versions={package: version(package) for package in PACKAGES},
        **sections,
    )
    for split in ("test", *(("evaluation",) if metrics.headline.evaluation else ())):
        metrics = _corrected(metrics, split)
    # The primary comparison is tested by itself.
    return with_differences(metrics, _judged_if_corrected).model_copy(update={"primary": metrics.primary})


def _judged_if_corrected(difference: Difference) -> Difference:
    """The difference without a verdict where its p-value is not corrected for the others of a table."""
    return difference if difference.p_holm is not None else replace(difference, verdict="")


def _corrected(metrics: Metrics, split: str) -> Metrics:
    family = [*differences(metrics, split)]
    corrected = holm_corrected(family)
    counts = {split: sum(difference.p_holm is not None for difference in corrected)}
    metrics = with_corrected(metrics, [difference for _, difference in family], corrected)
    return metrics.model_copy(update={"comparisons": metrics.comparisons | counts})


def differences(metrics: Metrics, split: str) -> Iterator[tuple[Quantity, Difference]]:
    """What the tables of a split compare: the family that p-values are corrected over. The primary comparison is not
    in it."""
    headline = metrics.headline.test if split == "test" else metrics.headline.evaluation
    assert headline is not None
    for name, difference in headline.difference.items():
        yield METRICS[name], difference
    for changes in (headline.tuning, headline.over_base_rate, headline.over_subject_accuracy):
        yield METRICS["brier"], changes["brier"]
    if split == "test":
        tokens = metrics.tokens
        for table in (tokens.equal_width, *([metrics.text.tokens] if metrics.text is not None else [])):
            for name, difference in table.difference.items():
                if name != "full_ece_nk":  # full_ece in another unit
                    yield TOKEN_METRICS[name], difference
        for other in (tokens.log, tokens.equal_mass, metrics.query_tokens):
            if other is not None:
                yield TOKEN_METRICS["full_ece"], other.difference["full_ece"]
