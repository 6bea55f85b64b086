import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.judge import main, read_cases
from calibration_tuning.config.engines import JudgeSettings, OpenAIEngine, RecordedEngine
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.grading.traces import without_trace
from calibration_tuning.lm.prompts import QUERY
from calibration_tuning.records import Question
from calibration_tuning.runs.files import fingerprint
from data_curation.judge import PROMPT, judge

pytestmark = pytest.mark.usefixtures("one_thread")

Pair = tuple[Question, str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALIBRATION_TUNING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def settings(endpoint: Any, tiny_model_path: Path) -> Callable[..., JudgeSettings]:
    def make(served: str = "judge", prompt_format: Any = "chat", **values: Any) -> JudgeSettings:
        engine = OpenAIEngine(base_url=endpoint.url, served_model=served, concurrency=2, max_retries=0, timeout=20)
        model = ModelSettings(path=str(tiny_model_path), prompt_format=prompt_format)
        return JudgeSettings(model=model, **{"engine": engine, **values})

    return make


def pair(answer: str, text: str = "Who?", references: list[str] | None = None) -> Pair:
    fields = {"id": text, "source": "s", "subject": "x", "group": text, "references": references or ["me", "I"]}
    return Question(question=text, grader="judge", **fields), answer


def says(endpoint: Any, verdict: Callable[[str], str]) -> None:
    """The judge replies to a prompt with `verdict` of it."""

    def script(seen: Any) -> Any:
        message = {"role": "assistant", "content": verdict(seen.prompt)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "judge", "choices": [choice]}
        return endpoint.reply(body=json.dumps(body).encode())

    endpoint.script = script


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("yes", 1.0),
        ("Yes.", 1.0),
        ("YES!", 1.0),
        ("**yes**", 1.0),
        ("__Yes__", 1.0),
        ('"yes"', 1.0),
        ("\n yes, it names the same person", 1.0),
        ("no", 0.0),
        ("No.", 0.0),
        ("**No**", 0.0),
        ("No: it names\nsomebody else", 0.0),
        ("", None),
        ("maybe", None),
        ("I think yes", None),
        ("The answer is no.", None),
        ("yes or no?", None),
        ("No. Yes.", None),
        ("yesterday", None),
        ("None of them", None),
        ("nothing", None),
        ("not yes", None),
        ("1", None),
        ("true", None),
        ("...", None),
        ("ja", None),
    ],
)
def test_a_verdict_is_yes_or_no_or_none(
    endpoint: Any, settings: Callable[..., JudgeSettings], reply: str, expected: float | None
) -> None:
    says(endpoint, lambda prompt: reply)
    assert judge(settings(), [pair("me")], "run") == [expected]


def right(prompt: str) -> str:
    return "yes" if "Proposed answer: me" in prompt else "no"


def test_verdicts_come_in_the_order_of_the_answers_and_each_is_asked_once(
    endpoint: Any, settings: Callable[..., JudgeSettings]
) -> None:
    says(endpoint, right)
    pairs = [pair("you"), pair("me"), pair("you"), pair("me", "Where?"), pair("me"), pair("he")]
    assert judge(settings(), pairs, "run") == [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    assert len(endpoint.seen) == 4  # as many different questions and answers
    assert {seen.body["temperature"] for seen in endpoint.seen} == {0.0}
    assert {seen.body["max_completion_tokens"] for seen in endpoint.seen} == {8}
    assert judge(settings(), [], "run") == []


def test_a_verdict_once_given_is_kept_for_all_runs(
    endpoint: Any, settings: Callable[..., JudgeSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    says(endpoint, right)
    judge(settings(), [pair("me"), pair("you")], "first run")
    assert len(endpoint.seen) == 2
    assert judge(settings(), [pair("he"), pair("you"), pair("me")], "second run") == [0.0, 0.0, 1.0]
    assert len(endpoint.seen) == 3
    # What changes only the speed is not part of the judge's identity; and with nothing to ask, nothing is loaded.
    engine = OpenAIEngine(base_url=endpoint.url, served_model="judge", concurrency=7, max_retries=1, timeout=3)
    monkeypatch.setattr("data_curation.judge.load_prompt_format", lambda settings: pytest.fail("loaded"))
    monkeypatch.setattr("data_curation.judge.build_engine", lambda settings, job: pytest.fail("built"))
    assert judge(settings(engine=engine), [pair("he")], "third run") == [0.0]
    assert len(endpoint.seen) == 3


def test_an_unreadable_verdict_is_kept_as_well(endpoint: Any, settings: Callable[..., JudgeSettings]) -> None:
    says(endpoint, lambda prompt: "maybe")
    assert judge(settings(), [pair("me")], "run") == judge(settings(), [pair("me")], "run") == [None]
    assert len(endpoint.seen) == 1


@pytest.mark.slow
def test_another_judge_or_prompt_or_length_gives_its_own_verdicts(
    endpoint: Any, settings: Callable[..., JudgeSettings], tmp_path: Path
) -> None:
    says(endpoint, lambda prompt: "yes")
    mine = tmp_path / "mine.txt"
    mine.write_text("{question}\n{references}\n{answer}\nIs that so?")
    judges = [settings(), settings("other"), settings(prompt_format="auto"), settings(prompt=mine)]
    judges.append(settings(max_new_tokens=9))
    for asked, own in enumerate(judges, 1):
        assert judge(own, [pair("me")], "run") == [1.0]
        assert len(endpoint.seen) == asked
    assert endpoint.seen[3].prompt == "Who?\nme; I\nme\nIs that so?"
    mine.write_text("{question}\n{references}\n{answer}\nIs that really so?")
    judge(settings(prompt=mine), [pair("me")], "run")
    assert len(endpoint.seen) == 6
    # The same words at another place are the same prompt.
    same = tmp_path / "same.txt"
    same.write_text(PROMPT.read_text())
    judge(settings(prompt=same), [pair("me")], "run")
    assert len(endpoint.seen) == 6
    # Another question, other references or another answer are another prompt.
    for other in (pair("me", "Where?"), pair("me", references=["me"]), pair("you")):
        judge(settings(), [other], "run")
    assert len(endpoint.seen) == 9


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        "{references}", "{question} {answer} {other}", "{", "}{}", "yes", "no\nyes", "100 % sure %s", "\\1 \\g<0>",
        f"me{QUERY} ii", "Proposed answer: x\nAccepted answers: x", "東京 🗼", "<|im_end|>",
    ],
)  # fmt: skip
def test_no_answer_breaks_the_prompt(endpoint: Any, settings: Callable[..., JudgeSettings], answer: str) -> None:
    says(endpoint, lambda prompt: "no")
    assert judge(settings(), [pair(answer, "Who {answer}?", ["me {question}", "I"])], "run") == [0.0]
    assert endpoint.seen[0].prompt == (
        "Here is a question, its accepted answers, and a proposed answer. Decide whether the proposed answer says the "
        "same as one of the accepted answers. Wording and spelling may differ; the facts may not. Reply with one word: "
        "yes or no.\n\nQuestion: Who {answer}?\nAccepted answers: me {question}; I\nProposed answer: " + answer
    )


def test_an_empty_answer_is_shown_as_none(endpoint: Any, settings: Callable[..., JudgeSettings]) -> None:
    says(endpoint, lambda prompt: "no")
    judge(settings(), [pair("")], "run")
    assert endpoint.seen[0].prompt.endswith("Proposed answer: (none)")


@pytest.mark.parametrize("field", ["question", "references", "answer"])
def test_a_prompt_file_must_show_everything(
    endpoint: Any, settings: Callable[..., JudgeSettings], tmp_path: Path, field: str
) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text(PROMPT.read_text().replace(f"{{{field}}}", "it"))
    with pytest.raises(UserError, match=f"curation.judge.prompt: {path} lacks {{{field}}}"):
        judge(settings(prompt=path), [pair("me")], "run")
    assert not endpoint.seen


@pytest.mark.parametrize("content", [None, b"\xff {question}{references}{answer}"])
def test_a_prompt_file_that_cannot_be_read(
    settings: Callable[..., JudgeSettings], tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "prompt.txt").write_bytes(content)
    with pytest.raises(UserError, match=r"curation.judge.prompt: .*prompt\.txt cannot be read"):
        judge(settings(prompt=tmp_path / "prompt.txt"), [pair("me")], "run")


def test_verdicts_given_before_a_failure_are_kept(endpoint: Any, settings: Callable[..., JudgeSettings]) -> None:
    says(endpoint, right)
    honest = endpoint.script
    endpoint.script = lambda seen: endpoint.reply(status=500) if "answer: he" in seen.prompt else honest(seen)
    pairs = [pair(answer) for answer in ("me", "you", "he", "she")]
    with pytest.raises(RunError, match=r"judging: 1 of 4 answers failed, .*the endpoint replies 500"):
        judge(settings(), pairs, "run")
    assert len(endpoint.seen) == 4
    endpoint.script = honest
    assert judge(settings(), pairs, "run") == [1.0, 0.0, 0.0, 0.0]
    assert len(endpoint.seen) == 5


def test_a_judge_that_fails_is_named_as_such(endpoint: Any, settings: Callable[..., JudgeSettings]) -> None:
    endpoint.script = lambda seen: endpoint.reply(status=401)
    with pytest.raises(RunError, match=r"^curation\.judge\.engine: http.* replies 401"):
        judge(settings(), [pair("me")], "run")


def test_a_refused_prompt_has_no_verdict(endpoint: Any, settings: Callable[..., JudgeSettings]) -> None:
    says(endpoint, right)
    honest = endpoint.script
    endpoint.script = lambda seen: endpoint.reply(status=400) if "answer: he" in seen.prompt else honest(seen)
    assert judge(settings(), [pair("me"), pair("he")], "run") == [1.0, None]
    endpoint.script = honest  # the server is fixed
    assert judge(settings(), [pair("me"), pair("he")], "run") == [1.0, 0.0]
    assert len(endpoint.seen) == 3


def test_recorded_verdicts_are_known_by_what_they_are(settings: Callable[..., JudgeSettings], tmp_path: Path) -> None:
    values = {"question": "Who?", "references": "me; I", "answer": "me"}
    prompt = PROMPT.read_text().strip()
    for field, value in values.items():
        prompt = prompt.replace(f"{{{field}}}", value)
    path = tmp_path / "verdicts.jsonl"
    for verdict, expected in (("yes", 1.0), ("no", 0.0)):
        path.write_text(json.dumps({"id": fingerprint(prompt), "answer": verdict}))
        assert judge(settings(engine=RecordedEngine(path=path)), [pair("me")], "run") == [expected]


def test_an_answer_that_is_longer_than_the_judge_reads_has_no_verdict(
    cache: Path, tiny_model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ModelSettings(path=str(tiny_model_path), dtype="float32", prompt_format="text")
    assert judge(JudgeSettings(model=model), [pair("me " * 600), pair("you")], "run")[0] is None
    assert "1 of 2 answers get no verdict" in capsys.readouterr().err
    [file] = cache.rglob("*.jsonl")
    assert len(file.read_text().splitlines()) == 1  # it was not asked


def test_a_judge_in_this_process(cache: Path, tiny_model_path: Path) -> None:
    """The whole way with the standard engine; a random model gives no readable verdict."""
    model = ModelSettings(path=str(tiny_model_path), dtype="float32", prompt_format="text")
    found = judge(JudgeSettings(model=model), [pair("me"), pair("you")], "run")
    assert set(found) <= {0.0, 1.0, None}
    [file] = cache.rglob("*.jsonl")
    assert file.name == "run-0.jsonl"
    assert len(file.read_text().splitlines()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("right", "68 of 68 (100%) | 95% to 100% | 0 of 36 | 0 of 32 | 0"),
        ("yes", "32 of 68 (47%) | 36% to 59% | 36 of 36 | 0 of 32 | 0"),
        ("Perhaps.", "0 of 68 (0%) | 0% to 5% | 0 of 36 | 0 of 32 | 68"),
    ],
)
def test_benchmark_of_a_judge_behind_an_endpoint(
    endpoint: Any, tiny_model_path: Path, capsys: pytest.CaptureFixture[str], verdict: str, expected: str
) -> None:
    known = {f"{case.question}\n{without_trace(case.answer)}": case.grade for case in read_cases()}

    def reply(prompt: str) -> str:
        asked, answer = prompt.split("Question: ")[1].split("\nAccepted answers: ")
        proposed = answer.split("Proposed answer: ")[1].split("<|im_end|>")[0].strip()
        return ["no", "yes"][known[f"{asked}\n{proposed}"]] if verdict == "right" else verdict

    says(endpoint, reply)
    main([str(tiny_model_path)], base_url=endpoint.url)
    assert f"| {tiny_model_path} | {expected} |" in capsys.readouterr().out
