"""What pins down a model, and a training on it.

Needs torch for models on the hub, and for a wheel that is not converted yet.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.run import RunConfig
from calibration_tuning.lm.pypi_source import resolve_model_path
from calibration_tuning.runs.files import fingerprint, sha256_file

SMALL = (".json", ".jinja", ".model", ".tiktoken", ".txt", ".py")
"""Files of a model besides its weights: configurations, tokenizer, chat template, code of its own."""


def model_identity(settings: ModelSettings) -> dict[str, Any]:
    """What pins the model down: the hub's commit, or the hashes and sizes of a folder's files."""
    folder = Path(resolve_model_path(settings.path))
    if not folder.is_dir():
        from calibration_tuning.lm.models import load_model_config  # brings torch

        return {"path": settings.path, "commit": getattr(load_model_config(settings), "_commit_hash", None)}
    small = [path for path in sorted(folder.iterdir()) if path.suffix in SMALL and path.is_file()]
    return {
        "path": settings.path,
        "sha256": {path.name: sha256_file(path) for path in small},
        "weights": {path.name: _sampled(path) for path in sorted(folder.glob("*.safetensors"))},
    }


def _sampled(path: Path) -> str:
    """Size, and hash of the beginning and the end: tens of gigabytes need not be read to see that weights changed."""
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(1 << 20))
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read())
    return f"{size} {digest.hexdigest()[:16]}"


def training_identity(config: RunConfig, curation_fingerprint: str) -> str:
    """Fingerprint of what decides a checkpoint: the settings of model and training, the model's files and the curated
    set."""
    return fingerprint([config.training_inputs(), curation_fingerprint, model_identity(config.model)])
