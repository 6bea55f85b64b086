"""The notebooks of examples/, run as a reader would; stored without outputs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = {path.name: path for path in sorted((ROOT / "examples").glob("*.ipynb"))}
SECONDS = 120
"""Each takes some ten seconds alone; a machine that runs other tests beside it takes longer."""


def cells(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))["cells"]
    return found


def executed(name: str, folder: Path, **variables: str) -> list[Any]:
    """The outputs of all cells, after a run in `folder` from top to bottom."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT), "JUPYTER_PLATFORM_DIRS": "1"} | variables)
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(outputs: list[Any]) -> Iterator[str]:
    for output in outputs:
        yield output.get("text", "") + output.get("data", {}).get("text/plain", "")


def test_every_notebook_is_run_here() -> None:
    assert {*NOTEBOOKS} == {"score_your_confidences.ipynb", "ask_calibrate_threshold.ipynb"}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_not_stored(name: str) -> None:
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert len(code) >= 5
    assert [cell["outputs"] for cell in code] == [[]] * len(code)
    assert {cell["execution_count"] for cell in code} == {None}


@pytest.mark.slow
def test_confidences_are_scored(tmp_path: Path) -> None:
    outputs = executed("score_your_confidences.ipynb", tmp_path)
    text = "\n".join(printed(outputs))
    assert "better" in text
    assert "of the answers are given" in text
    assert "alarm after" in text
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs), text


@pytest.mark.slow
def test_a_checkpoint_is_asked(tiny_run: Path, tmp_path: Path) -> None:
    outputs = executed("ask_calibrate_threshold.ipynb", tmp_path, CHECKPOINT=str(tiny_run))
    text = "\n".join(printed(outputs))
    assert "What is the capital of France?" in text
    assert "CalibratedAnswer(text=" in text
    assert "answer from" in text or "no threshold at this error rate" in text
    assert text.count("for a person") + text.count("answered") == 5
    assert not any(output.output_type == "error" for output in outputs), text
