"""metrics.json: every section, and Holm's correction over the tables of the headline."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from calibration_tuning.metrics.bootstrap import Interval
from calibration_tuning.metrics.comparison import Quantity, adjust
from calibration_tuning.metrics.confidence_metrics import METRICS
from calibration_tuning.metrics.token_calibration import TOKEN_METRICS
from calibration_tuning.runs.progress import progress
from evaluation.evidence import Evidence
from evaluation.sections import SECTIONS

SCHEMA_VERSION = 2
PACKAGES = ("calibration-tuning", "torch", "transformers", "peft", "numpy", "scipy", "scikit-learn", "relplot")


def metrics_of(evidence: Evidence) -> dict[str, Any]:
    config = evidence.config
    found: dict[str, Any] = {}
    with progress(len(SECTIONS), "computing", "sections") as bar:
        for name, section in SECTIONS.items():
            found[name] = section(evidence)
            bar.update(1)
    family = {
        split: adjust([*differences(found, split)]) for split in ("test", "evaluation") if split in found["headline"]
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "name": config.name,
        "model": config.model.path,
        "method": evidence.record.method,
        "calibrator": evidence.record.calibrator.model_dump(),
        "seed": config.seed,
        "num_bins": config.evaluation.num_bins,
        "bootstrap_samples": config.evaluation.bootstrap_samples,
        "examples": {split: len(rows) for split, rows in evidence.splits.items()},
        "base_rate": evidence.base_rate,
        "comparisons": family,
        "curation_fingerprint": evidence.manifest["fingerprint"],
        "inputs_fingerprint": evidence.record.inputs_fingerprint,
        "versions": {package: version(package) for package in PACKAGES},
        **found,
    }


def differences(metrics: dict[str, Any], split: str) -> Iterator[tuple[Quantity, Interval]]:
    """What the tables of a split compare, all of it: the family that p-values are corrected over."""
    headline = metrics["headline"][split]
    for name, entry in headline["difference"].items():
        yield METRICS[name], entry
    for part in ("tuning", "over_base_rate"):
        yield METRICS["brier"], headline[part]["brier"]
    if split == "test":
        for name, entry in metrics["tokens"]["equal_width"]["difference"].items():
            if name != "full_ece_nk":  # full_ece in another unit
                yield TOKEN_METRICS[name], entry
        for binning in ("log", "equal_mass"):
            yield TOKEN_METRICS["full_ece"], metrics["tokens"][binning]["difference"]["full_ece"]
        if metrics["query_tokens"] is not None:
            yield TOKEN_METRICS["full_ece"], metrics["query_tokens"]["difference"]["full_ece"]
