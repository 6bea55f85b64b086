import csv
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.run_config import QuestionSetSettings
from data_curation.question_sets import load_questions

ROWS = [
    {"question": "Who?", "answer": "me", "aliases": ["I"], "subject": "people"},
    {"question": "Where?", "answer": "here", "aliases": None, "subject": "places"},
]


def settings(path: object, **values: Any) -> QuestionSetSettings:
    return QuestionSetSettings(name="set", path=str(path), **values)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in {".csv", ".tsv"}:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows([row | {"aliases": "|".join(row["aliases"] or [])} for row in rows])
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz", "q.csv", "q.tsv", "q.parquet"])
def test_local_files(tmp_path: Path, name: str) -> None:
    first, second = load_questions(settings(write(tmp_path / name, ROWS)), seed=0)
    assert (first.question, first.references, first.subject, first.source) == ("Who?", ["me", "I"], "people", "set")
    assert second.references == ["here"]


def test_nested_columns_as_in_trivia_qa(tmp_path: Path) -> None:
    rows = [
        {"question": "Who?", "answer": {"value": "Sinclair Lewis", "normalized_aliases": ["sinclair lewis", "lewis"]}}
    ]
    path = write(tmp_path / "q.parquet", rows)
    (found,) = load_questions(settings(path, answer="answer.value", aliases="answer.normalized_aliases"), seed=0)
    assert found.references == ["Sinclair Lewis", "sinclair lewis", "lewis"]
    assert found.subject == "set"


def test_first_of_a_list_as_in_web_questions(tmp_path: Path) -> None:
    path = write(tmp_path / "q.parquet", [{"question": "Who?", "answers": ["a", "b"]}])
    (found,) = load_questions(settings(path, answer="answers.0", aliases="answers"), seed=0)
    assert found.references == ["a", "b"]


def test_a_data_set_by_name_in_the_hubs_layout(tmp_path: Path) -> None:
    """A repository's folder is loaded by the same call as its name on the hub."""
    (tmp_path / "repo" / "data").mkdir(parents=True)
    for split, rows in {"train": ROWS, "test": ROWS[:1]}.items():
        write(tmp_path / "repo" / "data" / f"{split}-00000-of-00001.parquet", rows)
    assert len(load_questions(settings(tmp_path / "repo", split="train"), seed=0)) == 2
    assert len(load_questions(settings(tmp_path / "repo", split="test"), seed=0)) == 1
    with pytest.raises(UserError, match="cannot be read"):
        load_questions(settings(tmp_path / "repo", split="dev"), seed=0)


def test_embedded_sets() -> None:
    facts = [q for s in ("countries", "cities", "elements", "arithmetic") for q in load_questions(
        settings(f"embedded:{s}"), 0)]  # fmt: skip
    counts = Counter(q.subject for q in facts)
    assert counts["symbol"] == counts["element"] == counts["atomic_number"] == 118
    assert counts["addition"] == counts["multiplication"] == 400
    assert len(facts) > 5000
    answers = {q.question: q.references for q in facts}
    assert answers["What is the capital of France?"][0] == "Paris"
    assert answers["What is the chemical symbol of sodium?"] == ["Na"]
    assert "USA" in answers["Washington is the capital of which country?"]


def test_arithmetic_is_right() -> None:
    for q in load_questions(settings("embedded:arithmetic"), 0):
        left, operator, right = q.question.removeprefix("What is ").removesuffix("?").split()
        value = int(left) + int(right) if operator == "+" else int(left) * int(right)
        assert q.references == [str(value)]


def test_limit_and_subjects(tmp_path: Path) -> None:
    few = load_questions(settings("embedded:arithmetic", limit=10), seed=0)
    assert few == load_questions(settings("embedded:arithmetic", limit=10), seed=0)
    assert few != load_questions(settings("embedded:arithmetic", limit=10), seed=1)
    only = load_questions(settings("embedded:elements", subjects=["symbol"]), seed=0)
    assert {q.subject for q in only} == {"symbol"}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (ROWS, {"question": "q"}, "no column 'q'; it has question, answer"),
        ([*ROWS, {"question": " ", "answer": "x"}], {}, "q.jsonl, row 2, question: is empty"),
        ([*ROWS, {"question": "x", "answer": None}], {}, "row 2, answer: is empty"),
        (ROWS, {"subjects": ["cooking"]}, r"\['cooking'\] not found"),
        (
            [{"question": "x", "answer": "c", "choices": ["a", "b"]}],
            {"grader": "choice"},
            "row 0, answer: 'c' is not one",
        ),
    ],
)
def test_bad_rows_name_file_row_and_field(tmp_path: Path, rows: list, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_questions(settings(write(tmp_path / "q.jsonl", rows), **options), seed=0)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv does not exist"):
        load_questions(settings(tmp_path / "none.csv"), seed=0)
    (tmp_path / "q.jsonl").write_text("{not json\n")
    with pytest.raises(UserError, match="cannot be read"):
        load_questions(settings(tmp_path / "q.jsonl"), seed=0)
    with pytest.raises(UserError, match="no embedded set 'rivers'"):
        load_questions(settings("embedded:rivers"), seed=0)
