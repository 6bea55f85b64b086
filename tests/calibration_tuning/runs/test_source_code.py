"""Results are kept by the code that they come from: what is imported, directly or not, and what lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration_tuning.runs import source_code
from calibration_tuning.runs.source_code import source_files, source_fingerprint

PASSES = "evaluation.passes"


def names(module: str) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in source_files(module)}


@pytest.mark.slow
def test_what_passes_import_counts_whether_it_is_listed_or_not() -> None:
    assert names(PASSES) >= {
        *("passes/tokens.py", "metrics/token_calibration.py", "metrics/row_statistics.py", "metrics/token_sums.py"),
        *("kernels/cpu.py", "kernels/gpu.py", "kernels/rows.cpp"),
        *("grading/graders.py", "grading/code_sandbox.py", "grading/code_runner.py", "lm/prompts.py"),
    }
    assert not names(PASSES) & {"sections/headline.py", "serving/app.py", "evaluation/report.py"}
    assert names("data_curation.__main__") >= {"data_curation/judge_prompt.txt", "engines/vllm.py"}


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["rows.cpp", "cpu.py", "row_statistics.py", "graders.py"])
def test_a_change_in_any_of_them_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    before = source_fingerprint.__wrapped__(PASSES)

    def of(path: Path) -> str:
        return "changed" if path.name == changed else "same"

    monkeypatch.setattr(source_code, "sha256_file", lambda path: "same")
    same = source_fingerprint.__wrapped__(PASSES)
    monkeypatch.setattr(source_code, "sha256_file", of)
    assert len({before, same, source_fingerprint.__wrapped__(PASSES)}) == 3


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"evaluation\.nothing: no such module"):
        source_files("evaluation.nothing")
