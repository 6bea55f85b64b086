"""The wheel alone is useful: docs/metrics.md in an empty environment, and what its imports load."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import calibration_tuning.metrics as metrics
from calibration_tuning.extras import pip_install

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", re.DOTALL)
SHIPPED = ("data_curation", "training", "evaluation", "publishing", "configs", "launch")
LIGHT = ("torch", "transformers", "pydantic", "matplotlib", "sklearn", "pandas", "relplot", "datasets", "wandb")


def blocks() -> list[tuple[str, str]]:
    """Code and output of docs/metrics.md, in order."""
    found = BLOCK.findall((ROOT / "docs/metrics.md").read_text(encoding="utf-8"))
    assert len(found) == 5
    return found


@pytest.mark.slow
def test_the_page_says_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code, output in blocks():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert printed.getvalue() == output, code
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_every_public_name_is_there() -> None:
    for name in metrics.__all__:
        assert getattr(metrics, name).__doc__ if callable(getattr(metrics, name)) else getattr(metrics, name), name
    assert {*metrics.__all__} <= {*dir(metrics)}
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        metrics.nonsense  # noqa: B018


@pytest.mark.slow
def test_confidences_load_numpy_and_scipy_only() -> None:
    code = (
        "import sys; from calibration_tuning.metrics import calibrate, confidence_metrics as score\n"
        "score([0.9, 0.2, 0.4], [1, 0, 1], 2, bootstrap_samples=100, only=('brier', 'ece', 'auroc'))\n"
        "calibrate([0.9, 0.2, 0.4, 0.3, 0.6], [1, 0, 1, 0, 1], 'isotonic')\n"
        f"print([name for name in {LIGHT} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("full_ece", "torch", "logits"), ("reliability_diagram", "matplotlib", "plots")]
)
def test_a_package_that_is_missing_is_named(name: str, package: str, extra: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from calibration_tuning.metrics import {name}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode
    assert f"{name} needs {package}: {pip_install(extra)}" in run.stderr


@pytest.mark.parametrize("package", ["torch", "transformers", "peft", "safetensors"])
def test_the_extra_of_a_model_is_named(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from calibration_tuning import CalibratedModel"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert f"needs {package}: {pip_install('model')}" in run.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_wheel_in_an_empty_environment(tmp_path: Path) -> None:
    """What is built and installed is a copy: a build leaves files in its folder."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    skipped = shutil.ignore_patterns("__pycache__")
    for name in ("calibration_tuning", *SHIPPED):
        shutil.copytree(ROOT / name, source / name, ignore=skipped)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)], capture_output=True, text=True
    )
    if built.returncode and "No matching distribution found for hatchling" in built.stderr:
        pytest.skip("no package index to take hatchling from")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env/bin/python"
    versions = str(ROOT / "constraints.txt")
    install = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "-c", versions]
    subprocess.run([*install, f"{wheel}[plots]"], check=True, cwd=tmp_path)
    code = "".join(code for code, _ in blocks()[:3])
    ran = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "".join(output for _, output in blocks()[:3])
    assert (tmp_path / "reliability.png").is_file()
    kernel = next((tmp_path / "env").glob("lib/python*/site-packages/calibration_tuning/metrics/kernels/rows.cpp"))
    assert kernel.is_file()
    shipped = kernel.parents[2] / "pipeline"
    for name in SHIPPED:
        assert _files(shipped / name) == _files(ROOT / name), name

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [str(python.with_name("calibration-tuning")), *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)

    (tmp_path / "answers.csv").write_text("confidence,correct\n0.9,1\n0.2,0\n0.7,1\n0.4,1\n0.8,0\n")
    scored = command("score", "answers.csv", "--bootstrap", "100", "--output", "scores")
    assert scored.returncode == 0, scored.stderr
    assert json.loads((tmp_path / "scores/metrics.json").read_text())["as it is"]["brier"]["value"] == pytest.approx(
        (0.01 + 0.04 + 0.09 + 0.36 + 0.64) / 5
    )
    demo = command("run", "configs/demo.yaml", "--print-config")
    assert "countries" in demo.stdout, demo.stderr
    for name, words in (("run configs/demo.yaml", "curate needs torch"), ("ask checkpoint Why?", "ask needs torch")):
        refused = command(*name.split())
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"error: {words}; run `pip install -e '.[" in refused.stderr


def _files(folder: Path) -> list[str]:
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in names if "__pycache__" not in name)
