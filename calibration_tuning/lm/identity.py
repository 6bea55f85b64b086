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
CONFIGURATIONS = ("config.json", "generation_config.json")


def pinned(settings: ModelSettings) -> ModelSettings:
    """The settings with the commit that their revision leads to. Those of a folder or a wheel stay as they are."""
    if Path(resolve_model_path(settings.path)).is_dir():
        return settings
    return settings.model_copy(update={"revision": _commit(settings)})


def base_files(settings: ModelSettings) -> dict[str, str]:
    """What a folder's model computes by: its weights, configurations and code with their hashes. Weights are hashed as
    in `model_identity`, so this takes a moment whatever their size.

    Empty for a model on the hub, which its commit pins, and for one in a wheel, whose file is checked as it is fetched.
    """
    if not Path(settings.path).is_dir():
        return {}
    identity = model_identity(settings)
    small = {n: digest for n, digest in identity["sha256"].items() if n in CONFIGURATIONS or n.endswith(".py")}
    return small | identity["weights"]


def model_identity(settings: ModelSettings) -> dict[str, Any]:
    """What pins the model down: the hub's commit, or the hashes and sizes of a folder's files."""
    folder = Path(resolve_model_path(settings.path))
    if not folder.is_dir():
        return {"path": settings.path, "commit": _commit(settings)}
    small = [path for path in sorted(folder.iterdir()) if path.suffix in SMALL and path.is_file()]
    return {
        "path": settings.path,
        "sha256": {path.name: sha256_file(path) for path in small},
        "weights": {path.name: _sampled(path) for path in sorted(folder.glob("*.safetensors"))},
    }


def _commit(settings: ModelSettings) -> str:
    """The commit on the hub; where the hub is out of reach, that in the cache of its client."""
    from transformers.utils import cached_file

    from calibration_tuning.lm.models import loading  # brings torch

    with loading(settings):
        config = str(cached_file(settings.path, "config.json", revision=settings.revision))
    return Path(config).parent.name  # models--ORG--NAME/snapshots/COMMIT/config.json


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
