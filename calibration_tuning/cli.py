"""calibration-tuning: starts the stages as child processes, with exactly the commands it prints."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from calibration_tuning.command_line import (
    PROGRAM,
    ConfigArgument,
    DebugOption,
    ForceOption,
    OverridesArgument,
    with_errors,
)
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.extras import EXTRA_OF, missing, pip_install
from calibration_tuning.runs.children import PYTHON, run_child
from calibration_tuning.runs.launching import STAGES, is_here, launch_commands, stage_command
from calibration_tuning.shipped_files import import_path, shipped

app = typer.Typer(
    help="Fine-tune a language model to say how sure it is, and test that on held-out questions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


STOPPED = 75
"""Exit code of an interrupted run: the same command resumes."""
LaunchOption = Annotated[
    Path | None, typer.Option("--launch", help="accelerate config file, such as launch/accelerate/ddp_8gpu.yaml.")
]
PrintConfigOption = Annotated[
    bool, typer.Option("--print-config", help="Print all settings, defaults and overrides included, and do nothing.")
]


class _Unparsed(TyperCommand):
    """A command that hands its words on to a module as they were typed: parsing them would lose a `--`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.args = args
        return args


def _stage_command(name: str, stages: list[str], help: str, example: str) -> None:
    """A command that starts these stages, one after the other."""

    def command(
        config: ConfigArgument,
        overrides: OverridesArgument = None,
        launch: LaunchOption = None,
        print_config: PrintConfigOption = False,
        force: ForceOption = False,
        debug: DebugOption = False,
    ) -> None:
        with_errors(lambda: _run(stages, config, overrides or [], launch, print_config, force, debug), debug)

    app.command(name, help=f"{help}\n\nExample: calibration-tuning {name} {example}")(command)


_stage_command(
    "run", list(STAGES), "Curate, train and evaluate, one after the other.", "configs/demo.yaml training.epochs=2"
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"calibration-tuning {version('calibration-tuning')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def launch(
    config: ConfigArgument,
    on: Annotated[
        str,
        typer.Option(
            help="Where to run: single_gpu, ddp_8gpu, deepspeed_zero2, deepspeed_zero3, fsdp2, slurm or skypilot."
        ),
    ],
    overrides: OverridesArgument = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and start nothing.")] = False,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="Number of GPUs (default: the launch file's).", show_default=False)
    ] = None,
    force: ForceOption = False,
    debug: DebugOption = False,
) -> None:
    """Run all stages on many GPUs: here, through Slurm, or in a cloud.

    Example: calibration-tuning launch configs/llama2_7b.yaml --on ddp_8gpu --dry-run
    """

    def work() -> None:
        from calibration_tuning.config.run import load_run_config

        load_run_config(config, overrides or [])
        _installed("launch")
        commands = launch_commands(on, config, overrides or [], _flags(force, debug), gpus, dry_run)
        if not dry_run and is_here(on):
            _needs_gpu()
        for command in commands:
            if dry_run:
                print(_as_typed(command))
            else:
                _start(command)

    with_errors(work, debug)


@app.command()
def curate(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    launch: LaunchOption = None,
    print_config: PrintConfigOption = False,
    inspect: Annotated[
        int | None,
        typer.Option(min=1, help="Afterwards, print N prompts exactly as the model sees them.", show_default=False),
    ] = None,
    push_to_hub: Annotated[
        str | None, typer.Option(help="Afterwards, publish the set as this data set (ORG/NAME).", show_default=False)
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new data set public (default: private).")] = False,
    force: ForceOption = False,
    debug: DebugOption = False,
) -> None:
    """Ask the model, grade its answers, write few-shot uncertainty-query examples.

    Example: calibration-tuning curate configs/demo.yaml curation.sizes.train=500 --inspect 3
    """

    def work() -> None:
        flags = ["--debug"] if debug else []
        _run(["curate"], config, overrides or [], launch, print_config, force, debug)
        if inspect is not None:
            count = ["--count", str(inspect)]
            _start([PYTHON, "-m", "data_curation.inspect", str(config), *(overrides or []), *count, *flags])
        if push_to_hub is not None:
            flags += ["--public"] if public else []
            _start([PYTHON, "-m", "data_curation.publish", str(config), push_to_hub, *(overrides or []), *flags])

    with_errors(work, debug)


_stage_command(
    "train",
    ["train"],
    "Tune the adapter; fit the readout and its calibrator.",
    "configs/llama2_7b.yaml --launch launch/accelerate/ddp_8gpu.yaml",
)
_stage_command(
    "evaluate",
    ["evaluate"],
    "Score the base and the tuned model on the test questions and write the report.",
    "configs/demo.yaml",
)


@app.command(cls=_Unparsed)
def init(context: typer.Context) -> None:
    """Write a first YAML for your own file of questions and right answers.

    Example: calibration-tuning init support --data tickets.csv --model Qwen/Qwen2.5-0.5B-Instruct
    """
    _forward("data_curation.init", context)


@app.command(cls=_Unparsed)
def compare(context: typer.Context) -> None:
    """Compare two evaluated runs, paired by question.

    Example: calibration-tuning compare runs/demo runs/brier
    """
    _forward("evaluation.compare", context)


@app.command(cls=_Unparsed)
def score(context: typer.Context) -> None:
    """Score a file of confidences, or of token logits, from elsewhere.

    Example: calibration-tuning score answers.csv --calibrate platt
    """
    _forward("evaluation.score", context)


@app.command(cls=_Unparsed)
def monitor(context: typer.Context) -> None:
    """Test whether calibration has drifted since the evaluation, from confidences and late labels.

    Example: calibration-tuning monitor answers.jsonl --evaluation runs/demo
    """
    _forward("evaluation.monitor", context)


@app.command(cls=_Unparsed)
def choose(context: typer.Context) -> None:
    """Choose among several trained runs by their scores on the validation split.

    Example: calibration-tuning choose runs/sweep-*
    """
    _forward("training.choose", context)


@app.command(cls=_Unparsed)
def preflight(context: typer.Context) -> None:
    """Estimate a training's memory, time and cost, and check what would stop it. Needs no GPU and no weights.

    Example: calibration-tuning preflight configs/llama2_7b.yaml --gpus 8 --gpu a100-80gb
    """
    _forward("training.preflight", context)


@app.command(cls=_Unparsed)
def publish(context: typer.Context) -> None:
    """Publish a tuned checkpoint, its card and its numbers on the hub.

    Example: calibration-tuning publish runs/demo --repo me/demo-calibrated
    """
    _forward("publishing.publish", context)


@app.command(cls=_Unparsed)
def ask(context: typer.Context) -> None:
    """Ask a checkpoint a question; print its answer and the probability that it is correct.

    Example: calibration-tuning ask runs/demo/checkpoint "What is the capital of France?"
    """
    _forward("calibration_tuning.ask", context)


@app.command(cls=_Unparsed)
def serve(context: typer.Context) -> None:
    """Serve a checkpoint over HTTP, with a page to ask it.

    Example: calibration-tuning serve runs/demo/checkpoint --port 8000
    """
    _forward("calibration_tuning.serving", context)


def _run(
    stages: list[str],
    config: Path,
    overrides: list[str],
    launch: Path | None,
    print_config: bool,
    force: bool,
    debug: bool,
) -> None:
    from calibration_tuning.config.run import load_run_config
    from calibration_tuning.config.settings import to_yaml

    run_config = load_run_config(config, overrides)
    if print_config:
        print(to_yaml(run_config), end="")
        raise typer.Exit
    if launch is not None:
        launch = shipped(launch)
        if not launch.is_file():
            known = Path("launch", "accelerate", f"{launch.stem}.yaml")
            hint = f"did you mean {known}?" if shipped(known).is_file() else "see launch/accelerate/"
            raise UserError(f"--launch {launch}: no such file; {hint}")
    _installed(*stages)
    for stage in stages:
        _start(stage_command(stage, config, overrides, launch, _flags(force, debug)))


def _flags(force: bool, debug: bool) -> list[str]:
    return [flag for flag, on in (("--force", force), ("--debug", debug)) if on]


def _forward(module: str, context: typer.Context) -> None:
    def work() -> None:
        _installed(context.info_name or "")
        os.environ[PROGRAM] = f"calibration-tuning {context.info_name}"
        raise typer.Exit(run_child([PYTHON, "-m", module, *context.args])[0])

    with_errors(work, debug=False)


def _installed(*commands: str) -> None:
    """Raises `UserError` naming the extra to install if a command lacks a package."""
    for name in commands:
        extra = EXTRA_OF.get(name, "pipeline")
        if extra is not None and (package := missing(extra)):
            raise UserError(f"{name} needs {package}; {pip_install(extra)}")


def _needs_gpu() -> None:
    """End where no GPU can be used: the launchers would go on with the CPU. A child looks, as torch takes seconds."""
    code, _ = run_child([PYTHON, "-m", "calibration_tuning.runs.devices"])
    if code:
        raise typer.Exit(code)


def _start(command: list[str]) -> None:
    """Run a command and print it first."""
    print(f"$ {_as_typed(command)}", flush=True)
    try:
        code, was_stopped = run_child(command)
    except FileNotFoundError:
        raise RunError(f"{command[0]}: not installed on this machine") from None
    name = command[2] if command[0] == PYTHON else command[0]
    if was_stopped:  # also where this was finished just then: what comes after it is not begun
        print(f"{name}: interrupted; run the same command to resume", file=sys.stderr)
        raise typer.Exit(STOPPED)
    if code in (UserError.exit_code, STOPPED):
        raise typer.Exit(code)
    if code < 0:
        cause = ", as the system does if memory runs out" if code == -signal.SIGKILL else ""
        raise RunError(f"{name} was ended by {signal.Signals(-code).name}{cause}; run the same command to resume")
    if code:
        raise RunError(f"{name} failed (exit code {code}); see the message above; finished work is kept")


def _as_typed(command: list[str]) -> str:
    """The command for a shell in this folder, with the variables that it needs there."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in import_path().items()]
    return " ".join([*variables, shlex.join(command)])


def main() -> None:
    app()


if __name__ == "__main__":
    main()
