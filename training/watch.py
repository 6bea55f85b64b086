"""A `Watch` shows a training while it runs: curves, reliability diagrams and a table of examples."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calibration_tuning.records import QueryExample
from calibration_tuning.runs.files import append_text, write_text
from calibration_tuning.runs.processes import is_first_process
from calibration_tuning.tracking import Moment, Table, Tracker

SHOWN = 50
BINS = 10


class Watch:
    """A `Watch` logs to a tracker and to a file of JSON lines, on the first process only.

    When a run resumes from a checkpoint, lines about later steps are removed from the file.
    """

    def __init__(self, tracker: Tracker, file: Path, step: int) -> None:
        self.tracker = tracker
        self.file = file
        if is_first_process():
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if step and file.is_file() else []
            write_text(file, "".join(f"{line}\n" for line in lines if _step(line) <= step))

    def steps(self, step: int, logged: dict[str, float]) -> None:
        """Log means over the steps since the last logging."""
        if is_first_process():
            self.tracker.log(Moment({f"train/{name}": value for name, value in logged.items()}, step=step))
            self._write(step, "train", logged)

    def _write(self, step: int, kind: str, values: dict[str, float]) -> None:
        row = {"step": step, **{f"{kind}/{name}": value for name, value in values.items()}}
        append_text(self.file, json.dumps(row) + "\n")

    def validation(
        self,
        step: int,
        scores: dict[str, float],
        rows: Sequence[QueryExample],
        before: Sequence[float],
        confidence: np.ndarray,
    ) -> None:
        """Log the scores of the validation split, and confidences [n] in [0, 1]: `before` training, and now."""
        if is_first_process():
            self._write(step, "validation", scores)
        if is_first_process() and not self.tracker.disabled:
            from calibration_tuning.metrics.plots import plot_reliability, prepare_reliability

            correct = np.array([row.correct for row in rows])
            figure = plot_reliability({f"step {step}": prepare_reliability(confidence, correct, BINS)}, BINS)
            columns: list[str | int] = ["question", "proposed answer", "correct", "confidence before", "confidence now"]
            shown = zip(rows[:SHOWN], before, confidence, strict=False)
            table = [[row.shown, row.answer, row.correct, float(was), float(now)] for row, was, now in shown]
            self.tracker.log(
                Moment(
                    {f"validation/{name}": value for name, value in scores.items()},
                    {"validation/reliability": _pixels(figure)},
                    {"validation/examples": Table(columns, table)},
                    step,
                )
            )


def _pixels(figure: Any) -> Any:
    """The figure as a PIL image. To draw the figure, trackers would import pyplot, which has global state."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return Image.open(buffer)


def _step(line: str) -> float:
    """The step of a line; infinity if the line is incomplete."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
