"""A curation run that is killed, or shared by two processes, leaves what an undisturbed run leaves."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from calibration_tuning.records import read_records
from tests.forked import Forked, Program, completed

pytestmark = pytest.mark.slow
SETTINGS = ["curation.engine.batch_size=3", "curation.samples=1", "curation.max_new_tokens=6"]
FILES = [
    "README.md",
    "SHA256SUMS",
    "calibration.parquet",
    "dropped.jsonl",
    "few_shot.json",
    "manifest.json",
    "test.parquet",
    "train.parquet",
    "validation.parquet",
]


def arguments(config: Path, output: Path) -> list[str]:
    return [str(config), f"output_dir={output}", *SETTINGS]


def curated(config: Path, output: Path) -> str:
    """What a run to the end says."""
    done = completed("data_curation", *arguments(config, output), NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[[Path], Path]
) -> tuple[Path, Path]:
    """(settings file, curated set) of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = write_tiny_config(folder)
    curated(config, folder / "runs")
    return config, folder / "runs" / "tiny" / "curation"


def lines(run: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in run.glob(".curation-*/answers/*.jsonl"))


def test_killed_again_and_again_it_ends_with_the_same_bytes(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    config, expected = undisturbed
    run = tmp_path / "tiny"
    draw = random.Random(0)
    seen = [0]
    # Once while questions are selected, then after ever more answers.
    for goal in [-1, *sorted(draw.sample(range(1, 100), 3))]:
        said = tmp_path / f"said-{goal}.txt"
        process = Forked(Program("data_curation", arguments(config, tmp_path), said, environment={"NO_COLOR": "1"}))
        while process.poll() is None:
            if goal == -1 and said.is_file() and "selecting" in said.read_text():
                break
            if lines(run) >= goal > -1:
                break
            time.sleep(0.005)
        process.kill()
        process.wait()
        assert not (run / "curation").exists()
        seen.append(lines(run))
    assert seen == sorted(seen)
    assert f"resuming after {seen[-1]} finished answers" in curated(config, tmp_path)
    assert sorted(path.name for path in run.iterdir()) == ["config.yaml", "curation"]
    assert sorted(path.name for path in (run / "curation").iterdir()) == FILES
    for name in FILES:
        assert (run / "curation" / name).read_bytes() == (expected / name).read_bytes(), name


def test_two_processes_give_the_same_set_as_one(undisturbed: tuple[Path, Path], tmp_path: Path) -> None:
    config, expected = undisturbed
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port)]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "data_curation", *arguments(config, tmp_path)],
        env=os.environ | {"NO_COLOR": "1", "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = tmp_path / "tiny" / "curation"
    for split in ("train", "validation", "calibration", "test"):
        one, two = (read_records(folder / f"{split}.parquet") for folder in (expected, found))
        bare: dict[str, list] = {"token_logprobs": [], "samples": []}
        assert [r.model_copy(update=bare) for r in two] == [r.model_copy(update=bare) for r in one]
        assert [s.answer for r in two for s in r.samples] == [s.answer for r in one for s in r.samples]
        logprobs = [
            pq.read_table(folder / f"{split}.parquet")["token_logprobs"].to_pylist() for folder in (expected, found)
        ]
        for a, b in zip(*logprobs, strict=True):
            assert b == pytest.approx(a, abs=1e-4)
