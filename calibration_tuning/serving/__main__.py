"""python -m calibration_tuning.serving CHECKPOINT: answers with confidences over HTTP, and a page to ask for them."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from calibration_tuning.ask import CheckpointArgument, ErrorRateOption, ExamplesOption
from calibration_tuning.command_line import DebugOption, quiet_libraries, run_command, with_errors
from calibration_tuning.errors import UserError
from calibration_tuning.examples import read_examples
from calibration_tuning.extras import pip_install
from calibration_tuning.thresholds import FILE as THRESHOLDS

CONNECTIONS = 256
"""Beside those of requests that wait."""
GRACE = 10
"""Seconds that requests have after Ctrl-C; those that have no answer by then get status 503."""
TOKEN = "CALIBRATION_TUNING_TOKEN"


def main(
    checkpoint: CheckpointArgument,
    host: Annotated[
        str, typer.Option(help=f"Address to listen on; other than localhost needs a token in {TOKEN}.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait in line; more get status 503.")] = 32,
    examples: ExamplesOption = None,
    error_rate: ErrorRateOption = None,
    debug: DebugOption = False,
) -> None:
    """Serve a tuned checkpoint: OpenAI's chat completions with confidences, and a page at /.

    If the environment variable CALIBRATION_TUNING_TOKEN is set, clients must send it as bearer token.

    Example: calibration-tuning serve runs/demo/checkpoint --port 8000
    """
    with_errors(lambda: serve(checkpoint, host, port, waiting, error_rate, examples), debug)


def serve(
    checkpoint: str, host: str, port: int, waiting: int, error_rate: float | None, examples: Path | None = None
) -> None:
    token = os.environ.get(TOKEN) or None
    if token is None and not _is_this_machine(host):
        raise UserError(f"--host {host}: anybody could ask; set {TOKEN} to a secret that clients must send")
    try:
        import uvicorn

        from calibration_tuning.serving.app import make_app
    except ModuleNotFoundError as error:
        raise UserError(f"serving needs {error.name}; {pip_install('serve')}") from None
    from calibration_tuning.calibrated_model import CalibratedModel
    from calibration_tuning.checkpoint import checkpoint_folder

    shown = None if examples is None else read_examples(examples)
    quiet_libraries()
    folder = checkpoint_folder(checkpoint)
    model = CalibratedModel.from_pretrained(folder, error_rate=error_rate)
    if shown is not None:
        model.show(shown)
    app = make_app(model, checkpoint.rstrip("/"), token, waiting, reliability_diagram(folder))
    # Those that are refused are told so; only what could exhaust memory before that is cut off.
    most = CONNECTIONS + waiting
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE,
        limit_concurrency=most,
    )
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UserError(f"--port {port}: cannot be listened on at {host} ({error.strerror}); try another") from None
    address = f"http://{host}:{listening.getsockname()[1]}"
    print(f"Serving at {address} ({'token required' if token else 'no token'}). Ctrl-C stops.", flush=True)
    uvicorn.Server(config).run(sockets=[listening])


def reliability_diagram(checkpoint: Path) -> Path | None:
    """Return the diagram of the checkpoint's evaluation, which is in the folder of a published checkpoint, or beside
    the checkpoint in a run. Return None if it was not evaluated: only evaluation writes thresholds, and a diagram that
    an earlier checkpoint has left behind is not of this one."""
    diagram = Path("plots", "reliability_after.png")
    places = (checkpoint / diagram, checkpoint.absolute().parent / "evaluation" / diagram)
    has_thresholds = (checkpoint / THRESHOLDS).is_file()
    return next((place for place in places if place.is_file()), None) if has_thresholds else None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    run_command(main)
