"""Figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from calibration_tuning.metrics.plots.theme import figure, inline_svg, save_png, themed


def drawn_into(path: Path) -> tuple[bytes, str]:
    with themed():
        drawn = figure(4, 3)
        axes = drawn.subplots()
        drawn.colorbar(axes.imshow(np.eye(3)), label="a colour bar, which some layouts cannot take")
        axes.set_ylabel("a long label that must not be cut off")
    save_png(drawn, path)
    return path.read_bytes(), inline_svg(drawn, "three cells")


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"figure.autolayout": True}, {"figure.constrained_layout.use": True}])
def test_a_users_matplotlibrc_changes_nothing(tmp_path: Path, settings: Any) -> None:
    expected = drawn_into(tmp_path / "plain.png")
    with mpl.rc_context(settings):
        assert drawn_into(tmp_path / "theirs.png") == expected
