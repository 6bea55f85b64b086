"""TensorBoard: event files in `<run>/tensorboard/<stage>`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from calibration_tuning.config.run import RunConfig
from calibration_tuning.config.settings import to_yaml
from calibration_tuning.tracking.tracker import Artifact, Moment, Table


def open_tensorboard(config: RunConfig, stage: str, run_id: str | None, step: int) -> TensorboardTracker:
    from torch.utils.tensorboard import SummaryWriter

    # What an earlier process logged after `step`, or all of it in a run that begins anew, is not shown.
    first = step + 1 if step else 0
    writer = SummaryWriter(str(config.run_dir / "tensorboard" / stage), purge_step=first)
    settings = "".join(f"    {line}\n" for line in to_yaml(config).splitlines())  # Markdown's code block
    writer.add_text("settings", settings, first)
    return TensorboardTracker(writer)


class TensorboardTracker:
    disabled = False

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def log(self, moment: Moment) -> None:
        at = moment.step or 0
        for name, value in moment.scalars.items():
            self.writer.add_scalar(name, value, at)
        for name, image in moment.images.items():
            self.writer.add_image(name, _pixels(image), at, dataformats="HWC")
        for name, table in moment.tables.items():
            self.writer.add_text(name, markdown(table), at)

    def say(self, name: str, text: str) -> None:
        self.writer.add_text(name, _plain(text), 0)

    def log_artifact(self, artifact: Artifact) -> None:
        """TensorBoard knows no files; they lie in the run's folder."""

    def use_artifact(self, artifact: Artifact) -> None: ...

    def finish(self, exit_code: int) -> None:
        self.writer.close()


def markdown(table: Table) -> str:
    """One line a row; numbers with four digits."""
    lines: list[list[Any]] = [[*table.columns], ["---"] * len(table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else _plain(str(value))


def _plain(text: str) -> str:
    """In one line, with nothing in it that Markdown would read."""
    return re.sub(r"([\\`*_|\[\]<>#])", r"\\\1", " ".join(text.split()))


def _pixels(image: Any) -> Any:
    """uint8 [height, width, 3]"""
    import numpy as np
    from PIL import Image

    if isinstance(image, Path):
        with Image.open(image) as opened:
            return np.asarray(opened.convert("RGB"))
    return np.asarray(image.convert("RGB"))
