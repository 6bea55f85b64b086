import ctypes
import os
import platform
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.grading import code_runner
from calibration_tuning.grading.code_sandbox import Outcome, run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is made of Linux's seccomp")
LANDLOCK = sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0


def test_a_right_solution_passes_and_a_wrong_one_says_where_it_failed() -> None:
    tests = "assert double(2) == 4\nassert double(3) == 6\n"
    assert run_program(f"def double(x):\n    return x * 2\n{tests}") == Outcome("passed")
    wrong = run_program(f"def double(x):\n    return x + 2\n{tests}")
    assert wrong == Outcome("failed", "AssertionError (line 4: assert double(3) == 6)")


def test_what_tests_of_programs_use_works() -> None:
    program = """
from __future__ import annotations
import dataclasses, datetime, hashlib, itertools, json, random, sys, threading, typing, zoneinfo
import numpy as np

@dataclasses.dataclass
class Point:
    x: int

if __name__ == "__main__":
    assert typing.get_type_hints(Point) == {"x": int}
    assert np.allclose(np.linalg.inv(np.eye(3)), np.eye(3))
    thread = threading.Thread(target=random.random)
    thread.start()
    thread.join()
    print(sys.argv, datetime.datetime.now(), file=sys.stderr)
    zoneinfo.ZoneInfo("UTC")
    assert sys.stdin.read() == ""
else:
    assert False
"""
    assert run_program(program) == Outcome("passed")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f(:\n", "SyntaxError"),
        ("def f(x: missing): pass", "NameError"),  # none of the runner's own __future__ imports
        ("import sys\nsys.exit(0)", "SystemExit: 0 (line 2: sys.exit(0))"),
        ("x = [0] * 10**10", "MemoryError (line 1: x = [0] * 10**10)"),
        ("import os\nos.fork()", "PermissionError"),
        ("import os\nfor _ in range(100): os.fork() or os._exit(0)", "PermissionError"),  # as harmless as bombs can be
        ("import os\nos.posix_spawn('/bin/true', ['true'], {})", "PermissionError"),
        ("import os\nos.execv('/bin/true', ['true'])", "PermissionError"),
        ("import subprocess\nsubprocess.run(['true'])", "PermissionError"),
        ("import os\nos.system('exit 3') == 0 or 1 / 0", "ZeroDivisionError"),
        ("import socket\nsocket.socket()", "PermissionError"),
        ("import socket\nsocket.socketpair()", "PermissionError"),
        ("import os\nos.kill(os.getppid(), 0)", "PermissionError"),
        ("import os\nos.kill(os.getpid(), 0)", "PermissionError"),
        ("import fcntl\nfcntl.fcntl(2, fcntl.F_SETOWN, 1)", "PermissionError"),
        ("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "not allowed to raise"),
        ("import os\nos.setuid(1)", "PermissionError"),
        ("import ctypes\nctypes.string_at(0)", "killed by signal 11"),
        ("import os\nos.write(2, b'told' * 1000)\nos._exit(3)", "ended itself, exit code 3 told"),
        ("input()", "EOFError"),
        ("raise ValueError('x' * 10**6)", "ValueError: xxx"),
        ("assert '\ud800' != '?'", "AssertionError"),  # no Unicode text, as a model cannot quite write
    ],
)
def test_what_is_wrong_or_forbidden_fails_with_a_reason(program: str, reason: str) -> None:
    outcome = run_program(program)
    assert outcome.verdict == "failed"
    assert reason in outcome.reason
    assert len(outcome.reason) <= 2 * code_runner.REASON_LENGTH


@pytest.mark.parametrize(
    "ending",
    [
        "import sys\nsys.exit(0)",
        "import sys\nsys.exit()",
        "import os\nos._exit(0)",
        "raise SystemExit(0)",
        "exit()",
        "import os\nos.write(2, b'passed')\nos._exit(0)",
        "import os\nos.close(2)",
        "import sys\nsys.exit = lambda code: None\nassert False",
        "import builtins\nbuiltins.BaseException = builtins.AssertionError = ()\nassert False",
        "import os\nos._exit = os.write = lambda *a: None\nassert False",
        "import sys\nsys.excepthook = lambda *a: None\nassert False",
        "import atexit, os\natexit.register(os._exit, 0)\nassert False",
        "class Silent(Exception):\n    def __str__(self): raise SystemExit(0)\nraise Silent",
    ],
)
def test_ending_early_or_quietly_is_no_pass(ending: str) -> None:
    assert run_program(f"{ending}\nassert 1 == 2").verdict == "failed"


def test_printing_without_end_costs_nothing() -> None:
    program = "import sys\nfor _ in range(1000):\n    print('x' * 2**16)\n    print('x' * 2**16, file=sys.stderr)"
    assert run_program(program) == Outcome("passed")  # putting all of it together would take over 10 s


def test_replaced_builtins_do_not_stop_a_right_solution_from_passing() -> None:
    program = "import builtins, os, sys\nos.write = os._exit = sys.exit = builtins.print = builtins.len = None"
    assert run_program(program) == Outcome("passed")


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "import time\ntime.sleep(60)",
        "import os, time\nos.close(2)\ntime.sleep(60)",
        "import os\nwhile True: os.write(2, b'x' * 65536)",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    ],
)
def test_endless_programs_are_stopped(program: str) -> None:
    started = time.monotonic()
    assert run_program(program, timeout=0.3) == Outcome("timed_out", "over 0.3 s")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "action",
    [
        "open({path!r}, 'w')",
        "open({path!r}, 'a')",
        "open({path!r}, 'r+')",
        "os.open({path!r}, os.O_RDONLY | os.O_TRUNC)",
        "os.open({folder!r}, os.O_TMPFILE | os.O_RDWR)",
        "os.remove({path!r})",
        "os.rename({path!r}, {path!r} + '2')",
        "os.link({path!r}, {path!r} + '2')",
        "os.symlink({path!r}, {path!r} + '2')",
        "os.truncate({path!r}, 0)",
        "os.chmod({path!r}, 0o777)",
        "os.chown({path!r}, 1, 1)",
        "os.utime({path!r}, (0, 0))",
        "os.setxattr({path!r}, 'user.x', b'')",
        "os.mkdir({path!r} + '2')",
        "os.mkfifo({path!r} + '2')",
        "os.rmdir({folder!r} + '/empty')",
        "open('file', 'w')",
        "os.mkdir('folder')",
        "os.memfd_create('memory')",
    ],
)
def test_no_file_is_written_changed_or_removed(action: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    (tmp_path / "empty").mkdir()
    before = path.stat()
    program = "import os\n" + action.format(path=str(path), folder=str(tmp_path))
    outcome = run_program(program)
    assert outcome.verdict == "failed"
    assert "PermissionError" in outcome.reason
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file"]
    assert path.read_text() == "precious"
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_mtime) == (before.st_mode, before.st_uid, before.st_mtime)


@pytest.mark.skipif(not LANDLOCK, reason="this kernel has no Landlock")
def test_only_python_and_the_empty_folder_can_be_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("token")
    parent = f"/proc/{os.getpid()}/environ"
    for path in (str(secret), "/etc/hostname", "/proc/self/environ", parent, str(Path(__file__))):
        assert Path(path).exists()
        outcome = run_program(f"open({path!r}).read()")
        assert outcome.verdict == "failed"
        assert "PermissionError" in outcome.reason
    assert run_program(f"import os\nos.listdir({str(tmp_path)!r})").verdict == "failed"
    assert run_program("import os, json\nassert os.listdir('.') == []\nopen(json.__file__).read()").verdict == "passed"


def test_the_environment_stays_outside_and_the_folder_goes(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = f"import os, sys\nassert 'secret' not in os.environ.values()\nassert {str(tmp_path)!r} not in sys.path"
    assert run_program(program) == Outcome("passed")
    outcome = run_program("import os\nraise Exception(os.getcwd())")
    assert str(tmp_path) in outcome.reason
    assert list(tmp_path.iterdir()) == []


def test_sets_are_in_the_same_order_every_time() -> None:
    reasons = {run_program("raise Exception(list({'one', 'two', 'three', 'four', 'five'}))").reason for _ in range(4)}
    assert len(reasons) == 1


@pytest.mark.slow
def test_many_at_a_time_leave_no_process_behind() -> None:
    before = children()
    programs = [f"assert {i} % 2 == 0" for i in range(18)] + ["while True: pass"] * 2
    with ThreadPoolExecutor(20) as pool:
        verdicts = [outcome.verdict for outcome in pool.map(lambda p: run_program(p, timeout=6), programs)]
    assert verdicts == ["passed", "failed"] * 9 + ["timed_out"] * 2
    assert children() == before


def children() -> set[str]:
    """Of this process, the dead ones that nobody waited for among them."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_memory_limit_is_the_callers() -> None:
    program = "x = bytearray(200 * 2**20)"
    assert run_program(program, memory_mb=512).verdict == "passed"
    assert "MemoryError" in run_program(program, memory_mb=128).reason


def test_system_calls_of_another_table_kill_the_program() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("x86_64 alone has other tables")
    x32 = "import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)"  # getpid
    # mov eax, 20 (getpid of 32 bits); int 0x80; ret
    i386 = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("b814000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    for program in (x32, i386):
        assert "killed by signal 31" in run_program(program).reason


def decide(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter says about a system call: a small interpreter of the six instructions it uses."""
    arch = architecture or code_runner.ARCHITECTURES[machine]
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    code = list(struct.iter_unpack("HBBI", code_runner.syscall_filter(machine)))
    position = accumulator = 0
    while True:
        operation, if_true, if_false, value = code[position]
        position += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == 0x06:
            return value
        else:
            true = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[operation]
            position += if_true if true else if_false


KILL, ALLOW, EPERM, ENOSYS = 0x80000000, 0x7FFF0000, 0x50001, 0x50026


@pytest.mark.parametrize(
    ("x86_64", "aarch64", "arguments", "decision"),
    [
        (0, 63, (), ALLOW),  # read
        (231, 94, (), ALLOW),  # exit_group
        (257, 56, (-100 % 2**64, 0, os.O_RDONLY | os.O_CLOEXEC), ALLOW),  # openat
        (257, 56, (-100 % 2**64, 0, os.O_WRONLY), EPERM),
        (257, 56, (-100 % 2**64, 0, os.O_RDWR | os.O_CLOEXEC), EPERM),
        (257, 56, (-100 % 2**64, 0, os.O_RDONLY | os.O_CREAT), EPERM),
        (257, 56, (-100 % 2**64, 0, os.O_RDONLY | os.O_TRUNC), EPERM),
        (437, 437, (), EPERM),  # openat2
        (56, 220, (0x3D0F00,), ALLOW),  # clone, as pthread_create calls it
        (56, 220, (17,), EPERM),  # as fork does: SIGCHLD alone
        (435, 435, (), ENOSYS),  # clone3
        (16, 29, (1, 0x5401), ALLOW),  # ioctl TCGETS
        (16, 29, (1, 0x5412), EPERM),  # TIOCSTI
        (72, 25, (1, 3), ALLOW),  # fcntl F_GETFL
        (72, 25, (1, 8, 1), EPERM),  # F_SETOWN
        (41, 198, (), EPERM),  # socket
        (42, 203, (), EPERM),  # connect
        (59, 221, (), EPERM),  # execve
        (322, 281, (), EPERM),  # execveat
        (62, 129, (), EPERM),  # kill
        (200, 130, (), EPERM),  # tkill
        (234, 131, (), EPERM),  # tgkill
        (101, 117, (), EPERM),  # ptrace
        (310, 270, (), EPERM),  # process_vm_readv
        (302, 261, (), EPERM),  # prlimit64
        (263, 35, (), EPERM),  # unlinkat
        (165, 40, (), EPERM),  # mount
        (321, 280, (), EPERM),  # bpf
        (425, 425, (), EPERM),  # io_uring_setup
        (424, 424, (), EPERM),  # pidfd_send_signal
        (0x40000000, 0x40000000, (), KILL),
        (2**32 - 1, 2**32 - 1, (), KILL),
    ],
)
def test_the_filter_on_both_machines(x86_64: int, aarch64: int, arguments: tuple[int, ...], decision: int) -> None:
    assert decide("x86_64", x86_64, *arguments) == decision
    assert decide("aarch64", aarch64, *arguments) == decision


def test_the_filter_kills_on_another_architecture() -> None:
    assert decide("x86_64", 0, architecture=0x40000003) == KILL  # i386, where 0 is restart_syscall
    assert decide("aarch64", 63, architecture=0x40000028) == KILL  # arm


def test_where_the_locks_are_missing_nothing_runs(monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("platform.machine", lambda: "riscv64")
        with pytest.raises(UserError, match="grader code needs Linux on x86_64 or aarch64"):
            run_program("pass")
    with monkeypatch.context() as patch:
        patch.setattr("sys.platform", "darwin")
        with pytest.raises(UserError, match="grader code needs Linux"):
            run_program("pass")


def test_a_sandbox_that_does_not_start_is_no_failed_program(monkeypatch, tmp_path: Path) -> None:
    broken = tmp_path / "runner.py"
    broken.write_text("raise OSError('prctl: Invalid argument')")
    monkeypatch.setattr(code_runner, "__file__", str(broken))
    with pytest.raises(UserError, match=r"did not start \(OSError: prctl: Invalid argument\)"):
        run_program("pass")
