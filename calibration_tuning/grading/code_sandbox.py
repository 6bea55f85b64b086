"""Runs a model's code with its tests, locked into a separate process that can compute and do nothing else."""

from __future__ import annotations

import functools
import math
import os
import platform
import secrets
import selectors
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration_tuning.errors import UserError
from calibration_tuning.grading import code_runner

_START_SECONDS = 60.0
_TAIL_BYTES = 4096
# One fixed seed, so that the order of a set cannot change a grade; one thread, since each takes its share of memory_mb.
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Outcome:
    verdict: Literal["passed", "failed", "timed_out"]
    reason: str = ""
    """Why it did not pass: the exception with the program's line, the signal, or the end of what it wrote to stderr."""


def run_program(program: str, timeout: float = 10.0, memory_mb: int = 512) -> Outcome:
    """Passed if `program` (Python) reaches its end without an exception within `timeout` seconds of wall-clock time.

    The program has `memory_mb` MiB of address space, an empty temporary folder, standard input at its end, and Python's
    own and installed packages. A seccomp filter lets through only the system calls that computing and reading need: no
    network, no process, no signal, no file written, removed or renamed, no limit lifted. Landlock, where the kernel has
    it (5.13), keeps everything unreadable but Python, the system's libraries and the folder. Threads may be started.
    Any number of calls may run in parallel. Time spent on starting Python is not counted.

    Not guarded: without Landlock the program reads what this user can read, though all that leaves it is `reason`.
    It shares its interpreter with its tests, so code written against this very sandbox can forge a pass: by an object
    that equals everything, or by taking the pass mark from the runner's frame. Ending early does not pass. A hole in
    the kernel is a hole in the sandbox: whoever expects attacks rather than accidents adds a virtual machine.

    Raises `UserError` where the locks cannot be put on (not Linux on x86_64 or aarch64, no seccomp), running nothing.
    """
    if sys.platform != "linux" or platform.machine() not in code_runner.ARCHITECTURES:
        here = f"{platform.system()} {platform.machine()}"
        raise UserError(f"grader code needs Linux on {' or '.join(code_runner.ARCHITECTURES)} to sandbox programs; "
                        f"this is {here}; leave its question sets out")  # fmt: skip
    mark = secrets.token_hex(code_runner.MARK_BYTES // 2).encode()
    cpu_seconds = math.ceil(timeout) + 1  # the second lock, should this process die
    with tempfile.TemporaryDirectory(prefix="program-") as folder, tempfile.TemporaryFile() as job:
        job.write(mark + program.encode(errors="replace"))
        job.seek(0)
        # -I without its -E, since the environment is ours: no packages of the user's, none from the script's folder.
        command = [sys.executable, "-sP", code_runner.__file__, str(memory_mb), str(cpu_seconds), folder]
        with subprocess.Popen(
            [*command, *_readable()], stdin=job, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder,
            env=_ENVIRONMENT, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                started, ended, output = _listen(process, mark, timeout)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    if not started:
        why = output.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise UserError(f"grader code needs Linux with seccomp; the sandbox did not start ({why[0]})")
    if not ended:
        return Outcome("timed_out", f"over {timeout:g} s")
    _, marked, verdict = output.rpartition(mark)
    if not marked:
        stderr = output.decode(errors="replace").strip()[-code_runner.REASON_LENGTH :]
        return Outcome("failed", f"{_end(process.returncode)} {stderr}".strip())
    if verdict == b"passed":
        return Outcome("passed")
    return Outcome("failed", verdict.removeprefix(b"failed ").decode(errors="replace"))


def _listen(process: subprocess.Popen[bytes], mark: bytes, timeout: float) -> tuple[bool, bool, bytes]:
    """Whether the program was started, whether it ended in time, and the last it wrote to stderr."""
    assert process.stderr is not None
    output, started, deadline = b"", False, time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while (remaining := deadline - time.monotonic()) > 0:
            if not selector.select(remaining):
                continue
            chunk = os.read(process.stderr.fileno(), 2**16)
            if not chunk:
                break
            output += chunk
            if not started and mark in output:
                output, started, deadline = output.partition(mark)[2], True, time.monotonic() + timeout
            output = output[-_TAIL_BYTES:]
    try:
        process.wait(max(0.0, deadline - time.monotonic()))  # a program may close its stderr and go on
    except subprocess.TimeoutExpired:
        return started, False, output
    return started, True, output


def _end(code: int) -> str:
    return f"killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended itself, exit code {code}"


@functools.cache
def _readable() -> list[str]:
    """Python with its packages, and where shared libraries and time zones lie."""
    prefixes = (sys.prefix, sys.base_prefix, "/usr", "/")
    libraries = [str(Path(prefix) / name) for prefix in prefixes for name in ("lib", "lib64")]
    packages = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    files = ["/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"]
    return sorted({*libraries, *packages, *files})
