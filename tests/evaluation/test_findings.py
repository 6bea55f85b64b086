from pathlib import Path

import pytest

from calibration_tuning.errors import RunError
from calibration_tuning.runs.journal import Journal
from evaluation.findings import Findings, drop_outdated, key
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


def test_outdated_folders_go_and_those_in_use_stay(tmp_path: Path) -> None:
    """Those in use are kept by name: what they depend on may have changed on disk since they were opened."""
    own = {name: Journal(tmp_path / f"{name}-new", "0") for name in ("query", "tokens")}
    for name in ("query-old", "tokens-older", "samples-old"):
        (tmp_path / name).mkdir()
    drop_outdated(tmp_path, own)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["query-new", "samples-old", "tokens-new"]


def test_a_finding_that_is_missing_is_named() -> None:
    row = answers("test", 1, 0)[0]
    findings = Findings({"query": {key("before", row): {"mass": 0.5}}}, "lora_prompt")
    assert findings.need("query", "before", row) == {"mass": 0.5}
    with pytest.raises(RunError, match=r"pass query \(after tuning\) has not looked at test0 of s"):
        findings.need("query", "after", row)
