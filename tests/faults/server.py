"""python -m tests.faults.server: runs stages in forked processes, each with a fault at a chosen file operation.

Importing torch and the rest takes longer than a stage on the tiny model, so it is done once, here. A line of JSON on
stdin is a stage to run (`Order`); a line on stdout is how it ended. File operations are counted by Python's audit
events, before they are carried out: opening to write, renaming, removing and making folders, in the watched folder
only.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


@dataclass(frozen=True)
class Order:
    module: str
    arguments: list[str]
    folder: str
    """Only what happens in here counts."""
    log: str
    at: int = 0
    """The operation at which the fault strikes, counted from 1; 0 is never."""
    signal: int = 0
    """Sent to itself at that operation."""
    errno: int = 0
    """What that operation, and every later one that writes, fails with."""
    file_size: int | None = None
    """The size at which files stop growing (as on a full disk), below Python too."""
    environment: dict[str, str] = field(default_factory=dict)

    def send(self) -> str:
        return json.dumps(asdict(self)) + "\n"


class Operations:
    def __init__(self, order: Order) -> None:
        self.order = order
        self.seen = 0

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITING:
                return
        elif event in CHANGES:
            path = arguments[0]
        else:
            return
        if not isinstance(path, str | bytes | os.PathLike) or not self.inside(os.fsdecode(path)):
            return
        self.seen += 1
        if self.seen == self.order.at and self.order.signal:
            os.kill(os.getpid(), self.order.signal)
        if self.order.errno and self.seen >= self.order.at > 0:
            raise OSError(self.order.errno, os.strerror(self.order.errno), os.fsdecode(path))

    def inside(self, path: str) -> bool:
        return str(Path(path).absolute()).startswith(self.order.folder)


def child(order: Order) -> int:
    """The stage's exit code; the number of its operations is written beside the log."""
    os.environ.update(order.environment)
    if order.file_size is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.file_size, order.file_size))
    operations = Operations(order)
    sys.addaudithook(operations.hook)
    sys.argv = [order.module, *order.arguments]
    code: Any = 0
    try:
        runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    if order.file_size is None:
        Path(order.log + ".operations").write_text(str(operations.seen), encoding="ascii")
    sys.stdout.flush()
    return int(code or 0)


def serve() -> None:
    import tests.imported  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        order = Order(**json.loads(line))
        reading, writing = os.pipe()  # not a file, which might not be allowed to grow
        process = os.fork()
        if process == 0:
            code = 1
            try:
                for stream in (1, 2):
                    os.dup2(writing, stream)
                code = child(order)
            finally:
                os._exit(code)
        os.close(writing)
        with os.fdopen(reading, "rb") as said:
            Path(order.log).write_bytes(said.read())
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
