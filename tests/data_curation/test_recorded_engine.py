"""Answers made elsewhere."""

import csv
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from calibration_tuning.config.engines import EngineSettings, RecordedEngine
from calibration_tuning.errors import UserError
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.prompts import PromptFormat
from data_curation.answering import AnswerJournal, answer_all
from data_curation.engines import ENGINES, Failure, build_engine
from tests.data_curation.asking import answers, ask, job
from tests.data_curation.reading.files import load

pytestmark = pytest.mark.usefixtures("one_thread")


def test_there_is_an_engine_for_every_kind() -> None:
    kinds = [kind.model_fields["kind"].default for kind in get_args(get_args(EngineSettings)[0])]
    assert list(ENGINES) == kinds
    assert len(kinds) == 4


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def recorded(tokenizer: Any, path: Path, style: Any = "text") -> Any:
    return build_engine(RecordedEngine(path=path), job(tokenizer, style))


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
@pytest.mark.parametrize("style", ["text", "chat"])
def test_recorded_answers(tiny: Any, tmp_path: Path, suffix: str, style: Any) -> None:
    prompt_format = PromptFormat(tiny[1], style)
    ids = prompt_format.answer_ids("the capital")
    logprobs = [-0.5 - i for i in range(len(ids))]
    rows: list[dict[str, Any]] = [
        {"id": "Who?", "answer": " the capital ", "sample": 0, "token_logprobs": logprobs},
        {"id": "Who?", "answer": "東京", "sample": 2, "token_logprobs": None},
        {"id": "Where?", "answer": "", "sample": None, "note": "columns of others are left alone"},
    ]  # csv files hold the list as "[-0.5, -1.5]", and nothing where there is None
    engine = recorded(tiny[1], write(tmp_path / f"answers.{suffix}", rows), style)
    requests = [ask("Who?"), ask("Who?", sample=1), ask("Who?", sample=2), ask("Where?"), ask("When?")]
    missing = Failure("not among the recorded answers", lasting=True)
    assert answers(engine, requests) == {
        "Who?#0": Answer("the capital", ids, logprobs),
        "Who?#1": missing,
        "Who?#2": Answer("東京", prompt_format.answer_ids("東京"), []),
        "Where?#0": Answer("", [], []),
        "When?#0": missing,
    }


def test_recorded_answers_go_through_the_journal(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_curation.engines.recorded.BATCH", 2)
    path = write(tmp_path / "a.jsonl", [{"id": f"Who is {n}?", "answer": str(n)} for n in range(5)])
    requests = [ask(f"Who is {n}?") for n in range(7)]
    found = answer_all(
        lambda: recorded(tiny[1], path), requests, AnswerJournal(tmp_path / "j", "0"), "answering", "answers"
    )
    assert [f.text if isinstance(f, Answer) else f.lasting for f in found.values()] == [*"01234", True, True]
    assert AnswerJournal(tmp_path / "j", "0").read() == found


def test_numbers_are_ids_and_answers_too(tiny: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": 7, "answer": 3.5}, {"id": 8.0, "answer": 3.0}])
    found = answers(recorded(tiny[1], path), [ask("Who?", id="7"), ask("Where?", id="8")])
    assert [answer.text for answer in found.values()] == ["3.5", "3"]


def test_questions_with_a_column_named_id_in_capitals(tiny: Any, tmp_path: Path) -> None:
    """They are known by it, not by their places, which would give each the next one's answer."""
    rows = [{"ID": n, "Question": f"Who is {n}?", "Answer": f"a{n}"} for n in range(1, 5)]
    questions = load(write(tmp_path / "q.csv", rows)).questions
    path = write(tmp_path / "a.jsonl", [{"id": n, "answer": f"a{n}"} for n in range(1, 5)])
    found = answers(recorded(tiny[1], path), [Request(question, "b", 5) for question in questions])
    assert [answer.text for answer in found.values()] == [question.references[0] for question in questions]


def test_half_a_surrogate_pair_does_not_stop_the_run(tiny: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": "7 \ud83d", "answer": "half \ud83d"}])
    journal = AnswerJournal(tmp_path / "j", "0")
    found = answer_all(lambda: recorded(tiny[1], path), [ask("Who?", id="7 ?")], journal, "answering", "answers")
    assert [answer.text for answer in found.values() if isinstance(answer, Answer)] == ["half ?"]


GOOD = {"id": "Who?", "answer": "the capital"}
OTHER = {"id": "Where?", "answer": "the capital"}


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"answer": "x"}, "id: Field required"),
        ({"id": "Where?"}, "answer: Field required"),
        ({"id": "Where?", "answer": None}, "answer: Input should be a valid string"),
        ({"id": "Where?", "answer": ["x"]}, "answer: is a list, not text"),
        (OTHER | {"sample": -1}, "sample: Input should be greater than or equal to 0"),
        (OTHER | {"sample": "first"}, "sample: Input should be a valid integer"),
        (OTHER | {"token_logprobs": ["x", -1.0]}, "token_logprobs.0: Input should be a valid number"),
        (OTHER | {"token_logprobs": [-1.0, None]}, "token_logprobs.1: Input should be a valid number"),
        (OTHER | {"token_logprobs": -0.5}, "token_logprobs: Input should be a valid list"),
        (OTHER | {"token_logprobs": "-0.5,"}, "token_logprobs: Input should be a valid list"),
        (OTHER | {"token_logprobs": "[" * 100_000 + "]" * 100_000}, "token_logprobs: Input should be a valid list"),
        (OTHER | {"token_logprobs": [-1.0] * 3}, "token_logprobs: 3 values, but the answer has 2 tokens"),
        ({"id": "Where?", "answer": "", "token_logprobs": [-1.0]}, "token_logprobs: 1 values, .* has 0 tokens"),
        ({"id": "Who?", "answer": "another"}, "id: 'Who\\?' has another answer above"),
    ],
)
def test_bad_rows_name_file_row_and_field(tiny: Any, tmp_path: Path, bad: dict[str, Any], what: str) -> None:
    path = write(tmp_path / "a.jsonl", [GOOD, bad])
    with pytest.raises(UserError, match=f"{path}, row 1, {what}") as caught:
        recorded(tiny[1], path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        b"{not json}\n",
        b'["a list"]\n',
        b'{"id": "a", "answer": "x", "token_logprobs": [-Infinity]}\n',
        b'{"id": "\xff"}\n',
    ],
)
def test_unreadable_rows_name_file_and_row(tiny: Any, tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line)
    with pytest.raises(UserError, match=f"{path}, row 1: not |{path}, row 1: a JSON list"):
        recorded(tiny[1], path)


def test_the_same_row_twice_is_no_contradiction(tiny: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [GOOD, GOOD, GOOD | {"sample": 1, "answer": "another"}])
    assert answers(recorded(tiny[1], path), [ask("Who?")])["Who?#0"].text == "the capital"


@pytest.mark.parametrize(
    ("name", "what"), [("a.txt", "none of jsonl, "), ("a", "none of jsonl, "), ("a.csv", "no such")]
)
def test_files_that_cannot_be_read(tiny: Any, tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        recorded(tiny[1], tmp_path / name)


def test_answers_to_other_questions_are_refused(tiny: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [GOOD])
    where, who = ask("Where?"), ask("Who?")
    assert recorded(tiny[1], path).batches([where, who]) == [[where, who]]
    message = rf"{path}: has answers for 0 of 1 questions \(their ids are such as Where\?\)"
    with pytest.raises(UserError, match=message):
        recorded(tiny[1], path).batches([where, ask("Where?", sample=1)])


def test_ids_may_be_those_of_the_questions_own_file(tiny: Any, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", [{"id": 1, "answer": "a"}, {"id": "x/2", "answer": "b"}, {"id": 2, "answer": "c"}]
    )
    engine = recorded(tiny[1], path)

    def of(source: str, number: int) -> Request:
        question = ask("Who?").question.model_copy(update={"id": f"{source}/{number}", "source": source})
        return Request(question, "block", 8)

    said = [answer.text for _, answer in next(engine.answer([[of("x", 1), of("x", 2), of("y", 2)]]))]
    assert said == ["a", "b", "c"]
    with pytest.raises(UserError, match="'1' is a question of x and of y; write 'y/1'"):
        next(engine.answer([[of("y", 1)]]))
