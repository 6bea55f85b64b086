"""calibration-tuning: starts the stages as child processes, with exactly the commands it prints."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from calibration_tuning.errors import RunError, UserError
from calibration_tuning.run_config import load_run_config
from calibration_tuning.stage import ConfigArgument, DebugOption, ForceOption, OverridesArgument, with_errors

app = typer.Typer(
    help="Fine-tune a language model to know what it knows, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

STAGES = {"curate": "data_curation", "train": "training", "evaluate": "evaluation"}
LaunchOption = Annotated[
    Path | None, typer.Option("--launch", help="accelerate config file, such as launch/accelerate/ddp_8gpu.yaml.")
]


@app.command()
def run(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    launch: LaunchOption = None,
    force: ForceOption = False,
    debug: DebugOption = False,
) -> None:
    """Curate, train and evaluate, one after the other.

    Example: calibration-tuning run configs/demo.yaml training.epochs=2
    """
    with_errors(lambda: _run(list(STAGES), config, overrides or [], launch, force, debug), debug)


@app.command()
def curate(
    config: ConfigArgument, overrides: OverridesArgument = None, force: ForceOption = False, debug: DebugOption = False
) -> None:
    """Ask the model, grade its answers, write few-shot uncertainty-query examples.

    Example: calibration-tuning curate configs/demo.yaml curation.sizes.train=500
    """
    with_errors(lambda: _run(["curate"], config, overrides or [], None, force, debug), debug)


@app.command()
def train(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    launch: LaunchOption = None,
    force: ForceOption = False,
    debug: DebugOption = False,
) -> None:
    """Tune the adapter and fit its post-hoc calibrator.

    Example: calibration-tuning train configs/llama2_7b.yaml --launch launch/accelerate/ddp_8gpu.yaml
    """
    with_errors(lambda: _run(["train"], config, overrides or [], launch, force, debug), debug)


@app.command()
def evaluate(
    config: ConfigArgument, overrides: OverridesArgument = None, force: ForceOption = False, debug: DebugOption = False
) -> None:
    """Score the base and the tuned model on the test questions and write the report.

    Example: calibration-tuning evaluate configs/demo.yaml
    """
    with_errors(lambda: _run(["evaluate"], config, overrides or [], None, force, debug), debug)


def stage_command(
    stage: str, config: Path, overrides: list[str], launch: Path | None, force: bool, debug: bool
) -> list[str]:
    module = STAGES[stage]
    start = [sys.executable, "-m"]
    if launch is not None and stage == "train":
        start += ["accelerate.commands.launch", "--config_file", str(launch), "-m"]
    flags = [flag for flag, on in (("--force", force), ("--debug", debug)) if on]
    return [*start, module, str(config), *overrides, *flags]


def _run(stages: list[str], config: Path, overrides: list[str], launch: Path | None, force: bool, debug: bool) -> None:
    load_run_config(config, overrides)
    if launch is not None and not launch.is_file():
        raise UserError(f"--launch {launch}: no such file; see launch/accelerate/")
    if not Path("data_curation").is_dir():
        raise UserError("stages run from the root of a clone of calibration-tuning; change into it first")
    for stage in stages:
        command = stage_command(stage, config, overrides, launch, force, debug)
        print(f"$ {shlex.join(['python', *command[1:]])}", flush=True)
        code = subprocess.run(command, check=False).returncode
        if code == UserError.exit_code:
            raise typer.Exit(code)
        if code:
            raise RunError(f"{stage} failed (exit code {code}); its message is above, finished stages are kept")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
