"""Servers that all of these tests ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from calibration_tuning import CalibratedModel
from calibration_tuning.serving.app import make_app
from tests.calibration_tuning.serving.server import TOKEN, Slow, serve


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> CalibratedModel:
    return CalibratedModel.from_pretrained(tiny_run / "checkpoint", device="cpu")


@pytest.fixture(scope="module")
def address(model: CalibratedModel, tiny_run: Path) -> Iterator[str]:
    with serve(make_app(model, "tiny", TOKEN)) as found:
        yield found


@pytest.fixture
def quick() -> Iterator[tuple[Slow, str]]:
    slow = Slow()
    slow.free.set()
    with serve(make_app(slow, "slow")) as address:  # type: ignore[arg-type]
        yield slow, address
