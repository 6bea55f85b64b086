"""Which code made a curated set and its answers. Prompts and graders are code, and no setting says which they were."""

from __future__ import annotations

import sys
from pathlib import Path

from calibration_tuning.runs.files import read_json, write_text
from calibration_tuning.runs.source_code import source_fingerprint


def code() -> str:
    """Hash of all our files that curation's results depend on."""
    return source_fingerprint("data_curation.__main__")


def check_set(folder: Path) -> None:
    """Print a warning if the finished set in `folder` was made by other code than this."""
    if read_json(folder / "manifest.json", made_by="calibration-tuning curate CONFIG").get("code") != code():
        print(
            f"warning: {folder}: was made by another version of calibration-tuning, whose prompts and graders may "
            "differ; it is used as it is, and --force makes it again",
            file=sys.stderr,
        )


def check_work(work: Path) -> None:
    """Keep the hash of the code that begins the unfinished run in `work`. Print a warning if other code began it."""
    path = work / "code"
    if not (work / "plan").is_file():
        write_text(path, code())
    elif not path.is_file() or path.read_text(encoding="utf-8") != code():
        print(
            f"warning: {work}: its answers were made by another version of calibration-tuning and are kept; delete "
            "this folder to start over",
            file=sys.stderr,
        )
