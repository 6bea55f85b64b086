"""Arguments that many commands have, and errors as one sentence. Imports nothing heavy: `--help` waits for it."""

from __future__ import annotations

import logging
import os
import select
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from calibration_tuning.errors import UserError
from calibration_tuning.extras import extra_for, pip_install

ConfigArgument = Annotated[Path, typer.Argument(help="YAML file that describes the run.", show_default=False)]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(help="Settings to change: key.path=value ...", show_default=False)
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite existing output.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
PATIENCE = 5.0
"""Seconds that a process waits before it prints an error that the first process may be printing."""
PROGRAM = "CALIBRATION_TUNING_PROGRAM"
"""Variable with what was typed, for a module that `calibration-tuning` hands a command on to."""


def run_command(main: Callable[..., None]) -> None:
    """`typer.run`, whose help says what was typed."""
    app = typer.Typer(add_completion=False)
    app.command()(main)
    app(prog_name=os.environ.pop(PROGRAM, None))


def with_errors(work: Callable[[], None], debug: bool) -> None:
    try:
        work()
        sys.stdout.flush()
    except UserError as error:
        if debug:
            raise
        _say(f"error: {error}")
        raise typer.Exit(error.exit_code) from None
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = extra_for(_command(), package)
        if debug or extra is None:
            raise
        _say(f"error: this needs {package}; {pip_install(extra)}")
        raise typer.Exit(UserError.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except typer.Exit:
        raise
    except Exception as error:
        if isinstance(error, BrokenPipeError) and not _is_read():
            # `| head` has seen enough. What is still buffered would fail again as Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        if debug:
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        _say(
            f"error: {type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno}); "
            "run again with --debug for the traceback"
        )
        raise typer.Exit(1) from None


def _command() -> str:
    """The module that runs, without its packages: `score` of `evaluation.score`, `training` of `training.__main__`."""
    spec = sys.modules["__main__"].__spec__
    return "" if spec is None else spec.name.removesuffix(".__main__").rpartition(".")[2]


def _say(error: str) -> None:
    """Print an error.

    If every process raises it, the first process of the machine prints it and the launcher ends the others. So the
    others wait a little: an error of a single process is still printed.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        time.sleep(PATIENCE)
    print(error, file=sys.stderr)


class _Once(logging.Filter):
    """Lets every message through once, and no count of retries."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        is_new = message not in self.messages and not message.startswith("Retrying in")
        self.messages.add(message)
        return is_new


def _is_read() -> bool:
    """Return False if the reader of stdout has closed the pipe."""
    polled = select.poll()
    polled.register(sys.stdout.fileno(), select.POLLOUT)
    return not any(event & select.POLLERR for _, event in polled.poll(0))


def quiet_libraries() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    # DeepSpeed warns on every machine without a GPU, whether or not it is used.
    logging.getLogger("DeepSpeed").addFilter(lambda record: "Setting accelerator to CPU" not in record.getMessage())
    logging.getLogger("huggingface_hub.utils._http").addFilter(_Once())  # a hub out of reach is tried six times
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="(torch|peft|transformers|deepspeed).*")
