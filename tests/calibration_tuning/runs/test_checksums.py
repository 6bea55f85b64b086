"""SHA256SUMS of finished folders."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.runs.checksums import SUMS, check_sums, damaged, write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)))
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / "plots").mkdir()
    write_sums(tmp_path)
    return tmp_path


def test_an_untouched_folder_passes(folder: Path) -> None:
    assert [line.split()[1] for line in (folder / SUMS).read_text().splitlines()] == ["settings.json", "weights.bin"]
    (folder / "README.md").write_text("new")
    (folder / "thresholds.json").write_text("new")
    assert damaged(folder) is None
    check_sums(folder, "make it")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_is_what_sha256sum_reads(folder: Path) -> None:
    assert subprocess.run(["sha256sum", "-c", SUMS], cwd=folder, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("content", [None, b"", bytes(range(255)) + b"x"])
def test_names_the_file_that_is_not_what_was_written(folder: Path, content: bytes | None) -> None:
    path = folder / "weights.bin"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.bin: is not what was written .* run `make it` again with --force"):
        check_sums(folder, "make it")


@pytest.mark.parametrize("line", ["nonsense", "00  ../../etc/passwd", "00  /etc/passwd", "\x00\xff"])
def test_sums_that_are_damaged_themselves(folder: Path, line: str) -> None:
    (folder / SUMS).write_text(f"{line}\n")
    assert damaged(folder) == SUMS


def test_a_folder_without_sums_is_taken_as_it_is(folder: Path) -> None:
    (folder / SUMS).unlink()
    (folder / "weights.bin").unlink()
    check_sums(folder, "make it")
