"""SHA256SUMS: what a finished folder's files were when they were written, as `sha256sum -c` reads it too.

Parquet and safetensors files have no checksum of their own: with a bit flipped, they load and give other numbers.
"""

from __future__ import annotations

from pathlib import Path

from calibration_tuning.errors import UserError
from calibration_tuning.runs.files import sha256_file, write_text

SUMS = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    """Write the checksums of all files directly in `folder`."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    write_text(folder / SUMS, sums({name: sha256_file(folder / name) for name in names}))


def sums(digests: dict[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def check_sums(folder: Path, made_by: str) -> None:
    """Raises `UserError` for the first file that is not what was written. A folder without SHA256SUMS, such as one that
    was put together by hand, is taken as it is."""
    if (name := damaged(folder)) is not None:
        raise UserError(
            f"{folder / name}: is not what was written (see {SUMS}); if you have changed it, remove {SUMS}, else run "
            f"`{made_by}` again with --force"
        )


def damaged(folder: Path) -> str | None:
    """The first file that is missing or not what was written."""
    path = folder / SUMS
    if not path.is_file():
        return None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        if not name or Path(name).name != name:
            return SUMS
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            return name
    return None
