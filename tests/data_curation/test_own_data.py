"""docs/own_data.md, run: every YAML on the page is curated, from files such as the page describes."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from calibration_tuning.claims import claim_question
from calibration_tuning.config.run import load_run_config
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.records import SPLITS, QueryExample, read_records
from data_curation.__main__ import curate
from data_curation.init import main as init

PAGE = (Path(__file__).parents[2] / "docs/own_data.md").read_text(encoding="utf-8")
RECIPES = {yaml.safe_load(block)["name"]: block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)}
COUNT = 160
KEEPERS = ["Ann", "Bob", "Cleo", "Dan", "Eve"]
HARBOURS = [
    f"{a}{b}"
    for a in ("Am", "Bir", "Ced", "Del", "Em")
    for b in ["ber", "ton", "ham", "wick", "by", "ford", "mouth", "ness"]
]


def rows(count: int = COUNT) -> list[dict[str, Any]]:
    """Questions about harbours; four of each, as four claims of an answer are."""
    made = []
    for number in range(count):
        harbour, part = HARBOURS[number // 4], number % 4
        keeper = KEEPERS[(number * 7) % len(KEEPERS)]
        made.append({"number": number, "harbour": harbour, "pier": part + 1, "keeper": keeper, "right": number % 3 > 0})
    return made


def lines(path: Path, values: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def table(path: Path, values: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(values[0]))
        writer.writeheader()
        writer.writerows(values)


def asked(row: dict[str, Any]) -> str:
    return f"Who keeps pier {row['pier']} of the harbour of {row['harbour']}?"


def written_for(name: str, folder: Path) -> None:
    """The files that the recipe names."""
    graded = [{"id": r["number"], "question": asked(r), "answer": r["keeper"], "right": r["right"]} for r in rows()]
    if name == "judged":
        table(
            folder / "questions.csv", [{"id": r["number"], "question": asked(r), "answer": r["keeper"]} for r in rows()]
        )
        said = [{"id": r["number"], "answer": r["keeper"] if r["right"] else "Zoe"} for r in rows()]
        lines(folder / "answers.jsonl", said)
    elif name == "graded":
        lines(folder / "graded.jsonl", graded)
    elif name == "pages":
        page = "The harbour of {harbour} has piers. Pier {pier} is kept by {keeper}."
        pages = [{"question": asked(r), "answer": r["keeper"], "passage": page.format(**r)} for r in rows()]
        lines(folder / "pages.jsonl", pages)
    elif name == "chats":
        chats = [
            {
                "messages": [
                    {"role": "user", "content": f"Tell me about the harbour of {r['harbour']}."},
                    {"role": "assistant", "content": "It has four piers."},
                    {"role": "user", "content": f"Who keeps pier {r['pier']}?"},
                ],
                "answer": r["keeper"],
            }
            for r in rows()
        ]
        lines(folder / "chats.jsonl", chats)
    else:
        claims = [
            {
                "id": f"{r['number'] // 4}-{r['pier']}",
                "document": str(r["number"] // 4),
                "question": f"What do you know of the harbour of {r['harbour']}?",
                "whole": f"{r['harbour']} has a harbour. Its pier {r['pier']} is kept by {r['keeper']}.",
                "answer": f"Its pier {r['pier']} is kept by {r['keeper']}.",
                "right": r["right"],
            }
            for r in rows()
        ]
        lines(folder / "claims.jsonl", claims)


def test_the_page_has_the_recipes() -> None:
    assert list(RECIPES) == ["judged", "graded", "pages", "chats", "claims"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_curated(name: str, tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written_for(name, tmp_path)
    (tmp_path / "run.yaml").write_text(RECIPES[name])
    sizes = "{train: 72, validation: 12, calibration: 20, test: 32}"
    overrides = [f"model={{path: {tiny_model_path}, prompt_format: text, minimal_answer_mass: 0}}"]
    if name == "claims":
        overrides.append("curation.query_few_shot=1")  # the tiny model's window holds no more of such questions
    config = load_run_config("run.yaml", [*overrides, f"curation.sizes={sizes}"])
    curate(config, False)
    found = {split: read_records(config.curation_dir / f"{split}.parquet") for split in SPLITS[:4]}
    assert len(found["test"]) >= 28
    every = [row for split in found.values() for row in split]
    assert len({row.id for row in every}) == len(every) >= 120
    CHECKS[name](every)
    groups = [{row.group for row in split} for split in found.values()]
    assert len(set.union(*groups)) == sum(map(len, groups)), "no group on two sides"
    assert CuratedSet.read(config.curation_dir).few_shot.query


def of_number(row: QueryExample) -> dict[str, Any]:
    return rows()[int(row.id.rpartition("/")[2])]


def check_graded(every: list[QueryExample]) -> None:
    for row in every:
        assert row.correct == of_number(row)["right"], row.id
        assert row.question == asked(of_number(row))


def check_pages(every: list[QueryExample]) -> None:
    for row in every:
        assert row.text == f"{row.context}\n{row.question}"
        assert row.context.endswith(f"is kept by {row.references[0]}.")


def check_chats(every: list[QueryExample]) -> None:
    for row in every:
        source = of_number(row)
        assert row.question == f"Who keeps pier {source['pier']}?"
        assert [turn.question for turn in row.earlier] == [f"Tell me about the harbour of {source['harbour']}."]
        assert row.references == [source["keeper"]]


def check_claims(every: list[QueryExample]) -> None:
    for row in every:
        document, pier = row.id.rpartition("/")[2].split("-")
        source = rows()[4 * int(document) + int(pier) - 1]
        assert row.answer == f"Its pier {pier} is kept by {source['keeper']}."
        assert row.correct == source["right"], row.id
        whole = f"{source['harbour']} has a harbour. {row.answer}"
        assert row.text == claim_question(f"What do you know of the harbour of {source['harbour']}?", whole)


CHECKS: dict[str, Callable[[list[QueryExample]], None]] = {
    "judged": check_graded,
    "graded": check_graded,
    "pages": check_pages,
    "chats": check_chats,
    "claims": check_claims,
}


@pytest.mark.slow
def test_the_first_recipe_writes_its_yaml_which_is_curated(
    tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "tickets.csv", [{"ticket": asked(row), "reply": row["keeper"]} for row in rows()])
    (line,) = re.findall(r"^calibration-tuning init (.*)$", PAGE, re.MULTILINE)
    app = typer.Typer()
    app.command()(init)
    result = CliRunner().invoke(app, shlex.split(line))
    assert result.exit_code == 0, result.output
    config = load_run_config("support/run.yaml", [])
    assert config.run_dir == tmp_path / "support/runs/support"
    assert config.questions[0].grader == "fuzzy"
    model = f"model={{path: {tiny_model_path}, prompt_format: text, minimal_answer_mass: 0}}"
    curate(load_run_config("support/run.yaml", [model, "curation.max_new_tokens=4"]), False)
    kept = [row for split in SPLITS[:4] for row in read_records(config.curation_dir / f"{split}.parquet")]
    assert len(kept) >= 0.8 * COUNT  # the rest is kept back for demonstrations, and for answers that are too long
    assert {row.question for row in kept} <= {asked(row) for row in rows()}
