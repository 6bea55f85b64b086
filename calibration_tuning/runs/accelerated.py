"""python -m calibration_tuning.runs.accelerated: `accelerate launch`, with the exit code of the process that failed.

accelerate's own command ends with 1 and a traceback. Whoever starts a stage has to tell wrong settings (2) and an
interruption (75) from a failure (1).
"""

from __future__ import annotations

import sys
from subprocess import CalledProcessError

from accelerate.commands.launch import launch_command, launch_command_parser
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> None:
    try:
        launch_command(launch_command_parser().parse_args())
        return
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
    except CalledProcessError as error:
        code = error.returncode
    sys.exit(max(code, 1))  # a process that a signal ended has a negative one


if __name__ == "__main__":
    main()
