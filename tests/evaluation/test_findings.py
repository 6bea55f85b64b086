from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from calibration_tuning.config.run import RunConfig
from calibration_tuning.errors import RunError
from calibration_tuning.lm import models
from calibration_tuning.runs.journal import Journal
from evaluation import findings
from evaluation.__main__ import inputs_of
from evaluation.findings import Findings, drop_outdated, identity, key
from tests.evaluation.conftest import answers


def test_only_what_was_looked_at_is_there_and_only_what_is_looked_up_is_read() -> None:
    rows = dict(enumerate(answers("test", 4, 0)))
    found = {key("before", rows[i]): {"logit": float(i)} for i in (0, 2)}
    read: list[float] = []

    def logit(one: dict[str, float]) -> float:
        read.append(one["logit"])
        return one["logit"]

    seen = Findings({"query": found}, "lora_prompt").each("query", "before", rows, logit)
    assert (list(seen), len(seen), 2 in seen, 3 in seen) == ([0, 2], 2, True, False)
    assert not read
    assert seen[2] == 2.0
    with pytest.raises(KeyError):
        seen[3]
    assert read == [2.0]
    assert not Findings({"query": found}, "lora_prompt").each("query", "after", rows, logit)
    assert not Findings({}, "lora_prompt").each("query", "before", rows, logit)


def test_a_bare_probe_is_read_of_the_model_as_it_came() -> None:
    row = answers("test", 1, 0)[0]
    found = {key("before", row): {"answer_logprobs": [-1.0]}}
    assert dict(Findings({"tokens": found}, "probe").each("tokens", "after", {5: row}, len)) == {5: 1}
    assert not Findings({"query": found}, "probe").each("query", "after", {5: row}, len)
    assert dict(Findings({"query": found}, "none").each("query", "after", {5: row}, len)) == {5: 1}


def test_outdated_folders_go_and_those_in_use_stay(tmp_path: Path) -> None:
    """Those in use are kept by name: what they depend on may have changed on disk since they were opened."""
    own = {name: Journal(tmp_path / f"{name}-new", "0") for name in ("query", "tokens")}
    for name in ("query-old", "tokens-older", "samples-old"):
        (tmp_path / name).mkdir()
    drop_outdated(tmp_path, own)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["query-new", "samples-old", "tokens-new"]


@pytest.fixture
def on_disk(config: RunConfig, tmp_path: Path) -> RunConfig:
    """A run whose curated set and checkpoint are there as far as findings depend on them."""
    run = config.model_copy(update={"output_dir": tmp_path})
    run.curation_dir.mkdir(parents=True)
    (run.curation_dir / "few_shot.json").write_text("{}")
    run.checkpoint_dir.mkdir()
    (run.checkpoint_dir / "calibration.json").write_text("{}")
    return run


def test_findings_and_reports_of_another_precision_are_others(
    on_disk: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dtype: auto` is bfloat16 on one machine and float32 on the next."""
    trained: Any = SimpleNamespace(inputs_fingerprint="i")
    made = {}
    for dtype in (torch.bfloat16, torch.float32):
        monkeypatch.setattr(models, "resolve_dtype", lambda name, dtype=dtype: dtype)
        made[dtype] = identity(on_disk, "query"), inputs_of(on_disk, trained)
    first, second = made.values()
    assert first[0] != second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize("package", ["math-verify", "rapidfuzz"])
def test_findings_graded_by_another_version_are_others(
    on_disk: RunConfig, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identity(on_disk, "samples")
    own = findings.version
    monkeypatch.setattr(findings, "version", lambda name: "another" if name == package else own(name))
    assert identity(on_disk, "samples") != before


def test_a_finding_that_is_missing_is_named() -> None:
    row = answers("test", 1, 0)[0]
    findings = Findings({"query": {key("before", row): {"mass": 0.5}}}, "lora_prompt")
    assert findings.need("query", "before", row) == {"mass": 0.5}
    with pytest.raises(RunError, match=r"pass query \(after tuning\) has not looked at test0 of s"):
        findings.need("query", "after", row)
