"""calibration-tuning: starts the stages as child processes, with exactly the commands it prints."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from calibration_tuning.errors import RunError, UserError
from calibration_tuning.run_config import load_run_config
from calibration_tuning.stage import ConfigArgument, DebugOption, ForceOption, OverridesArgument, with_errors

app = typer.Typer(
    help="Fine-tune a language model to know what it knows, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

# The stages whose work several processes share.
LAUNCHED = ("curate", "train", "evaluate")
STAGES = {"curate": "data_curation", "train": "training", "evaluate": "evaluation"}
STOPPED = 75
"""Exit code of a training that was asked to end and can go on."""
FORWARDED: Any = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "add_help_option": False,
}
"""Of commands whose options are those of a module."""
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
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    launch: LaunchOption = None,
    inspect: Annotated[
        int | None,
        typer.Option(min=1, help="Then print this many examples as the model sees.", show_default=False),
    ] = None,
    push_to_hub: Annotated[
        str | None, typer.Option(help="Then publish the set as this data set (ORG/NAME).", show_default=False)
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Publish it for everybody, not privately.")] = False,
    force: ForceOption = False,
    debug: DebugOption = False,
) -> None:
    """Ask the model, grade its answers, write few-shot uncertainty-query examples.

    Example: calibration-tuning curate configs/demo.yaml curation.sizes.train=500 --inspect 3
    """

    def work() -> None:
        flags = ["--debug"] if debug else []
        _run(["curate"], config, overrides or [], launch, force, debug)
        if inspect is not None:
            _start(["data_curation.inspect", str(config), *(overrides or []), "--count", str(inspect), *flags])
        if push_to_hub is not None:
            flags += ["--public"] if public else []
            _start(["data_curation.publish", str(config), push_to_hub, *(overrides or []), *flags])

    with_errors(work, debug)


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
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    launch: LaunchOption = None,
    force: ForceOption = False,
    debug: DebugOption = False,
) -> None:
    """Score the base and the tuned model on the test questions and write the report.

    Example: calibration-tuning evaluate configs/demo.yaml
    """
    with_errors(lambda: _run(["evaluate"], config, overrides or [], launch, force, debug), debug)


@app.command(**FORWARDED)
def compare(context: typer.Context) -> None:
    """Paired table of two evaluated runs.

    Example: calibration-tuning compare runs/demo runs/brier
    """
    _forward("evaluation.compare", context.args)


@app.command(**FORWARDED)
def score(context: typer.Context) -> None:
    """Score a file of confidences, or of token logits, from elsewhere.

    Example: calibration-tuning score answers.csv --calibrate platt
    """
    _forward("evaluation.score", context.args)


@app.command(**FORWARDED)
def preflight(context: typer.Context) -> None:
    """Say what a training will take and what would stop it; no GPU needed.

    Example: calibration-tuning preflight configs/llama2_7b.yaml --gpus 8 --gpu a100-80gb
    """
    _forward("training.preflight", context.args)


@app.command(**FORWARDED)
def publish(context: typer.Context) -> None:
    """Publish a tuned checkpoint, its card and its numbers on the hub.

    Example: calibration-tuning publish runs/demo --repo me/demo-calibrated --private
    """
    _forward("training.hub.publish", context.args)


@app.command(**FORWARDED)
def ask(context: typer.Context) -> None:
    """Ask a checkpoint: an answer, and how probable it is that it is correct.

    Example: calibration-tuning ask runs/demo/checkpoint "What is the capital of France?"
    """
    _forward("calibration_tuning.ask", context.args, needs_clone=False)


@app.command(**FORWARDED)
def serve(context: typer.Context) -> None:
    """Serve a checkpoint over HTTP, with a page to ask it.

    Example: calibration-tuning serve runs/demo/checkpoint --port 8000
    """
    _forward("calibration_tuning.serving", context.args, needs_clone=False)


def stage_command(
    stage: str, config: Path, overrides: list[str], launch: Path | None, force: bool, debug: bool
) -> list[str]:
    """What follows `python -m` when the stage is started."""
    module = STAGES[stage]
    start: list[str] = []
    if launch is not None and stage in LAUNCHED:
        start += ["accelerate.commands.launch", "--config_file", str(launch), "-m"]
    flags = [flag for flag, on in (("--force", force), ("--debug", debug)) if on]
    return [*start, module, str(config), *overrides, *flags]


def _run(stages: list[str], config: Path, overrides: list[str], launch: Path | None, force: bool, debug: bool) -> None:
    load_run_config(config, overrides)
    if launch is not None and not launch.is_file():
        raise UserError(f"--launch {launch}: no such file; see launch/accelerate/")
    _in_clone()
    for stage in stages:
        _start(stage_command(stage, config, overrides, launch, force, debug))


def _forward(module: str, arguments: list[str], needs_clone: bool = True) -> None:
    def work() -> None:
        if needs_clone:
            _in_clone()
        code = subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode
        raise typer.Exit(code)

    with_errors(work, debug=False)


def _wait(child: subprocess.Popen[bytes]) -> tuple[int, bool]:
    """Exit code, and whether this process was asked to end meanwhile, which is handed on to the child."""
    asked: list[int] = []

    def hand_on(number: int, frame: object) -> None:
        asked.append(number)
        child.terminate()  # SIGTERM for SIGUSR1 too: launchers of several processes know only the first

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        with child:
            return child.wait(), bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_clone() -> None:
    if not Path("data_curation").is_dir():
        raise UserError("stages run from the root of a clone of calibration-tuning; change into it first")


def _start(module: list[str]) -> None:
    """Run `python -m MODULE ...` and print it first."""
    print(f"$ {shlex.join(['python', '-m', *module])}", flush=True)
    code, was_stopped = _wait(subprocess.Popen([sys.executable, "-m", *module]))
    if code and was_stopped:
        print(f"{module[0]}: stopped by a signal; the same command goes on", file=sys.stderr)
        raise typer.Exit(STOPPED)
    if code in (UserError.exit_code, STOPPED):
        raise typer.Exit(code)
    if code:
        raise RunError(f"{module[0]} failed (exit code {code}); its message is above, what was finished is kept")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
