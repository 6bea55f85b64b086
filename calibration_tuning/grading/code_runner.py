"""The inner half of `code_sandbox`: locks its process up for good, then runs the program it reads from stdin.

It runs as a separate script and uses the standard library alone: whatever it imports is within the program's reach.
"""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import struct
import sys
import types
from collections.abc import Sequence

MARK_BYTES = 32
REASON_LENGTH = 300
PROGRAM = "<program>"

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_* of linux/audit.h by the machine's name."""

# Name, number on x86_64, number on aarch64 (unistd_64.h and asm-generic/unistd.h). What is not listed is refused: to
# forget a system call here costs some program its pass, to forget one in a list of forbidden ones would open a door.
_ALLOWED = """
    read 0 63  readv 19 65  pread64 17 67  write 1 64  writev 20 66  close 3 57  lseek 8 62  fstat 5 80  stat 4 -
    lstat 6 -  newfstatat 262 79  statx 332 291  access 21 -  faccessat 269 48  faccessat2 439 439  getdents64 217 61
    getcwd 79 17  readlink 89 -  readlinkat 267 78  dup 32 23  dup2 33 -  dup3 292 24  pipe 22 -  pipe2 293 59
    poll 7 -  ppoll 271 73  select 23 -  pselect6 270 72  mmap 9 222  munmap 11 215  mprotect 10 226  mremap 25 216
    brk 12 214  madvise 28 233  futex 202 98  rseq 334 293  rt_sigaction 13 134  rt_sigprocmask 14 135
    rt_sigreturn 15 139  sigaltstack 131 132  exit 60 93  alarm 37 -  setitimer 38 103  exit_group 231 94
    restart_syscall 219 128  set_robust_list 273 99  getrandom 318 278  sched_yield 24 124  sched_getaffinity 204 123
    membarrier 324 283  getcpu 309 168  time 201 -  clock_gettime 228 113  clock_getres 229 114
    clock_nanosleep 230 115  nanosleep 35 101  gettimeofday 96 169  times 100 153  getrusage 98 165  sysinfo 99 179
    uname 63 160  getpid 39 172  gettid 186 178  getppid 110 173  getuid 102 174  geteuid 107 175  getgid 104 176
    getegid 108 177
"""
# Name, numbers as above, which argument decides.
_INSPECTED = "open 2 - 1  openat 257 56 2  clone 56 220 0  ioctl 16 29 1  fcntl 72 25 1"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x10000
_IOCTLS = (0x5401, 0x5413, 0x5450, 0x5451)  # TCGETS (isatty), TIOCGWINSZ, FIONCLEX, FIOCLEX
_FCNTLS = (0, 1, 2, 3, 1030)  # duplicating and F_GETFD, F_SETFD, F_GETFL; F_SETOWN would send signals to others
_CLONE3 = 435

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of linux/bpf_common.h
_KILL, _ALLOW, _REFUSE, _UNKNOWN = 0x80000000, 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # EPERM, ENOSYS

_SYSCALL_LANDLOCK = 444  # and the two after it, on every architecture
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_EVERY_RIGHT = (1 << 13) - 1  # those of Landlock's first version


def syscall_filter(machine: str) -> bytes:
    """The seccomp program for `machine` (a key of `ARCHITECTURES`), as an array of struct sock_filter."""
    column = 1 if machine == "x86_64" else 2
    code = [
        *[(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, ARCHITECTURES[machine]), (_RETURN, 0, 0, _KILL)],
        # The numbers from 2**30 on are x86_64's second table (x32), which would walk past the first one's list.
        *[(_LOAD, 0, 0, 0), (_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)],
        # glibc then tries clone, whose flags, unlike those of clone3, lie where a filter can see them.
        *[(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _UNKNOWN)],
    ]
    for entry in _rows(_ALLOWED, 3):
        if entry[column] != "-":
            code += [(_EQUAL, 0, 1, int(entry[column])), (_RETURN, 0, 0, _ALLOW)]
    for entry in _rows(_INSPECTED, 4):
        if entry[column] == "-":
            continue
        if entry[0] in ("open", "openat"):
            checks = [(_ANY_BIT, 1, 0, _WRITING), (_RETURN, 0, 0, _ALLOW)]
        elif entry[0] == "clone":
            checks = [(_ANY_BIT, 0, 1, _CLONE_THREAD), (_RETURN, 0, 0, _ALLOW)]
        else:
            values = _IOCTLS if entry[0] == "ioctl" else _FCNTLS
            checks = [step for value in values for step in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]
        argument = (_LOAD, 0, 0, 16 + 8 * int(entry[3]))  # its lower half: all that the kernel looks at in these
        code += [(_EQUAL, 0, len(checks) + 2, int(entry[column])), argument, *checks, (_RETURN, 0, 0, _REFUSE)]
    code.append((_RETURN, 0, 0, _REFUSE))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _rows(table: str, width: int) -> list[list[str]]:
    cells = table.split()
    return [cells[start : start + width] for start in range(0, len(cells), width)]


def limit_resources(memory_mb: int, cpu_seconds: int) -> None:
    import resource

    limits = {
        resource.RLIMIT_AS: memory_mb * 2**20,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        allowed = resource.getrlimit(kind)[1]
        limit = limit if allowed == resource.RLIM_INFINITY else min(limit, allowed)
        resource.setrlimit(kind, (limit, limit))


def allow_reading(paths: Sequence[str]) -> bool:
    """From now on only the files below `paths` can be opened. False, and nothing done, where Landlock is missing."""
    try:
        rules = _call("syscall", _SYSCALL_LANDLOCK, struct.pack("Q", _EVERY_RIGHT), 8, 0)
    except OSError:
        return False
    for path in filter(os.path.exists, paths):
        place = os.open(path, os.O_PATH)
        rights = _READ_FILE | _READ_DIR if stat.S_ISDIR(os.fstat(place).st_mode) else _READ_FILE
        _call("syscall", _SYSCALL_LANDLOCK + 1, rules, 1, struct.pack("=Qi", rights, place), 0)
        os.close(place)
    _call("syscall", _SYSCALL_LANDLOCK + 2, rules, 0)
    os.close(rules)
    return True


def filter_syscalls() -> None:
    code = ctypes.create_string_buffer(syscall_filter(os.uname().machine))
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(code))  # struct sock_fprog
    _call("prctl", 22, 2, program, 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def _call(function: str, *arguments: int | bytes) -> int:
    """A function of the C library, its integers passed as the longs that the kernel takes. Raises `OSError`."""
    result = getattr(ctypes.CDLL(None, use_errno=True), function)(
        *(ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments)
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")
    return int(result)


def describe(error: BaseException, program: str) -> str:
    """What happened, and the program's line where it did."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == PROGRAM:
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" (line {line}: {program.splitlines()[line - 1].strip()})" if line is not None else ""
    return f"{type(error).__name__}: {error}".removesuffix(": ")[:REASON_LENGTH] + where[:REASON_LENGTH]


def main() -> None:
    memory_mb, cpu_seconds, *readable = sys.argv[1:]
    job = sys.stdin.buffer.read()
    mark, program = job[:MARK_BYTES], job[MARK_BYTES:].decode()
    write, leave = os.write, os._exit  # the program may replace these in `os`
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv[:] = [PROGRAM]
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    _call("prctl", 1, int(signal.SIGKILL), 0, 0, 0)  # PR_SET_PDEATHSIG: it goes when the grader goes
    _call("prctl", 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, without which nobody but root may put on the locks below
    limit_resources(int(memory_mb), int(cpu_seconds))
    allow_reading(readable)
    filter_syscalls()
    write(2, mark)  # locked up: what comes from here on is the program's own doing
    try:
        exec(compile(program, PROGRAM, "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:  # a program that ends itself has not passed either
        verdict = b"failed " + describe(error, program).encode(errors="replace")
    else:
        verdict = b"passed"
    write(2, mark + verdict)
    leave(0)


if __name__ == "__main__":
    main()
