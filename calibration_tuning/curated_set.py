"""A finished curated set: what curation hands to training and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import UserError, first_problem
from calibration_tuning.records import FewShot, QueryExample, Split, read_records
from calibration_tuning.runs.checksums import check_sums
from calibration_tuning.runs.files import read_json

MANIFEST = "manifest.json"
FEW_SHOT = "few_shot.json"
SCHEMA_VERSION = 4
"""Of the manifest and the splits beside it."""
MADE_BY = "calibration-tuning curate CONFIG"


def curation_folder(config: RunConfig) -> Path:
    """Folder of the run's curated set. Raises `UserError` if the setting `curated` names a folder without one."""
    if config.curated is not None and not (config.curated / MANIFEST).is_file():
        raise UserError(f"curated: {config.curated} holds no curated set (no {MANIFEST})")
    return config.curation_dir


def answers_of_others(manifest: Mapping[str, Any]) -> str | None:
    """Return whose answers the set holds ("answers of NAME"). Return None if they are those of its own model."""
    settings = manifest["settings"]
    engine = settings["curation"]["engine"]
    if engine["kind"] == "recorded":
        return f"recorded answers from {Path(engine['path']).name}"
    served = engine.get("served_model")
    return None if served in (None, settings["model"]["path"]) else f"answers of {served}"


@dataclass(frozen=True)
class CuratedSet:
    folder: Path
    manifest: dict[str, Any]
    few_shot: FewShot

    @classmethod
    def read(cls, folder: Path) -> CuratedSet:
        """Manifest and few-shot blocks; splits are read when they are asked for.

        Raises `UserError` where the set is missing, damaged, or of another version. Every file is read once for that,
        to compare it with SHA256SUMS.
        """
        manifest = read_json(folder / MANIFEST, MADE_BY)
        if (version := manifest.get("schema_version")) != SCHEMA_VERSION:
            raise UserError(
                f"{folder / MANIFEST}, schema_version: {version}, but this version of calibration-tuning reads "
                f"{SCHEMA_VERSION}; run `{MADE_BY}` again with --force"
            )
        check_sums(folder, MADE_BY)
        path = folder / FEW_SHOT
        try:
            few_shot = FewShot.model_validate(read_json(path, MADE_BY))
        except ValidationError as error:
            raise UserError(f"{path}{first_problem(error)}; run `{MADE_BY}` again with --force") from None
        return cls(folder, manifest, few_shot)

    @property
    def fingerprint(self) -> str:
        """Hash of the settings and files that the set was made from."""
        return str(self.manifest["fingerprint"])

    def path(self, split: Split) -> Path:
        return self.folder / f"{split}.parquet"

    def split(self, name: Split) -> list[QueryExample]:
        """The examples of one split, in the file's order. Raises `UserError` where the file is missing or damaged."""
        return read_records(self.path(name))

    def has(self, name: Split) -> bool:
        """True if the split exists. Only `evaluation` may be missing from a set that curation made."""
        return self.path(name).is_file()
