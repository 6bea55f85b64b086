"""Trackio: a database in `<run>/trackio`; `TRACKIO_DIR=<run>/trackio trackio show` opens it."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout, suppress
from typing import Any

from calibration_tuning.config.run import RunConfig
from calibration_tuning.tracking.tracker import Artifact, Moment, Table


def open_trackio(config: RunConfig, stage: str, run_id: str | None, step: int) -> TrackioTracker:
    # Read when trackio is imported. A folder of the user's own may hold many runs.
    os.environ.setdefault("TRACKIO_DIR", str((config.run_dir / "trackio").resolve()))
    for elsewhere in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):  # what is logged stays on this machine
        os.environ.pop(elsewhere, None)

    import trackio

    with redirect_stdout(io.StringIO()):
        run = trackio.init(
            project=config.tracking.project,
            name=f"{config.name}-{stage}",
            group=config.name,
            config=config.model_dump(mode="json"),
            resume="allow" if step else "never",
            embed=False,
        )
    return TrackioTracker(run)


class TrackioTracker:
    disabled = False

    def __init__(self, run: Any) -> None:
        self.run = run

    def log(self, moment: Moment) -> None:
        import trackio

        def table(table: Table) -> Any:
            return trackio.Table([str(column) for column in table.columns], table.rows)

        self.run.log(moment.values(trackio.Image, table), step=moment.step)

    def say(self, name: str, text: str) -> None:
        import trackio

        self.run.log({name: trackio.Markdown(text)})

    def log_artifact(self, artifact: Artifact) -> None:
        import trackio

        logged = trackio.Artifact(artifact.name, type=artifact.kind)
        logged.add_dir(artifact.folder)
        self.run.log_artifact(logged, aliases=[artifact.version])

    def use_artifact(self, artifact: Artifact) -> None:
        with suppress(ValueError):  # logged in another run's folder, or not with trackio
            self.run.use_artifact(f"{artifact.name}:{artifact.version}", type=artifact.kind)

    def finish(self, exit_code: int) -> None:
        import trackio

        with redirect_stdout(io.StringIO()):
            trackio.finish()
