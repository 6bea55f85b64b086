"""Where the stages, configurations and launch files are: in a clone beside this package, in the wheel inside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).parent
SIGNS = ("pyproject.toml", "data_curation/__main__.py")
"""Files that are at the root of a clone."""


def is_clone(folder: Path) -> bool:
    return all((folder / name).is_file() for name in SIGNS)


ROOT = PACKAGE.parent if is_clone(PACKAGE.parent) else PACKAGE / "pipeline"
"""Folder of `data_curation`, `training`, `evaluation`, `publishing`, `configs` and `launch`."""


def shipped(path: Path) -> Path:
    """`path`, or the shipped file of that name (`configs/demo.yaml`) if the working directory has none. `~` is the
    user's home folder."""
    path = Path(os.path.expanduser(path))  # noqa: PTH111  Path's own fails for a user who is not there
    return ROOT / path if not path.exists() and (ROOT / path).is_file() else path


def import_path(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables with which a child process can import the stages; none in the root of a clone, where it can already.

    The working directory is taken off the child's path: a folder `evaluation` of the user's must not be imported.
    """
    if is_clone(Path.cwd()):
        return {}
    before = environment.get("PYTHONPATH")
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *([before] if before else [])])}
