"""What every command does about output that nobody reads any more."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from calibration_tuning.command_line import quiet_libraries

PRINTS = """
from calibration_tuning.command_line import with_errors
def work():
    for line in range({lines}):
        print(line)
    {then}
with_errors(work, debug={debug})
"""


def piped(lines: int, then: str, debug: bool) -> tuple[int, str]:
    """Exit code and stderr of a command whose output is closed after its first line, as `| head -1` does."""
    command = [sys.executable, "-c", PRINTS.format(lines=lines, then=then, debug=debug)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        error = process.stderr.read()
        return process.wait(timeout=60), error


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1, 100_000])  # one is still buffered when the command ends
@pytest.mark.parametrize("debug", [False, True])
def test_output_that_nobody_reads_is_no_error(lines: int, debug: bool) -> None:
    assert piped(lines, "pass", debug) == (0, "")


@pytest.mark.parametrize(
    ("module", "extra"),
    [("data_curation.init", "pipeline"), ("training.__main__", "pipeline"), ("evaluation.score", "logits")],
)
def test_a_missing_package_names_the_extra_of_the_module(tmp_path: Path, module: str, extra: str) -> None:
    path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir()
    (path.parent / "__init__.py").touch()
    raising = "raise ModuleNotFoundError(name='torch.nn')"
    path.write_text(PRINTS.format(lines=0, then=raising, debug=False))
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-m", module]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert f"error: this needs torch; run `pip install -e '.[{extra}]'`" in result.stderr


def test_another_broken_pipe_is_an_error() -> None:
    code = PRINTS.format(lines=1, then="raise BrokenPipeError('of a server')", debug=False)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: BrokenPipeError: of a server")


@pytest.mark.slow
def test_an_error_of_all_processes_is_said_once_and_one_of_a_single_process_too(tmp_path: Path) -> None:
    """torch's launcher ends the other processes when the first has failed."""
    error = "raise UserError('no such file')"
    for then in (error, f"time.sleep(60 * (os.environ['RANK'] == '0')); {error}"):
        code = PRINTS.format(lines=0, then=then, debug=False)
        (tmp_path / "stage.py").write_text(f"import os, time\nfrom calibration_tuning.errors import UserError\n{code}")
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        ended = subprocess.run(
            [*launch, str(tmp_path / "stage.py")],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": "."},
        )
        assert ended.stderr.count("error: no such file") == 1, ended.stderr


def test_a_hub_out_of_reach_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    quiet_libraries()
    logger = logging.getLogger("huggingface_hub.utils._http")
    for attempt in range(3):
        logger.warning("'no such host' thrown while requesting HEAD https://hub/config.json")
        logger.warning("Retrying in %ds [Retry %d/5].", attempt, attempt)
    assert [record.getMessage() for record in caplog.records] == [
        "'no such host' thrown while requesting HEAD https://hub/config.json"
    ]
