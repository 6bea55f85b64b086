"""Trackers by themselves: missing packages, runs that are continued, sweeps, what is used of another stage."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.errors import UserError
from calibration_tuning.extras import pip_install
from calibration_tuning.tracking import Artifact, Moment, Table, tracked
from calibration_tuning.tracking.tensorboard_tracker import markdown
from calibration_tuning.tracking.wandb_tracker import WandbTracker

DATASET = Artifact("demo-curation", "dataset", "0123abcd", Path("runs/demo/curation"))


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    path = tmp_path / "run.yaml"
    path.write_text(
        f"{{name: x, output_dir: {tmp_path}/runs, model: {{path: m}}, questions: [{{path: 'embedded:arithmetic'}}]}}"
    )
    return load_run_config(path, [])


def to(config: RunConfig, name: str) -> RunConfig:
    return config.model_copy(update={"tracking": config.tracking.model_copy(update={"to": name})})


@pytest.mark.slow
@pytest.mark.parametrize("package", ["tensorboard", "trackio"])
def test_a_missing_package_is_one_sentence_before_the_work(package: str, tmp_path: Path) -> None:
    """In a process of its own, as a user sees it: exit code, message, and that torch was not waited for."""
    code = (
        "import sys, runpy\n"
        f"sys.modules[{package!r}] = None\n"
        f"sys.argv = ['training', 'configs/demo.yaml', 'output_dir={tmp_path}', 'tracking.to={package}']\n"
        "try:\n"
        "    runpy.run_module('training', run_name='__main__')\n"
        "finally:\n"
        "    print('torch' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 2, found.stderr
    assert found.stderr.splitlines() == [
        f"error: tracking.to: {package} is not installed; {pip_install(package)}, or choose tracking.to=none"
    ]
    assert found.stdout.strip() == "False"
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_found_without_a_stage(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match="tensorboard is not installed"), tracked(to(config, "tensorboard"), "train"):
        pass


@pytest.mark.slow
def test_tensorboard_forgets_what_the_checkpoint_did_not_see(config: RunConfig) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def log(begin: int, steps: range, value: float) -> list[tuple[int, float]]:
        with tracked(to(config, "tensorboard"), "train", step=begin) as tracker:
            for step in steps:
                tracker.log(Moment({"loss": value}, step=step))
        events = EventAccumulator(str(config.run_dir / "tensorboard/train"))
        events.Reload()
        return [(event.step, event.value) for event in events.Scalars("loss")]

    log(0, range(0, 5), 1.0)
    assert log(2, range(3, 5), 2.0) == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]
    assert log(0, range(0, 2), 3.0) == [(0, 3.0), (1, 3.0)], "a training that begins anew"


@pytest.mark.slow
def test_trackio_goes_on_with_a_run_and_stays_on_this_machine(tmp_path: Path) -> None:
    """In a process of its own, as trackio keeps the folder it was imported with."""
    code = (
        "import os\n"
        "from calibration_tuning.config.run import load_run_config\n"
        "from calibration_tuning.tracking import Moment, tracked\n"
        f"config = load_run_config('configs/demo.yaml', ['output_dir={tmp_path}', 'tracking.to=trackio'])\n"
        "for begin in (0, 2, 0):\n"
        "    with tracked(config, 'train', step=begin) as tracker:\n"
        "        for step in range(begin, begin + 3):\n"
        "            tracker.log(Moment({'loss': 1.0}, step=step))\n"
        "print('TRACKIO_SPACE_ID' in os.environ)\n"
    )
    environment = {"TRACKIO_SPACE_ID": "someone/space", "HF_HUB_OFFLINE": "1", "PATH": "", "PYTHONPATH": "."}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "False", "and nothing else is printed"
    with sqlite3.connect(tmp_path / "demo/trackio/calibration-tuning.db") as database:
        rows = database.execute("select run_id, step from metrics order by id").fetchall()
    first, second = dict.fromkeys(run for run, _ in rows)
    assert rows == [(first, step) for step in (0, 1, 2, 2, 3, 4)] + [(second, step) for step in (0, 1, 2)]


@pytest.mark.slow
def test_trackio_links_the_stages_of_a_run(tmp_path: Path) -> None:
    code = (
        "from calibration_tuning.config.run import load_run_config\n"
        "from calibration_tuning.tracking import Moment, tracked\n"
        "from calibration_tuning.tracking.artifacts import dataset\n"
        f"config = load_run_config('configs/demo.yaml', ['output_dir={tmp_path}', 'tracking.to=trackio'])\n"
        "config.curation_dir.mkdir(parents=True)\n"
        "(config.curation_dir / 'manifest.json').write_text('{}')\n"
        "with tracked(config, 'curate') as tracker:\n"
        "    tracker.log_artifact(dataset(config, '0123abcd'))\n"
        "with tracked(config, 'train') as tracker:\n"
        "    tracker.use_artifact(dataset(config, '0123abcd'))\n"
        "    tracker.use_artifact(dataset(config, 'another'))\n"
    )
    environment = {"HF_HUB_OFFLINE": "1", "PATH": "", "PYTHONPATH": "."}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    with sqlite3.connect(tmp_path / "demo/trackio/calibration-tuning.db") as database:
        links = database.execute("select run_name, direction from run_artifact_links order by rowid").fetchall()
    assert links == [("demo-curate", "output"), ("demo-train", "input")]


def test_a_tables_cells_cannot_break_it() -> None:
    table = Table(["question", "p", "right"], [["a | b\nc *d*", 0.123456, True], ["<b>", None, 3]])
    assert markdown(table).splitlines() == [
        "| question | p | right |",
        "| --- | --- | --- |",
        r"| a \| b c \*d\* | 0.1235 | True |",
        r"| \<b\> |  | 3 |",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [False, True])
def test_the_trials_of_a_sweep_keep_the_id_that_the_agent_gave(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, sweep: bool
) -> None:
    import wandb

    given: dict[str, Any] = {}
    monkeypatch.setattr(wandb, "init", lambda **options: given.update(options) or Run())
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    if sweep:
        monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    with tracked(config, "train", "our-id"):
        pass
    assert (given["name"], given["group"], given["job_type"]) == ("x-train", "x", "train")
    assert given.get("id") == (None if sweep else "our-id")
    assert ("resume" in given) == (not sweep)


@pytest.mark.parametrize(
    ("variable", "setting", "mode"),
    [("offline", "online", "offline"), ("", "offline", "offline"), ("disabled", "online", None)],
)
def test_wandbs_own_variable_counts(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, variable: str, setting: str, mode: str | None
) -> None:
    import wandb

    asked: list[str] = []

    def init(mode: str, **options: Any) -> Run:
        asked.append(mode)
        return Run()

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_MODE", variable)
    tracking = config.tracking.model_copy(update={"wandb": setting})
    with tracked(config.model_copy(update={"tracking": tracking}), "train", None):
        pass
    assert asked == ([] if mode is None else [mode])


class Run:
    """What a W&B run is asked for."""

    def __init__(self, offline: bool = False, error: Exception | None = None) -> None:
        self.offline, self.error = offline, error
        self.used: list[tuple[str, str]] = []
        self.exit_code: int | None = None

    def use_artifact(self, name: str, type: str) -> None:
        self.used.append((name, type))
        if self.error is not None:
            raise self.error

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


def test_wandb_is_told_which_version_a_run_used(capsys: pytest.CaptureFixture[str]) -> None:
    online, offline = Run(), Run(offline=True)
    for run in (online, offline):
        WandbTracker(run, "train").use_artifact(DATASET)
    assert online.used == [("demo-curation:0123abcd", "dataset")]
    assert offline.used == [], "W&B refuses it there"
    assert capsys.readouterr().err == ""


def test_an_artifact_that_wandb_does_not_know_costs_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    from wandb.errors import CommError

    for error in (CommError("no such artifact"), ValueError("bad name"), RuntimeError("service is gone")):
        WandbTracker(Run(error=error), "train").use_artifact(DATASET)
        assert capsys.readouterr().err == f"warning: W&B does not link this run to demo-curation ({error})\n"


def test_a_stage_that_fails_is_shown_as_failed(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    run = Run()
    monkeypatch.setattr(wandb, "init", lambda **options: run)
    with pytest.raises(KeyboardInterrupt), tracked(config, "train"):
        raise KeyboardInterrupt
    assert run.exit_code == 1
    with tracked(config, "train"):
        pass
    assert run.exit_code == 0
