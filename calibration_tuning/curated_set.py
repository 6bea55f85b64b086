"""A curated set as the other stages find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibration_tuning.errors import UserError
from calibration_tuning.runs.checksums import check_sums
from calibration_tuning.runs.files import read_json

MANIFEST = "manifest.json"
SCHEMA_VERSION = 2
"""Of the manifest and the splits beside it."""
MADE_BY = "calibration-tuning curate CONFIG"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Raises `UserError` where the set is missing, damaged, or of another version."""
    manifest = read_json(folder / MANIFEST, MADE_BY)
    if (found := manifest.get("schema_version")) != SCHEMA_VERSION:
        raise UserError(
            f"{folder / MANIFEST}, schema_version: {found}, but this version of calibration-tuning reads "
            f"{SCHEMA_VERSION}; run `{MADE_BY}` again with --force"
        )
    check_sums(folder, MADE_BY)
    return manifest
