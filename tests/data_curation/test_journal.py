import dataclasses
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from calibration_tuning.errors import RunError, UserError
from calibration_tuning.lm.answering import Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.records import Question
from data_curation.answering import AnswerJournal, answer_all
from data_curation.engines import Failure, Finished


def request(name: str) -> Request:
    question = Question(
        id=name, source="s", subject="s", group=name, question=f"{name}?", references=["x"], grader="exact"
    )
    return Request(question, "s", 4)


REQUESTS = [request(f"q{i}") for i in range(10)]


def answer(name: str) -> Answer:
    return Answer(f"é{name}", [1, 2], [-0.1, -1 / 3], None)


class Engine:
    """Answers in batches of 2 and remembers what it was asked; ends the run before batch `stop`."""

    def __init__(self, stop: int | None = None, fail: dict[str, Failure] | None = None) -> None:
        self.asked: list[str] = []
        self.stop = stop
        self.fail = fail or {}

    def batches(self, requests: Sequence[Request]) -> list[list[Request]]:
        return [list(requests[i : i + 2]) for i in range(0, len(requests), 2)]

    def answer(self, batches: Iterable[list[Request]]) -> Iterator[list[Finished]]:
        for number, batch in enumerate(batches):
            if number == self.stop:
                raise KeyboardInterrupt
            self.asked += [r.question.id for r in batch]
            yield [(r, self.fail.get(r.question.id, answer(r.question.id))) for r in batch]

    def answer_mass(self, block: Sequence[int], sequences: Sequence[Sequence[int]]) -> None:
        return None


def run(engine: Engine, folder: Path, writer: str = "0") -> dict[str, Answer | Failure]:
    return answer_all(lambda: engine, REQUESTS, AnswerJournal(folder, writer), "answering", "answers")


def test_an_interrupted_run_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    first = Engine(stop=3)
    with pytest.raises(KeyboardInterrupt):
        run(first, tmp_path)
    second = Engine()
    found = run(second, tmp_path)
    assert first.asked == [f"q{i}" for i in range(6)]
    assert second.asked == [f"q{i}" for i in range(6, 10)]
    assert found == {f"q{i}#0": answer(f"q{i}") for i in range(10)}
    assert found == run(Engine(stop=0), tmp_path)


@pytest.mark.parametrize("cut", [1, 20, 70])
def test_a_torn_line_is_cut_off_and_its_batch_answered_again(tmp_path: Path, cut: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Engine(stop=2), tmp_path)
    file = tmp_path / "0.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    again = Engine()
    found = run(again, tmp_path)
    assert again.asked == [f"q{i}" for i in range(2, 10)]
    assert found == {f"q{i}#0": answer(f"q{i}") for i in range(10)}
    # q2 was whole and is not written twice; q3 is there once, on a line of its own.
    assert file.read_bytes().startswith(whole)
    assert len(file.read_text(encoding="utf-8").splitlines()) == 10


def test_answers_of_other_processes_count(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Engine(stop=4), tmp_path, "7")
    second = Engine()
    assert len(run(second, tmp_path, "0")) == 10
    assert second.asked == ["q8", "q9"]


def test_failures_that_may_pass_end_the_run_after_the_others(tmp_path: Path) -> None:
    down = {"q3": Failure("no reply within 5 s", lasting=False), "q8": Failure("no reply within 5 s", lasting=False)}
    sentence = (
        r"answering: 2 of 10 answers failed, the first for question q3 \(no reply within 5 s\); all others are kept, "
        r"and the same command asks just these again"
    )
    with pytest.raises(RunError, match=sentence):
        run(Engine(fail=down), tmp_path)
    again = Engine()
    assert len(run(again, tmp_path)) == 10
    assert again.asked == ["q2", "q3", "q8", "q9"]  # whole batches, for the sake of their rounding
    assert len((tmp_path / "0.jsonl").read_text(encoding="utf-8").splitlines()) == 10


def test_lasting_failures_are_results(tmp_path: Path) -> None:
    refused = Failure("the endpoint replies 400", lasting=True)
    assert run(Engine(fail={"q3": refused}), tmp_path)["q3#0"] == refused
    assert run(Engine(stop=0), tmp_path)["q3#0"] == refused


def test_a_full_disk_says_so_and_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from calibration_tuning.runs import journal

    journal_of_run = AnswerJournal(tmp_path, "0")
    journal_of_run.append([(REQUESTS[0], answer("q0"))])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal.os, "fsync", full)
    with pytest.raises(RunError, match=r"0\.jsonl: cannot be written \(No space left on device\)"):
        journal_of_run.append([(REQUESTS[1], answer("q1"))])
    assert journal_of_run.read()["q0#0"] == answer("q0")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        AnswerJournal(tmp_path / "file" / "answers", "0")


def test_rows_are_read_when_asked_for_also_from_a_deleted_file(tmp_path: Path) -> None:
    written = AnswerJournal(tmp_path / "answers", "0")
    written.append([(one, answer(one.question.id)) for one in REQUESTS])
    rows = written.rows()
    shutil.rmtree(tmp_path / "answers")
    assert list(rows) == [one.key for one in REQUESTS]
    assert rows["q7#0"] == dataclasses.asdict(answer("q7"))
    assert "q10#0" not in rows
    with pytest.raises(KeyError):
        rows["q10#0"]


def test_a_row_that_cannot_be_read_any_more(tmp_path: Path) -> None:
    written = AnswerJournal(tmp_path, "0")
    written.append([(one, answer(one.question.id)) for one in REQUESTS])
    rows = written.rows()
    (tmp_path / "0.jsonl").write_bytes(b"")
    with pytest.raises(RunError, match=r"0\.jsonl: cannot be read any more"):
        rows["q7#0"]
