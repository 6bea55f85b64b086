"""File systems without locks, and what is refused on those that have them."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.runs.locks import in_turn, lock_folder


def failing(number: int) -> Any:
    def flock(file: Any, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    return flock


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """Lustre mounted without `flock`, and some NFS."""
    monkeypatch.setattr(fcntl, "flock", failing(number))
    with lock_folder(tmp_path / "run") as file:
        assert not file.closed
    assert capsys.readouterr().err == (
        f"warning: {tmp_path / 'run'}: this file system has no file locks ({os.strerror(number)}), so two runs in one "
        "folder are not noticed; start only one\n"
    )
    with in_turn(tmp_path / "wheels" / ".lock"):
        pass
    assert "has no file locks" in capsys.readouterr().err


def test_other_faults_of_a_lock_are_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        lock_folder(tmp_path / "run")


def test_a_folder_that_is_locked_is_refused(tmp_path: Path) -> None:
    with (
        lock_folder(tmp_path / "run"),
        pytest.raises(UserError, match=rf"another process is at work here \(process {os.getpid()} on "),
    ):
        lock_folder(tmp_path / "run")
