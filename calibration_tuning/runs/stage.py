"""What every stage's `python -m STAGE CONFIG` does around its work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from calibration_tuning.command_line import (
    ConfigArgument,
    DebugOption,
    ForceOption,
    OverridesArgument,
    quiet_libraries,
    with_errors,
)
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.config.settings import to_yaml
from calibration_tuning.config.tracking import check_installed
from calibration_tuning.errors import UserError
from calibration_tuning.runs.files import read_json, recover_folder, write_text
from calibration_tuning.runs.processes import is_first_process, wait_for_everyone


def run_stage(work: Callable[[RunConfig, bool], None], description: str) -> None:
    """Parse the command line, validate the settings, call `work(config, force)`, turn errors into one sentence."""

    def command(
        config: ConfigArgument,
        overrides: OverridesArgument = None,
        force: ForceOption = False,
        debug: DebugOption = False,
    ) -> None:
        quiet_libraries()
        with_errors(lambda: _work(work, load_run_config(config, overrides or []), force), debug)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(help=description)(command)
    app()


def _work(work: Callable[[RunConfig, bool], None], config: RunConfig, force: bool) -> None:
    check_installed(config.tracking)  # now, not after the hours of work that come first
    work(config, force)
    if is_first_process():
        config.run_dir.mkdir(parents=True, exist_ok=True)  # which a stage that has nothing to do has not made
        write_text(config.run_dir / "config.yaml", to_yaml(config))


def already_made(
    folder: Path, record: str, inputs: str, force: bool, wait: Callable[[], object] = wait_for_everyone
) -> bool:
    """True if `folder` is the finished work of exactly these inputs. Its `record` holds their fingerprint.

    Every process calls this. The first one repairs a half-replaced folder while the others wait at the barrier `wait`.
    Raises `UserError` if the folder is the work of other inputs and may not be replaced.
    """
    if is_first_process():
        recover_folder(folder)
    wait()
    if force or not folder.exists():
        return False
    if not (folder / record).is_file():
        raise UserError(f"{folder}: holds files, but not a finished {record}; --force replaces it, name=NEW keeps it")
    recorded = read_json(folder / record, made_by="the same command").get("inputs_fingerprint")
    if recorded != inputs:
        raise UserError(
            f"{folder}: was made with other settings or from other files; --force overwrites it, name=NEW keeps both"
        )
    if is_first_process():
        print(f"{folder} is up to date (--force rebuilds it)")
    return True
