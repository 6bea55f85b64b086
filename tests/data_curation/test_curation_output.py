"""The files of a curated set: what they say adds up, and loads where users load it."""

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.lm.models import load_tokenizer
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.shown_prompt import Part, conversation, example_parts, token_counts
from calibration_tuning.records import SPLITS, FewShot, GradedAnswer, read_records
from data_curation.__main__ import curate
from data_curation.grade_answers import agreement
from data_curation.inspect import show
from data_curation.manifest import base_rates, cloze_accuracy
from data_curation.publish import publish


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[[Path], Path]) -> RunConfig:
    """A finished curation of three sets in three styles, one for evaluation, with samples and a second grader."""
    folder = tmp_path_factory.mktemp("output")
    values = yaml.safe_load(write_tiny_config(folder).read_text())
    lettered = [
        {"question": f"Pick the sum of {a} and 3.", "choices": [str(a), str(a + 3), "none"], "answer": str(a + 3)}
        for a in range(20)
    ]
    held_out = [{"question": f"Which is larger, {a} or 50?", "choices": [f"number {a}", "fifty"], "answer": "fifty"}
                for a in range(12)]  # fmt: skip
    repeated = json.loads(Path(values["questions"][0]["path"]).read_text().splitlines()[0])
    with Path(values["questions"][0]["path"]).open("a") as file:
        file.write(json.dumps(repeated) + "\n{broken\n" + json.dumps({"question": "w " * 3000, "answer": "1"}) + "\n")
    choice = {"grader": "choice", "path": jsonl(folder / "letters.jsonl", lettered)}
    cloze = {"grader": "choice", "path": jsonl(folder / "cloze.jsonl", held_out), "role": "evaluation", "count": 8}
    values["questions"] += [
        {"source": "letters", "style": "choice", "license": "mit", **choice, "count": 10},
        {"source": "sizes", "style": "cloze", "license": "cc0-1.0", **cloze},
    ]
    values["curation"] |= {"samples": 2, "second_grader": {"grader": "fuzzy", "sample": 30}}
    path = folder / "three.yaml"
    path.write_text(yaml.safe_dump(values))
    config = load_run_config(path, [])
    curate(config, False)
    return config


def manifest(run: RunConfig) -> dict[str, Any]:
    return json.loads((run.curation_dir / "manifest.json").read_text())


@pytest.mark.slow
def test_every_row_is_accounted_for(run: RunConfig) -> None:
    record = manifest(run)
    dropped = [json.loads(line) for line in (run.curation_dir / "dropped.jsonl").read_text().splitlines()]
    for source, counts in record["counts"].items():
        own = Counter(row["reason"] for row in dropped if row["source"] == source)
        assert counts["rows"] - counts["usable"] == own["bad_row"]
        assert counts["usable"] - counts["distinct"] == own["duplicate"] + own["near_duplicate"]
        assert counts["distinct"] - counts["decontaminated"] == own["in_evaluation_set"]
        after = own["query_demonstration"] + own["beyond_sizes"] + own["too_long_for_query"]
        assert counts["graded"] - counts["kept"] == after
        assert counts["asked"] == counts["graded"]
    totals = {reason: sum(counts.values()) for reason, counts in record["dropped"].items()}
    assert totals == Counter(row["reason"] for row in dropped)
    assert record["counts"]["sums"]["rows"] == 84
    assert record["counts"]["sums"]["usable"] == 83
    assert totals["duplicate"] == 1
    broken = next(row for row in dropped if row["reason"] == "bad_row")
    assert (broken["source"], broken["id"]) == ("sums", "row 82")
    assert "not JSON" in broken["detail"]


def test_splits_hold_what_they_should(run: RunConfig) -> None:
    rows = {split: read_records(run.curation_dir / f"{split}.parquet") for split in SPLITS}
    assert {split: len(own) for split, own in rows.items()} == {
        "train": 24,
        "validation": 8,
        "calibration": 10,
        "test": 16,
        "evaluation": 8,
    }
    assert {row.source for row in rows["evaluation"]} == {"sizes"}
    assert {row.source for split in SPLITS[:4] for row in rows[split]} == {"sums", "letters"}
    for row in (row for own in rows.values() for row in own):
        assert len(row.samples) == (0 if row.style == "cloze" else 2)
        assert (row.choice_logprobs is not None) == (row.style == "cloze")
        assert len(row.token_ids) == len(row.token_logprobs)
    assert len({row.id for own in rows.values() for row in own}) == 66


def test_the_set_loads_with_the_datasets_library(run: RunConfig, tmp_path: Path) -> None:
    from datasets import load_dataset

    found = load_dataset(str(run.curation_dir), cache_dir=str(tmp_path))
    assert {split: rows.num_rows for split, rows in found.items()} == {
        split: manifest(run)["splits"][split]["examples"] for split in SPLITS
    }


def test_the_card_is_the_hubs_and_says_it_all(run: RunConfig) -> None:
    from huggingface_hub import DatasetCard

    text = (run.curation_dir / "README.md").read_text()
    header = DatasetCard(text).data
    assert header.license == "other"
    assert header.language is None, "questions may be in any"
    assert f"\nAnswers of {run.model.path}, graded against references," in text
    assert [f["split"] for f in header.configs[0]["data_files"]] == list(SPLITS)
    assert "| sizes (`" in text
    assert "| evaluation | cc0-1.0 | 12 | 12 |" in text
    assert "| duplicate | 1 | sums 1 |" in text
    assert "Natural base rate" in text
    assert "cloze: likeliest choice is right" in text
    assert "Cohen's kappa" in text
    assert text.count("Is the proposed answer correct?") == 2 + 10
    assert "########" in text


def test_examples_are_shown_exactly_as_the_model_sees_them(run: RunConfig) -> None:
    from training.examples import query_example

    prompt_format = PromptFormat.of(load_tokenizer(run.model), run.model.prompt_format)
    few_shot = FewShot.model_validate(json.loads((run.curation_dir / "few_shot.json").read_text()))
    rows = read_records(run.curation_dir / "train.parquet")[:5]
    for row in rows:
        parts = example_parts(prompt_format, few_shot.query, row.text, row.token_ids, row.correct >= 0.5)
        ids = [token for part in parts for token in part.token_ids]
        trained = [*prompt_format.few_shot_ids(few_shot.query), *query_example(row, prompt_format).input_ids]
        assert ids[:-1] == trained
        assert ids[-1] == prompt_format.answer_tokens[row.correct >= 0.5]
        assert "".join(part.text for part in parts) == prompt_format.tokenizer.decode(ids)
        assert parts[2].token_ids == row.token_ids
    coloured = Console(record=True, force_terminal=True, color_system="standard", width=200, file=io.StringIO())
    row = rows[0].model_copy(update={"id": "w[/a]0"})  # no markup
    show([row], few_shot, prompt_format, coloured)
    said = coloured.export_text(styles=True)
    assert "w[/a]0 (train)" in said
    parts = example_parts(prompt_format, few_shot.query, row.text, row.token_ids, row.correct >= 0.5)
    assert f"\x1b[1;32m{parts[4].text}\x1b[0m" in said
    before = sum(len(part.token_ids) for part in parts[:4])
    assert f"supervised {parts[4].text!r} (id {parts[4].token_ids[0]}, position {before})" in token_counts(parts)


def test_a_long_block_is_shown_in_part() -> None:
    parts = [Part("block", [1] * 9, "abcdefghi"), Part("question", [1], "Q"), Part("verdict", [2], " ii")]
    assert conversation(parts, 9).plain == "abcdefghiQ ii"
    assert conversation(parts, 4).plain == "ab [... 5 characters ...] hiQ ii"


def test_publishing_sends_the_finished_files_in_one_commit(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, Any]] = []
    is_public = False

    class Api:
        def create_repo(self, repo: str, **options: Any) -> None:
            calls.append((repo, options))

        def repo_info(self, repo: str, repo_type: str) -> Any:
            return SimpleNamespace(private=not is_public)

        def upload_folder(self, **options: Any) -> Any:
            calls.append(("upload", options))
            return SimpleNamespace(repo_url="https://hub.example/datasets/org/set")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert publish(run, "org/set", public=False) == "https://hub.example/datasets/org/set"
    assert calls[0] == ("org/set", {"repo_type": "dataset", "private": True, "exist_ok": True})
    assert calls[1][1]["folder_path"] == run.curation_dir
    assert manifest(run)["fingerprint"] in calls[1][1]["commit_message"]
    deleted = calls[1][1]["delete_patterns"]
    assert {"evaluation.parquet", *(path.name for path in run.curation_dir.iterdir())} == {*deleted}
    assert {*deleted} == {*calls[1][1]["allow_patterns"]}
    capsys.readouterr()
    publish(run, "org/set", public=True)
    assert (
        capsys.readouterr().out == "org/set: already exists and stays private; its settings on the hub make it public\n"
    )
    is_public = True
    with pytest.raises(UserError, match=r"org/set: already exists and is public; pass --public"):
        publish(run, "org/set", public=False)
    assert [name for name, _ in calls].count("upload") == 2


def test_publishing_fails_in_one_sentence(run: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a repository name"):
        publish(run, "no/such/name", public=False)
    with pytest.raises(UserError, match="curate CONFIG"):
        publish(run.model_copy(update={"output_dir": tmp_path}), "org/set", public=False)

    class Api:
        def create_repo(self, repo: str, **options: Any) -> None:
            raise OSError("connection refused")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    with pytest.raises(RunError, match=r"org/set: upload failed \(connection refused\)"):
        publish(run, "org/set", public=False)


def graded(identity: str, correct: float, **values: Any) -> GradedAnswer:
    fields = {"source": "s", "subject": "s", "group": identity, "question": "?", "references": ["x"], "grader": "exact"}
    said = {"answer": "y", "token_ids": [1], "token_logprobs": [0.0]}
    return GradedAnswer.model_validate({**fields, **said, "id": identity, "correct": correct, **values})


def test_agreement_and_kappa_by_hand() -> None:
    first = [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    second = [1, 1, 0, 1, 0, 0, 0, 0, 0, 0]
    rows = [graded(str(i), value) for i, value in enumerate([*first, 1])]
    found = agreement(rows, {str(i): float(value) for i, value in enumerate(second)} | {"10": None})
    # Both say correct to 3 of 10: chance agreement 0.3 * 0.3 + 0.7 * 0.7 = 0.58; kappa = (0.8 - 0.58) / (1 - 0.58).
    assert (found["n"], found["unreadable"], found["agreement"]) == (10, 1, 0.8)
    assert found["kappa"] == pytest.approx(0.22 / 0.42)
    assert agreement(rows[:2], {"0": 1.0, "1": 1.0})["kappa"] is None


def test_base_rates_give_the_shift_of_the_log_odds(run: RunConfig) -> None:
    everything = [graded(str(i), float(i < 20), source="sums") for i in range(100)]
    train = [row for row in everything if int(row.id) < 20 or int(row.id) >= 80]
    found = SimpleNamespace(
        rows=[SimpleNamespace(correct=r.correct, split="train", sample_accuracy=None) for r in train]
    )
    rates = base_rates(run, everything, found)
    assert (rates["natural"], rates["train"]) == (0.2, 0.5)
    # logit(0.2) - logit(0.5) = log(1/4)
    assert rates["log_odds_shift"] == pytest.approx(-1.3862944)


def test_cloze_accuracy_raw_and_per_character() -> None:
    row = graded("a", 1.0, style="cloze", choices=["no", "certainly"], choice_logprobs=[-2.0, -4.0])
    # Raw prefers "no" (-2 > -4); per character "certainly" (-4/9 > -2/2).
    right = row.model_copy(update={"references": ["certainly"]})
    assert cloze_accuracy([right]) == {"s": {"raw": 0.0, "per_character": 1.0, "chance": 0.5}}


@pytest.mark.slow
def test_a_tracker_has_the_counts_the_base_rates_and_the_set(
    tiny_config_path: Path,
    wandb_records: Callable[[Path], list[Any]],
    wandb_history: Callable[[Path], list[dict[str, Any]]],
) -> None:
    config = load_run_config(tiny_config_path, ["tracking.wandb=offline"])
    curate(config, False)
    record = manifest(config)
    (path,) = (config.run_dir / "wandb").glob("offline-run-*/run-*.wandb")
    (row,) = wandb_history(path)
    assert (row["train/examples"], row["test/examples"]) == (24, 16)
    assert row["train/correct"] == pytest.approx(record["splits"]["train"]["correct"])
    assert row["base_rate/natural"] == pytest.approx(record["base_rates"]["natural"])
    assert row["curation/kept"] == sum(counts["kept"] for counts in record["counts"].values())
    assert "evaluation/examples" not in row, "a split that this run has not"
    gone = [json.loads(line)["reason"] for line in (config.curation_dir / "dropped.jsonl").read_text().splitlines()]
    assert {name: count for name, count in row.items() if name.startswith("dropped/")} == {
        f"dropped/{reason}": count for reason, count in Counter(gone).items()
    }
    assert gone
    (made,) = [r.artifact for r in wandb_records(path) if r.WhichOneof("record_type") == "artifact"]
    assert (made.type, made.name) == ("dataset", "tiny-curation")
    assert {*made.aliases} == {"latest", record["fingerprint"]}
    assert {entry.path for entry in made.manifest.contents} == {p.name for p in config.curation_dir.iterdir()}
