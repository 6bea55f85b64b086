"""The folders that stages hand to each other, as artifacts."""

from __future__ import annotations

from calibration_tuning.config.run import RunConfig
from calibration_tuning.tracking.tracker import Artifact


def dataset(config: RunConfig, fingerprint: str) -> Artifact:
    """The curated set; one of another run (`curated:`) bears that run's name."""
    run = config.curation_dir.resolve().parent.name
    return Artifact(f"{run}-curation", "dataset", fingerprint, config.curation_dir)


def checkpoint(config: RunConfig, fingerprint: str) -> Artifact:
    return Artifact(f"{config.name}-checkpoint", "model", fingerprint, config.checkpoint_dir)


def report(config: RunConfig, fingerprint: str) -> Artifact:
    return Artifact(f"{config.name}-evaluation", "evaluation", fingerprint, config.evaluation_dir)
