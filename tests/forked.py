"""`python -m MODULE` in a process that is forked from one which has imported torch and the rest already.

Importing them takes longer than a stage on the tiny model, and tests of what happens to processes start many. The
standard library's fork server does the work: it imports once, has no threads, and forks at every start. Processes that
such a process starts, stages of `calibration-tuning run` and ranks of a launch, are forked from it in turn. Each of
these ways is tested with processes started anew as well: tests/test_end_to_end.py, tests/training/test_strategies.py.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NoReturn

import huggingface_hub.constants

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.imported"])


@dataclass(frozen=True)
class Program:
    """What follows `python -m`, and what surrounds it."""

    module: str
    """Or a file's path, as without `-m`."""
    arguments: Sequence[str]
    output: Path
    errors: Path | None = None
    """Where the second stream goes, if not to `output` too."""
    environment: dict[str, str] = field(default_factory=dict)
    """On top of this process's."""


class Forked:
    """Of `subprocess.Popen`, what tests use. The process leads a session of its own."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: ForkServerProcess = SERVER.Process(target=_run, args=(program, dict(os.environ)))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """With -9, and whatever it has started."""
        if self.returncode is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:  # it leads no session yet
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.program.module, timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        self.wait(timeout)
        return self.program.output.read_text(encoding="utf-8", errors="replace"), None


def completed(module: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`subprocess.run` of `python -m module`, with what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        process = Forked(Program(module, [str(word) for word in arguments], output, errors, environment))
        process.wait()
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in (output, errors)]
    return subprocess.CompletedProcess([module, *map(str, arguments)], process.returncode or 0, *texts)


def _run(program: Program, environment: dict[str, str]) -> None:
    """In the forked process."""
    os.setsid()
    for stream, path in ((sys.stdout, program.output), (sys.stderr, program.errors or program.output)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(environment | program.environment)
    importlib.reload(huggingface_hub.constants)  # the hub's address and folders, read from the environment
    if program.module == "accelerate.commands.launch":
        import torch.distributed.run

        torch.distributed.run.run = _run_ranks
    if program.module == "calibration_tuning.cli":
        from calibration_tuning.runs import children

        children.subprocess = sys.modules[__name__]  # type: ignore[assignment]
    _run_module(program.module, program.arguments)


def _run_module(module: str, arguments: Sequence[str]) -> NoReturn:
    """To the end of the process."""
    sys.argv = [module, *arguments]
    code: Any = 0
    try:
        if module.endswith(".py"):
            runpy.run_path(module, run_name="__main__")
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _fork(module: str, arguments: Sequence[str], environment: dict[str, str]) -> int:
    """The id of a process that runs the module."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    process = os.fork()
    if process == 0:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        os.environ.update(environment)
        _run_module(module, arguments)
    return process


class Popen:
    """Of `subprocess.Popen`, what `calibration_tuning.runs.children` uses, for `[PYTHON, "-m", MODULE, ...]`."""

    def __init__(self, words: Sequence[str], env: dict[str, str]) -> None:
        assert words[1] == "-m", words
        self.pid = _fork(words[2], words[3:], env)
        self.returncode: int | None = None

    def __enter__(self) -> Popen:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def terminate(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)


def _run_ranks(arguments: Any) -> None:
    """`torch.distributed.run.run` with the launcher's arguments: as torchrun, it ends all ranks when one fails."""
    size = int(arguments.nproc_per_node)
    ranks = set()
    for rank in range(size):
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(arguments.master_port)}
        environment = meeting | {name: str(number) for name, number in numbers.items()}
        ranks.add(_fork(arguments.training_script, arguments.training_script_args, environment))
    while ranks:
        process, status = os.wait()
        ranks.remove(process)
        if status:
            for other in ranks:
                os.kill(other, signal.SIGKILL)
            sys.exit(1)
