from pathlib import Path

import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.records import read_records
from calibration_tuning.runs.files import read_json, recover_folder, whole_folder, write_json
from calibration_tuning.runs.stage import already_made


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(FileNotFoundError), whole_folder(target) as folder:
        (folder / "half" / "there").touch()
    assert not target.exists()
    with whole_folder(target) as folder:
        (folder / "new").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failed_replacement_keeps_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(RuntimeError), whole_folder(target):
        raise RuntimeError
    assert (target / "old").exists()


def test_killed_between_the_two_renames(tmp_path: Path) -> None:
    (tmp_path / ".out.previous").mkdir()
    (tmp_path / ".out.previous" / "old").touch()
    recover_folder(tmp_path / "out")
    assert (tmp_path / "out" / "old").exists()
    assert not (tmp_path / ".out.previous").exists()


def test_finished_work_is_kept_and_other_work_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert not already_made(folder, "r.json", "a", force=False)
    folder.mkdir()
    write_json(folder / "r.json", {"inputs_fingerprint": "a"})
    assert already_made(folder, "r.json", "a", force=False)
    assert not already_made(folder, "r.json", "b", force=True)
    with pytest.raises(UserError, match="other settings"):
        already_made(folder, "r.json", "b", force=False)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "run `make it` first"), ("{", "not valid JSON"), ("[]", "object")]
)
def test_unreadable_json_names_the_command_that_writes_it(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_json(tmp_path / "x.json", "make it")


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "test.parquet"
    with pytest.raises(UserError, match="curate CONFIG"):
        read_records(path)
    path.write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(UserError, match="not a readable parquet file"):
        read_records(path)


def test_only_the_first_process_puts_a_folder_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that both do it can each remove what the other is renaming."""
    folder, aside = tmp_path / "out", tmp_path / ".out.previous"
    aside.mkdir()
    write_json(aside / "r.json", {"inputs_fingerprint": "a"})
    monkeypatch.setenv("RANK", "1")

    def as_the_first_process_does() -> None:
        assert aside.is_dir()
        recover_folder(folder)

    assert already_made(folder, "r.json", "a", False, as_the_first_process_does)
    monkeypatch.setenv("RANK", "0")
    folder.rename(aside)
    assert already_made(folder, "r.json", "a", False, lambda: None)
