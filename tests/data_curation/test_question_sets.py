import csv
import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibration_tuning.config.questions import MixtureEntry, QuestionSetSettings, read_set
from calibration_tuning.config.settings import validate
from calibration_tuning.errors import UserError
from calibration_tuning.records import Question
from data_curation.question_sets import load_questions

ROWS = [
    {"question": "Who?", "answer": "me", "aliases": ["I"], "subject": "people"},
    {"question": "Where?", "answer": "here", "aliases": None, "subject": "places"},
]


def settings(path: object, **values: Any) -> MixtureEntry:
    return MixtureEntry(source="set", path=str(path), **values)


def load(path: object, split: str | None = "train", **values: Any) -> list[Question]:
    return load_questions(settings(path, **values), split).questions


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


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz", "q.csv", "q.tsv", "q.parquet", "q.json"])
def test_local_files(tmp_path: Path, name: str) -> None:
    first, second = load(write(tmp_path / name, ROWS))
    assert (first.question, first.references, first.subject, first.source) == ("Who?", ["me", "I"], "people", "set")
    assert second.references == ["here"]
    assert [q.id for q in (first, second)] == ["set/0", "set/1"]


def test_json_may_be_one_list(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text("\n " + json.dumps(ROWS))
    assert [q.question for q in load(tmp_path / "q.json")] == ["Who?", "Where?"]


def test_nested_columns_as_in_trivia_qa(tmp_path: Path) -> None:
    rows = [
        {"question": "Who?", "answer": {"value": "Sinclair Lewis", "normalized_aliases": ["sinclair lewis", "lewis"]}}
    ]
    path = write(tmp_path / "q.parquet", rows)
    (found,) = load(path, answer="{{ answer.value }}", aliases="{{ answer.normalized_aliases }}")
    assert found.references == ["Sinclair Lewis", "sinclair lewis", "lewis"]
    assert found.subject == "set"


def test_an_answer_may_be_a_list_as_in_web_questions(tmp_path: Path) -> None:
    path = write(tmp_path / "q.parquet", [{"question": "Who?", "answers": ["a", "b"]}])
    (found,) = load(path, answer="{{ answers }}")
    assert found.references == ["a", "b"]


def test_templates_are_text_or_values(tmp_path: Path) -> None:
    rows = [{"stem": "Which?", "opts": "red;green", "key": 1, "n": 3}]
    (found,) = load(
        write(tmp_path / "q.jsonl", rows),
        question="{{ stem }} ({{ n + 1 }})",
        choices="{{ opts.split(';') }}",
        label="{{ key }}",
        grader="choice",
        style="choice",
    )
    assert (found.question, found.choices, found.references) == ("Which? (4)", ["red", "green"], ["green"])
    assert found.text == "Which? (4)\nA. red\nB. green"
    assert found.target == "B"


def test_templates_are_sandboxed(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", ROWS)
    with pytest.raises(UserError, match="unsafe"):
        load(path, question="{{ question.__class__.__mro__ }} x")


def test_a_data_set_by_name_in_the_hubs_layout(tmp_path: Path) -> None:
    """A repository's folder is loaded by the same call as its name on the hub."""
    (tmp_path / "repo" / "data").mkdir(parents=True)
    for split, rows in {"train": ROWS, "test": ROWS[:1]}.items():
        write(tmp_path / "repo" / "data" / f"{split}-00000-of-00001.parquet", rows)
    assert len(load(tmp_path / "repo", "train")) == 2
    assert len(load(tmp_path / "repo", "test")) == 1
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "repo", "dev")


def test_an_image_of_a_hub_data_set_is_not_decoded(tmp_path: Path) -> None:
    """A damaged one among them costs nothing."""
    from datasets import Features, Image, List, Value

    (tmp_path / "repo/data").mkdir(parents=True)
    texts = dict.fromkeys(("question", "answer", "subject"), Value("string"))
    features = Features({**texts, "aliases": List(Value("string")), "picture": Image()})
    rows = [row | {"picture": {"bytes": b"no image", "path": None}} for row in ROWS]
    table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    pq.write_table(table, tmp_path / "repo/data/train-00000-of-00001.parquet")
    assert [q.question for q in load(tmp_path / "repo")] == ["Who?", "Where?"]


def embedded(name: str, **values: Any) -> list[Question]:
    return load_questions(MixtureEntry.model_validate({"set": name, **values}), None).questions


@pytest.mark.slow
def test_embedded_sets() -> None:
    names = ("countries", "cities", "elements", "atomic_numbers", "arithmetic")
    facts = [question for name in names for question in embedded(name)]
    counts = Counter(q.subject for q in facts)
    assert counts["symbol"] == counts["element"] == counts["atomic_number"] == 118
    assert counts["addition"] == counts["multiplication"] == 400
    assert len(facts) == len({q.id for q in facts}) > 5000
    answers = {q.question: q.references for q in facts}
    assert answers["What is the capital of France?"][0] == "Paris"
    assert answers["What is the chemical symbol of sodium?"][0] == "Na"
    assert "USA" in answers["Washington is the capital of which country?"]


def test_arithmetic_is_right() -> None:
    for q in embedded("arithmetic"):
        left, operator, right = q.question.removeprefix("What is ").removesuffix("?").split()
        value = int(left) + int(right) if operator == "+" else int(left) * int(right)
        assert q.references == [str(value)]


def test_only_these_subjects() -> None:
    assert {q.subject for q in embedded("elements", subjects=["symbol"])} == {"symbol"}


def test_ids_that_a_set_repeats_are_made_unique(tmp_path: Path) -> None:
    rows = [row | {"id": 7} for row in ROWS]
    assert [q.id for q in load(write(tmp_path / "q.jsonl", rows))] == ["set/7", "set/7+1"]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["a", "a", "a+1"], ["a", "a+2", "a+1"]),
        ([None, None, "1"], ["0", "1+1", "1"]),
        (["3", "1", "2", None], ["3", "1", "2", "3+1"]),
        (["0", "0", None], ["0", "0+1", "2"]),
    ],
)
def test_an_id_of_the_file_is_never_that_of_another_row(
    tmp_path: Path, ids: list[str | None], expected: list[str]
) -> None:
    """Recorded answers are found by it."""
    rows = [{"question": f"{i}?", "answer": "x", "id": name} for i, name in enumerate(ids)]
    assert [q.id for q in load(write(tmp_path / "q.jsonl", rows))] == [f"set/{name}" for name in expected]


def test_a_reference_that_is_no_number_is_refused_for_the_numeric_grader(tmp_path: Path) -> None:
    rows = [{"question": "Half?", "answer": "1/2"}, {"question": "Five?", "answer": "$5"}]
    loaded = load_questions(settings(write(tmp_path / "q.jsonl", rows), grader="numeric"), None)
    assert [q.references for q in loaded.questions] == [["$5"]]
    assert loaded.bad == [(0, "answer: '1/2' is not a number, as the grader `numeric` needs")]


def test_short_group_keys_mean_something_within_one_file_only(tmp_path: Path) -> None:
    """Also of files of one name; the same file on another machine has the same groups."""
    groups = {}
    for name, answer in (("a/q", "x"), ("b/q", "y"), ("copy/q", "x"), ("one", "x")):
        path = tmp_path / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        (groups[name],) = {q.group for q in load(write(path, [row | {"group": 3, "answer": answer} for row in ROWS]))}
    assert groups["a/q"] == groups["copy/q"]
    assert len(set(groups.values())) == 3
    assert all(re.fullmatch(r"(q|one)-[0-9a-f]{8}:3", group) for group in groups.values())


@pytest.mark.parametrize("name", ["q.jsonl", "q.json", "list.json"])
def test_a_byte_order_mark_costs_nothing(tmp_path: Path, name: str) -> None:
    text = json.dumps(ROWS) if name == "list.json" else "".join(json.dumps(row) + "\r\n" for row in ROWS)
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    loaded = load_questions(settings(tmp_path / name), None)
    assert (len(loaded.questions), loaded.bad) == (2, [])


def test_half_an_emoji_becomes_a_question_mark_everywhere(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(
        '{"question": "a\\ud83d", "answer": "b\\ud83d", "aliases": ["c\\ud83d"], "id": "\\ud83d"}'
    )
    (found,) = load(tmp_path / "q.jsonl")
    assert (found.question, found.references, found.id) == ("a?", ["b?", "c?"], "set/?")


def test_columns_with_other_names_than_python_are_in_row(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", [{"The question": "Who?", "answer": "me"}])
    assert load(path, question="{{ row['The question'] }}")[0].question == "Who?"
    path = write(tmp_path / "q.jsonl", [{"The question": "Who?", "answer": "me", "row": 7}])
    assert load(path, question="{{ row['The question'] }} {{ row.row }}")[0].question == "Who? 7"


@pytest.mark.slow
def test_a_template_that_takes_too_long_costs_its_row(tmp_path: Path) -> None:
    rows = [{"question": "a" * 40 + "!", "answer": "x"}, {"question": "fine", "answer": "x"}]
    loaded = load_questions(
        settings(write(tmp_path / "q.jsonl", rows), question="{{ question | regex_replace('(a|a)+$', '') }}"), None
    )
    assert [q.question for q in loaded.questions] == ["fine"]
    assert "takes too much (TimeoutError)" in loaded.bad[0][1]


def test_long_group_keys_are_hashed(tmp_path: Path) -> None:
    rows = [row | {"group": "a passage " * 50} for row in ROWS]
    first, second = load(write(tmp_path / "q.jsonl", rows))
    assert first.group == second.group
    assert len(first.group) < 40


GOOD = {"question": "Fine?", "answer": "yes"}
CHOICES = {"grader": "choice", "style": "choice", "label": "{{ key }}", "answer": "unused"}
LETTERED = {"question": "Fine?", "choices": ["a", "b"], "key": "B"}


@pytest.mark.parametrize(
    ("good", "bad", "options", "message"),
    [
        (GOOD, {"question": " ", "answer": "x"}, {}, "question: is empty"),
        (GOOD, {"question": "x", "answer": None}, {}, "answer: is empty"),
        (GOOD, {"answer": "x"}, {}, r"question: .*'question' is undefined.*columns answer"),
        (LETTERED, LETTERED | {"key": "E"}, CHOICES, r"label: 'E' is neither a letter A-B nor a position from 0"),
        (LETTERED, LETTERED | {"key": -1}, CHOICES, r"label: -1 is neither a letter"),
        (LETTERED, LETTERED | {"choices": ["a", "a"]}, CHOICES, "choices: holds 'a' 2 times"),
        (LETTERED, LETTERED | {"choices": ["a"]}, CHOICES, "choices: has 1; between 2 and 26"),
        (LETTERED, LETTERED | {"choices": "ab"}, CHOICES, "choices: 'ab' is not a list"),
    ],
)
def test_a_bad_row_is_left_out_and_named(tmp_path: Path, good: dict, bad: dict, options: dict, message: str) -> None:
    loaded = load_questions(settings(write(tmp_path / "q.jsonl", [good, bad, good]), **options), None)
    assert (len(loaded.questions), loaded.rows) == (2, 3)
    ((number, what),) = loaded.bad
    assert number == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(what)


def test_an_answer_that_is_not_a_choice(tmp_path: Path) -> None:
    row = {"question": "x", "answer": "c", "choices": ["a", "b"]}
    with pytest.raises(UserError, match=r"none of .*q\.jsonl's 1 rows is usable \(row 0, answer: 'c' is not one"):
        load(write(tmp_path / "q.jsonl", [row]), style="choice", grader="choice")
    assert load(write(tmp_path / "q.jsonl", [row]))[0].references == ["c"]


@pytest.mark.parametrize(
    ("name", "content", "bad"),
    [
        ("q.jsonl", b'{"question": "a", "answer": "b"}\n{broken\n{"question": "c", "answer": "d"}\n', "not JSON"),
        (
            "q.jsonl",
            b'{"question": "a", "answer": "b"}\n{"question": "\xff"}\n{"question":"c","answer":"d"}',
            "not UTF-8",
        ),
        ("q.jsonl", b'{"question": "a", "answer": "b"}\n[1]\n{"question": "c", "answer": "d"}\n', "a JSON list"),
        (
            "q.jsonl",
            b'{"question": "a", "answer": "b"}\n{"question": 1' + b"0" * 5000 + b'}\n{"question":"c","answer":"d"}',
            "not",
        ),
        (
            "q.jsonl",
            b'{"question": "a", "answer": "b"}\n{"answer": NaN}\n{"question":"c","answer":"d"}',
            "NaN is no number",
        ),
        ("q.csv", b"question,answer\na,b\nx,\xff\nc,d\n", "not UTF-8"),
        ("q.csv", b"question,answer\na,b\nx,y,z\nc,d\n", "not 2 fields"),
        ("q.tsv", b"question\tanswer\na\tb\nx\nc\td\n", "not 2 fields"),
    ],
)
def test_a_line_that_cannot_be_read_costs_only_itself(tmp_path: Path, name: str, content: bytes, bad: str) -> None:
    (tmp_path / name).write_bytes(content)
    loaded = load_questions(settings(tmp_path / name), None)
    assert [(q.question, q.references) for q in loaded.questions] == [("a", ["b"]), ("c", ["d"])]
    ((number, what),) = loaded.bad
    assert number == 1
    assert bad in what


def test_quotes_mean_nothing_in_a_tsv(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text('question\tanswer\n"Quoted at the start\tx\nb\ty\n')
    assert [q.question for q in load(tmp_path / "q.tsv")] == ['"Quoted at the start', "b"]


def test_csv_keeps_words_that_look_like_missing_values(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("\ufeffquestion,answer\nSymbol of sodium?,NA\nNone?,None\n", encoding="utf-8")
    assert [q.references for q in load(tmp_path / "q.csv")] == [["NA"], ["None"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.jsonl", b"", r"q\.jsonl: is empty"),
        ("q.csv", b"question,answer\n", r"none of .*q\.csv's 0 rows is usable \(no rows\)"),
        ("q.jsonl", b"{not json\n", r"none of .* \(row 0, not JSON"),
        ("q.csv", b'question,answer\na,b\n"c,d\ne,f\n', "cannot be read as csv"),
        ("q.parquet", b"PAR1 no parquet", "cannot be read as parquet"),
        ("q.jsonl.gz", b"no gzip", "cannot be read as jsonl"),
        ("q.yaml", b"- {question: a}", r"path: .*q\.yaml: not a json, jsonl, csv, tsv or parquet file$"),
        ("q", b"question,answer\na,b\n", r"path: .*q: not a json, jsonl, csv, tsv or parquet file$"),
        (
            "q.jsonl.gz",
            gzip.compress(b'{"question": "a", "answer": "b"}\n' * 5000, mtime=0)[:60],
            "cannot be read as jsonl",
        ),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(tmp_path / name)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"questions\.set\.path: .*none\.csv does not exist"):
        load(tmp_path / "none.csv")
    with pytest.raises(UserError, match="no embedded set 'rivers'"):
        load("embedded:rivers")
    with pytest.raises(UserError, match=r"\['cooking'\] not found"):
        load(write(tmp_path / "q.jsonl", ROWS), subjects=["cooking"])


def test_a_column_that_no_row_has(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"set: none of .*q\.jsonl's 2 rows is usable \(row 0, question: .*'q' is undef"
    ):
        load(write(tmp_path / "q.jsonl", ROWS), question="{{ q }}")


def test_a_template_with_a_syntax_error_dies_at_once_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text('path: x.jsonl\nquestion: "{{ question"\nanswer: "{{ answer | nofilter }}"\n')
    with pytest.raises(UserError, match=r"broken\.yaml: 2 wrong setting\(s\)\n  question: not a valid Jinja"):
        read_set(str(path))


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(UserError, match="no question set 'arc_hard'; did you mean"):
        read_set("arc_hard")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"path": "x", "style": "cloze", "choices": None}, "cloze needs choices"),
        (
            {"path": "x", "style": "choice"},
            "answered with a letter, which grader: exact does not read; use grader: choice",
        ),
        ({"path": "x", "style": "choice", "grader": "set"}, "grader: set does not read"),
        ({"path": "x", "grader": "code"}, "needs a program"),
        ({"path": "x", "grader": "code", "program": "no place"}, "needs a program"),
        ({"path": "x", "grader": "gues"}, "grader: Input should be"),
    ],
)
def test_settings_that_do_not_fit_together(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate({"source": "s", **values}, QuestionSetSettings, "here")
