"""A curated set of recorded answers, half of them right, on the tiny model; made once, used by every training test."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.forked import Forked, Program

LAUNCH = Path("launch/accelerate")


@pytest.fixture(scope="session")
def curated(
    made_once: Callable[[str, Callable[[Path], object]], Path], write_tiny_config: Callable[[Path], Path]
) -> Path:
    """The YAML of a run that has been curated: 24 examples to train on, with three sampled answers each."""
    return made_once("curated", lambda folder: curate_recorded(write_tiny_config(folder))) / "tiny.yaml"


def curate_recorded(path: Path) -> None:
    from calibration_tuning.config.run import load_run_config
    from data_curation.__main__ import curate
    from data_curation.question_sets import load_questions

    values = yaml.safe_load(path.read_text())
    answers = path.parent / "answers.jsonl"
    values["curation"] |= {"engine": {"kind": "recorded", "path": str(answers)}, "samples": 3}
    path.write_text(yaml.safe_dump(values))
    config = load_run_config(path, [])
    rows = []
    for number, question in enumerate(load_questions(config.questions[0], None).questions):
        right = question.references[0]
        for sample in range(4):
            answer = right if (number + sample) % 2 else f"about {int(right) + 3 * (sample + 1)}"
            rows.append({"id": question.id, "answer": answer, "sample": sample})
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    curate(config, False)


Process = subprocess.Popen[str] | Forked


class Command:
    """`python -m training` in other processes, on one thread each, in folders of its own. They are forked from one that
    has imported everything, or started `anew` as users start them."""

    def __init__(self, curated: Path, folder: Path) -> None:
        self.curated, self.folder = curated, folder
        self.started: list[Process] = []

    def arguments(self, name: str, *overrides: str) -> list[str]:
        own = [f"name={name}", f"output_dir={self.folder}", f"curated={self.curated.parent / 'runs/tiny/curation'}"]
        return [str(self.curated), *own, "training.batch_size=8", *overrides]

    def run_dir(self, name: str) -> Path:
        return self.folder / name

    def adapter(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.run_dir(name) / "checkpoint/adapter_model.safetensors")

    def launcher(self, engine: str | None, processes: int) -> list[str]:
        """What stands between `python` and the arguments. `engine`: a file of launch/accelerate, here with few
        processes and in float32; None is a single process."""
        if engine is None:
            return ["-m", "training"]
        # Without an accelerator, accelerate has to be talked into FSDP, and DeepSpeed out of compiling.
        library = engine.partition("_")[0]
        module = [f"tests/training/{library}_on_cpu.py"] if library in ("fsdp2", "deepspeed") else ["-m", "training"]
        launch = ["-m", "accelerate.commands.launch", "--config_file", str(LAUNCH / f"{engine}.yaml")]
        return [
            *launch,
            "--num_processes",
            str(processes),
            "--mixed_precision",
            "no",
            "--main_process_port",
            free_port(),
            *module,
        ]

    def start(
        self,
        name: str,
        *overrides: str,
        engine: str | None = None,
        processes: int = 2,
        anew: bool = False,
        **environment: str,
    ) -> Process:
        variables = {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "PYTHONPATH": "."} | environment
        words = [*self.launcher(engine, processes), *self.arguments(name, *overrides)]
        if anew:
            command, pipe = [sys.executable, *words], subprocess.PIPE
            process: Process = subprocess.Popen(
                command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=os.environ | variables
            )
        else:
            output = self.folder / f"output-{len(self.started)}.txt"
            process = Forked(Program(words[1], words[2:], output, environment=variables))
        self.started.append(process)
        return process

    def finish(
        self,
        name: str,
        *overrides: str,
        engine: str | None = None,
        processes: int = 2,
        anew: bool = False,
        **environment: str,
    ) -> str:
        process = self.start(name, *overrides, engine=engine, processes=processes, anew=anew, **environment)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output[-4000:]
        return output

    def kill_after(
        self,
        checkpoints: int,
        name: str,
        *overrides: str,
        engine: str | None = None,
        processes: int = 2,
        finished: bool = False,
    ) -> None:
        """Start it, and kill every process with -9 once that many checkpoints have been written. `finished`: an earlier
        run has left a checkpoint folder."""
        work = self.run_dir(name) / ".training"
        before = {folder.name for folder in work.glob("step-*")}
        process = self.start(name, *overrides, engine=engine, processes=processes)
        deadline = time.monotonic() + 300
        while len({folder.name for folder in work.glob("step-*")} - before) < checkpoints:
            assert process.poll() is None, process.communicate()[0][-4000:]
            assert time.monotonic() < deadline, "no checkpoint in five minutes"
            time.sleep(0.01)
        ranks = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        while not all(map(has_ended, ranks)):
            time.sleep(0.01)
        process.communicate()
        done = (self.run_dir(name) / "checkpoint").exists() if not finished else not list(work.glob("step-*"))
        assert not done, "it had finished before it could be killed"


@pytest.fixture(scope="module")
def training(curated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    command = Command(curated, tmp_path_factory.mktemp("runs"))
    yield command
    for process in command.started:  # what a failed test left behind
        process.kill()


def has_ended(process: psutil.Process) -> bool:
    """With all its threads: the others may hold its files, and their locks, when the first has gone."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])
