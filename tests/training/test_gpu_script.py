"""The script of the GPU checks, on the CPU with tiny sizes: what it runs, writes and says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.gpu import __main__ as script
from tests.gpu import checks
from training.preflight.machines import GPUS
from training.query_model import QueryModel

pytestmark = pytest.mark.slow


def run(out: Path, *arguments: str) -> tuple[int, str, dict[str, Any]]:
    import typer

    app = typer.Typer()
    app.command()(script.main)
    result = CliRunner().invoke(app, ["--device", "cpu", "--out", str(out), *arguments])
    return result.exit_code, result.output, json.loads(out.read_text())


def test_all_checks_run_on_the_cpu(tmp_path: Path) -> None:
    code, output, results = run(tmp_path / "gpu.json")
    assert code == 0, output
    assert {*results} == {*checks.CHECKS}
    skipped = {name for name, result in results.items() if result["status"] == "skipped"}
    assert skipped <= {"launches", "vLLM"}
    assert results["layouts"]["float32 packed gradient off"] < 1e-4
    assert results["step"]["packed, 4, kept: tokens/s"] > 0
    assert "9 checks in" in output


def test_steps_stand_beside_preflights_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "listed_gpu", lambda name: GPUS["h200"])
    _, _, results = run(tmp_path / "gpu.json", "--only", "step")
    assert re.fullmatch(r"\d+ to \d+", results["step"]["padded, 4: ms planned"])
    assert 0 < results["step"]["packed, 4: MFU"] < 0.01


@pytest.mark.parametrize(
    ("name", "listed"),
    [("NVIDIA H200", "h200"), ("NVIDIA H100 80GB HBM3", "h100-80gb"), ("NVIDIA A10G", "a10g"), ("CPU", None)],
)
def test_gpus_are_known_by_the_drivers_names(name: str, listed: str | None) -> None:
    assert checks.listed_gpu(name) == (GPUS[listed] if listed else None)


def test_a_check_that_fails_is_said_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed rows that ignore where an example ends."""
    monkeypatch.setattr(
        "training.query_model.block_causal_mask",
        lambda owner, dtype: torch.zeros(1, 1, len(owner), len(owner), dtype=dtype),
    )
    code, output, results = run(tmp_path / "gpu.json", "--only", "layouts", "--only", "driver")
    assert code == 1
    assert {name: result["status"] for name, result in results.items()} == {"driver": "ok", "layouts": "fails"}
    assert "float32, packed: loss off by" in results["layouts"]["why"]
    assert "fails   layouts: why AssertionError" in output


def test_kept_states_that_differ_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = QueryModel._reference
    monkeypatch.setattr(QueryModel, "_reference", lambda model, batch: read(model, batch) * torch.rand(()))
    _, _, results = run(tmp_path / "gpu.json", "--only", "reference")
    assert results["reference"]["status"] == "fails"


def test_no_check_begins_after_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "LIMIT", -1.0)
    code, _, results = run(tmp_path / "gpu.json")
    assert code == 0
    assert {result["status"] for result in results.values()} == {"skipped"}
