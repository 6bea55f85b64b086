"""Which of our own files a module's results depend on: itself and everything it imports, directly or through others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from calibration_tuning.runs.files import fingerprint, sha256_file

PACKAGES = ("calibration_tuning", "data_curation", "training", "evaluation", "publishing")
"""Packages of this project. Others are pinned down by their version."""


@cache
def source_fingerprint(module: str) -> str:
    """Hash of the contents of `source_files(module)`, in hexadecimal."""
    return fingerprint([[file.name, sha256_file(file)] for file in source_files(module)])


def source_files(module: str) -> list[Path]:
    """The module's file, the files of all project modules that it imports anywhere in its code, and the files that are
    not Python beside them (kernels in C++, prompts). Sorted by path.

    Imports are read from the syntax tree, so nothing is run and an import within a function counts. Raises ValueError
    for a module that does not exist.
    """
    files: set[Path] = set()
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file = _file_of(name)
        if file is not None:
            files.add(file)
            files |= {path for path in file.parent.iterdir() if path.is_file() and path.suffix != ".py"}
            waiting += _imports(file)
    if not files:
        raise ValueError(f"{module}: no such module")
    return sorted(files)


def _file_of(module: str) -> Path | None:
    """None for what is a name within a module and not a module itself."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in PACKAGES)
