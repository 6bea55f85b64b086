"""What a training shows while it runs: curves, reliability diagrams and a table of examples in W&B."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calibration_tuning.processes import is_first_process
from calibration_tuning.records import QueryExample

SHOWN = 50
BINS = 10


class Watch:
    """Logs to a W&B run, on the first process only. The x axis is `train/step`, so that a resumed run writes on."""

    def __init__(self, tracker: Any) -> None:
        self.tracker = tracker
        self.since = time.monotonic()
        tracker.define_metric("train/step")
        tracker.define_metric("*", step_metric="train/step")

    def steps(self, step: int, logged: dict[str, float], tokens: int) -> dict[str, float]:
        """Means over the last steps, with the tokens per second since the last call."""
        now = time.monotonic()
        logged = logged | {"tokens_per_second": tokens / max(now - self.since, 1e-9)}
        self.since = now
        if is_first_process():
            self.tracker.log({"train/step": step, **{f"train/{name}": value for name, value in logged.items()}})
        return logged

    def validation(
        self,
        step: int,
        scores: dict[str, float],
        rows: Sequence[QueryExample],
        before: Sequence[float],
        confidence: np.ndarray,
    ) -> None:
        """Scores of the validation split, and what the model said `before` training and says now, [n] each."""
        if is_first_process() and not self.tracker.disabled:
            import wandb

            from evaluation.plots import plot_reliability, prepare_reliability

            correct = np.array([row.correct for row in rows])
            figure = plot_reliability({f"step {step}": prepare_reliability(confidence, correct, BINS)}, BINS)
            columns: list[str | int] = ["question", "proposed answer", "correct", "confidence before", "confidence now"]
            shown = zip(rows[:SHOWN], before, confidence, strict=False)
            table = [[row.text, row.answer, row.correct, float(was), float(now)] for row, was, now in shown]
            self.tracker.log(
                {
                    "train/step": step,
                    **{f"validation/{name}": value for name, value in scores.items()},
                    "validation/reliability": wandb.Image(_pixels(figure)),
                    "validation/examples": wandb.Table(columns=columns, data=table),
                }
            )
        self.since = time.monotonic()

    def artifact(self, name: str, folder: Path) -> None:
        """The finished checkpoint folder as a W&B artifact of type `model`."""
        if is_first_process() and not self.tracker.disabled:
            import wandb

            artifact = wandb.Artifact(f"{name}-checkpoint", type="model")
            artifact.add_dir(str(folder))
            self.tracker.log_artifact(artifact)


def _pixels(figure: Any) -> Any:
    """The figure as a PIL image; W&B itself would want pyplot and its global state."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return Image.open(buffer)
