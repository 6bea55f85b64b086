"""One look for all plots, and figures as files: PNG on white, or SVG that takes the page's colours, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from calibration_tuning.metrics.bootstrap import Interval

TEXT, MUTED, LINE = "#101827", "#64758b", "#cbd5e2"
BLUE, ORANGE, GREEN = "#3b82f6", "#ea7317", "#16a34a"
BEFORE, AFTER = ORANGE, BLUE
"""Colours of the model before and after tuning, everywhere."""
PAGE_COLOURS = {TEXT: "var(--text)", MUTED: "var(--muted)", LINE: "var(--line)"}
STYLE: Any = {
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "legend.frameon": False,
    "font.size": 10,
    "text.parse_math": False,  # names of subjects and sets may hold dollar signs
    "svg.fonttype": "none",
    # Whatever somebody's matplotlibrc asks for: figures have a layout of their own.
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "svg.hashsalt": "calibration-tuning",
}


@contextmanager
def themed() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


def figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def error_bars(entries: Sequence[Interval]) -> np.ndarray:
    """How far each interval reaches below and above its value, [2, n]; NaN (nothing drawn) where there is none."""
    arms = [
        (np.nan, np.nan) if e.value is None or e.low is None or e.high is None else (e.value - e.low, e.high - e.value)
        for e in entries
    ]
    return np.array(arms).reshape(-1, 2).T


def save_png(drawn: Figure, path: Path) -> None:
    """As a file; the layout is found here, and kept by whatever is drawn next."""
    with themed():
        engine = drawn.get_layout_engine()
        if engine is not None:
            engine.execute(drawn)
        drawn.set_layout_engine(None)  # with any, even "none", a file takes one more draw, only to find a layout
        drawn.savefig(path, dpi=110, facecolor="white")


def inline_svg(drawn: Figure, title: str) -> str:
    """The figure as an <svg> element to put into a page; `title` is what a screen reader says."""
    file = io.StringIO()
    with themed():
        drawn.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for colour, variable in PAGE_COLOURS.items():
        svg = svg.replace(colour, variable)
    # The page scales it: the viewBox stays, the size in points goes.
    head, body = svg.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return f'{head} role="img" aria-label="{label}">{body}'
