"""python -m calibration_tuning.runs.accelerated: `accelerate launch`, with the exit code of the process that failed.

accelerate's own command ends with 1 and a traceback. Whoever starts a stage has to tell wrong settings (2) and an
interruption (75) from a failure (1). SIGTERM and SIGUSR1 reach the stage, however many processes it has.
"""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from subprocess import CalledProcessError
from typing import NoReturn

from accelerate.commands import launch
from accelerate.utils.launch import prepare_simple_launcher_cmd_env
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
"""The signals that torch's launcher hands on to its processes: its defaults, and SIGUSR1."""
INTERRUPTED = 75
"""Exit code of an interrupted run: the same command resumes."""


def main() -> None:
    launch.simple_launcher = become_the_stage
    arguments = launch.launch_command_parser().parse_args()
    arguments.signals_to_handle = SIGNALS
    try:
        launch.launch_command(arguments)
        return
    except SignalException as error:  # after the processes have ended, or have been killed half a minute later
        code = 128 + error.sigval if error.sigval == signal.SIGINT else INTERRUPTED
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
    except CalledProcessError as error:
        code = error.returncode
    sys.exit(max(code, 1))  # a process that a signal ended has a negative one


def become_the_stage(arguments: Namespace) -> NoReturn:
    """Replace this process by the only one of the stage. accelerate would start a child and hand no signal on to it."""
    command, environment = prepare_simple_launcher_cmd_env(arguments)
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main()
