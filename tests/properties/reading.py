"""What a question file may come to, whatever is in it."""

from __future__ import annotations

from pathlib import Path

from calibration_tuning.errors import UserError
from data_curation.read_rows import READERS, Unreadable, read_file

KINDS = sorted([*READERS, "jsonl.gz", "csv.gz"])


def rows_or_one_sentence(path: Path) -> str | None:
    """The sentence that says why `path` cannot be read, None where it can; anything else is an error of the test."""
    try:
        rows = list(read_file(path))
    except UserError as error:
        said = str(error)
    else:
        assert all(isinstance(row, dict | Unreadable) for row in rows)
        return None
    assert str(path) in said
    return said
