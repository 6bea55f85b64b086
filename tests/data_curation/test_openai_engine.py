import dataclasses
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.config.engines import OpenAIEngine
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.extras import pip_install
from calibration_tuning.lm.answering import Answerer, Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import Demonstration, Question
from data_curation.answering import AnswerJournal, answer_all
from data_curation.engines import Failure, Job
from data_curation.engines.openai import OpenAI
from tests.families.templates import TEMPLATES

pytestmark = pytest.mark.usefixtures("one_thread")

BLOCKS = {"a": [Demonstration(question="What is 1 + 1?", answer="2")], "b": []}
KEY = "sk-0123456789abcdef"


def ask(text: str, block: str = "a", sample: int = 0, tokens: int = 5, **values: Any) -> Request:
    fields = {"id": text, "source": "s", "subject": "x", "group": text, "references": ["r"], "grader": "exact"}
    return Request(Question(question=text, **{**fields, **values}), block, tokens, sample)


MANY = [ask(f"What is {n}?", tokens=2) for n in range(12)]


def engine_for(endpoint: Any, style: Any = "text", job: dict[str, Any] | None = None, **settings: Any) -> OpenAI:
    values = {"concurrency": 4, "timeout": 20, "max_retries": 2, **settings}
    return OpenAI(
        OpenAIEngine(base_url=endpoint.url, served_model="tiny", **values),
        Job(ModelSettings(path="unused"), PromptFormat(endpoint.tokenizer, style), BLOCKS, **(job or {})),
    )


def answers(engine: Any, requests: list[Request]) -> dict[str, Any]:
    finished = [pair for batch in engine.answer(engine.batches(requests)) for pair in batch]
    assert sorted(request.key for request, _ in finished) == sorted(request.key for request in requests)
    return {request.key: found for request, found in finished}


def in_this_process(endpoint: Any, requests: list[Request], style: Any = "text") -> dict[str, Answer]:
    return answers(Answerer(endpoint.model, PromptFormat(endpoint.tokenizer, style), BLOCKS, 8), requests)


def assert_same(endpoint: Any, found: dict[str, Any], expected: dict[str, Answer], style: Any = "text") -> int:
    """The same texts, and the same log-probabilities wherever the model's tokens are those of its text.

    Returns the number of tokens compared.
    """
    assert found.keys() == expected.keys()
    compared = 0
    for key, answer in expected.items():
        ids = PromptFormat(endpoint.tokenizer, style).answer_ids(answer.text) if answer.text else []
        assert found[key].text == answer.text
        assert found[key].token_ids == ids
        if ids == answer.token_ids[: len(ids)]:
            assert found[key].token_logprobs == pytest.approx(answer.token_logprobs[: len(ids)], abs=1e-4)
            compared += len(ids)
    return compared


@pytest.mark.slow
def test_same_answers_and_log_probabilities_as_in_this_process(endpoint: Any, words: Callable[[str], None]) -> None:
    words(" ")
    requests = [ask(f"Who is {n}?", "ab"[n % 2], tokens=4 + n % 3) for n in range(12)]
    expected = in_this_process(endpoint, requests)
    assert assert_same(endpoint, answers(engine_for(endpoint), requests), expected) > 20


def test_same_answers_through_the_chat_template(endpoint: Any, words: Callable[[str], None]) -> None:
    words("")
    requests = [ask(f"Who is {n}?", "ab"[n % 2], tokens=1) for n in range(8)]
    expected = in_this_process(endpoint, requests, "chat")
    assert assert_same(endpoint, answers(engine_for(endpoint, "chat"), requests), expected, "chat") >= 4
    # One demonstration in block a, none in block b; the server's template adds the rest.
    assert sorted({len(seen.body["messages"]) for seen in endpoint.seen}) == [1, 3]
    assert all("stop" not in seen.body for seen in endpoint.seen)


@pytest.mark.parametrize(
    ("pieces", "several"),
    [
        ((":", " the", "\n", " capital", "<|im_end|>"), "the\n capital"),
        ((":", " the", "\n", "Question", ":"), "the"),  # the model goes on with a question of its own
    ],
)
def test_answers_of_several_lines(endpoint: Any, chain: Callable[..., None], pieces: Any, several: str) -> None:
    chain(*pieces)
    requests = [ask("Who?", multiline=True, tokens=12), ask("Where?", tokens=12)]
    found = answers(engine_for(endpoint), requests)
    assert {key: answer.text for key, answer in found.items()} == {"Where?#0": "the", "Who?#0": several}
    assert assert_same(endpoint, found, in_this_process(endpoint, requests)) >= 2
    assert {seen.question: seen.body["stop"] for seen in endpoint.seen} == {"Who?": ["\nQuestion:"], "Where?": ["\n"]}


@pytest.mark.parametrize("style", ["text", "chat"])
def test_without_log_probabilities_there_are_none(endpoint: Any, style: Any, words: Callable[[str], None]) -> None:
    words("" if style == "chat" else " ")

    def none(reply: dict[str, Any]) -> dict[str, Any]:
        reply["choices"][0]["logprobs"] = None
        return reply

    endpoint.change = none
    found = answers(engine_for(endpoint, style), MANY[:3])
    expected = in_this_process(endpoint, MANY[:3], style)
    assert {key: answer.text for key, answer in found.items()} == {key: a.text for key, a in expected.items()}
    assert any(answer.token_ids for answer in found.values())
    assert all(answer.token_logprobs == [] for answer in found.values())


# Our tokens of " the capital" are " the", " capital".
@pytest.mark.slow
@pytest.mark.parametrize(
    ("tokens", "values"),
    [
        ([" the", " capital", "\n"], None),
        ([" the", " capital", "\n"], []),
        ([" th", "e capital", "\n"], [-1.0, -2.0, -3.0]),  # as many, but not ours
        ([" the", " capital", "\n"], [-1.0, None, -3.0]),
        ([" the", " capital"], [-1.0, float("-inf")]),
        ([" the", " capital"], [-1.0, "x"]),
        ([" the", " capital"], [-1.0, -2.0, -3.0]),
        ([" the capital"], [-1.0]),
        ([" ", "the", " capital"], [-1.0, -2.0, -3.0]),
        (["the", " the"], [-1.0, -2.0]),
        ([" the", " capital\n"], [-1.0, -2.0]),  # the second token is not the answer's
        ([], []),
    ],
)
def test_log_probabilities_of_other_tokens_are_not_taken(endpoint: Any, tokens: Any, values: Any) -> None:
    endpoint.change = lambda reply: spoken(" the capital", tokens, values)
    found = answers(engine_for(endpoint), [ask("Who?")])["Who?#0"]
    prompt_format = PromptFormat(endpoint.tokenizer, "text")
    assert found == Answer("the capital", prompt_format.answer_ids("the capital"), [])


@pytest.mark.parametrize("tokens", [[" the", " capital", "\n"], ["the", " capital"], [" the", " capital"]])
def test_log_probabilities_of_our_tokens_are_taken(endpoint: Any, tokens: list[str]) -> None:
    endpoint.change = lambda reply: spoken(" the capital", tokens, [-1.0, -2.0, -3.0][: len(tokens)])
    assert answers(engine_for(endpoint), [ask("Who?")])["Who?#0"].token_logprobs == [-1.0, -2.0]


def spoken(text: Any, tokens: Any = None, values: Any = None) -> dict[str, Any]:
    offered = None if tokens is None else {"tokens": tokens, "token_logprobs": values}
    choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": offered}
    return {"id": "1", "object": "text_completion", "created": 0, "model": "tiny", "choices": [choice]}


@pytest.mark.slow
@pytest.mark.parametrize("text", ["Zürich – 東京 🗼", "naïve\u2028line", "", "\ud83d\ude00", "<|im_end|>"])
def test_any_text_is_an_answer(endpoint: Any, tmp_path: Path, text: str) -> None:
    endpoint.change = lambda reply: spoken(f" {text} ", [f" {text}"], [-1.0])
    request = ask("Who?", tokens=30)
    found = answer_all(lambda: engine_for(endpoint), [request], AnswerJournal(tmp_path, "0"), "answering", "answers")[
        "Who?#0"
    ]
    assert isinstance(found, Answer)
    assert found.text == text.encode("utf-16", "surrogatepass").decode("utf-16")
    assert len(found.token_ids) == 0 if not text else found.token_ids
    assert AnswerJournal(tmp_path, "0").read() == {"Who?#0": found}


def test_half_a_surrogate_pair_does_not_stop_the_run(endpoint: Any, tmp_path: Path) -> None:
    endpoint.change = lambda reply: spoken(" so \ud83d", [" so", " \ud83d"], [-1.0, -1.0])
    found = answer_all(
        lambda: engine_for(endpoint), [ask("Who?")], AnswerJournal(tmp_path, "0"), "answering", "answers"
    )
    assert found["Who?#0"].text == "so ?"  # type: ignore[union-attr]


@pytest.mark.parametrize("field", ["reasoning_content", "refusal"])
def test_neither_does_one_in_reasoning_or_in_a_refusal(endpoint: Any, tmp_path: Path, field: str) -> None:
    message = {"role": "assistant", "content": "the", field: "Hm \ud83d"}
    endpoint.change = lambda reply: {"choices": [{"message": message, "finish_reason": "stop"}]}
    journal = AnswerJournal(tmp_path, "0")
    found = answer_all(lambda: engine_for(endpoint, "chat"), [ask("Who?")], journal, "answering", "answers")["Who?#0"]
    assert (found.trace if isinstance(found, Answer) else found.reason).count("?") == 1
    assert AnswerJournal(tmp_path, "0").read() == {"Who?#0": found}


def test_a_thinking_model_has_room_for_its_trace_and_no_more_for_its_answer(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint.tokenizer, "chat_template", TEMPLATES["Qwen3"].text)
    engine = engine_for(endpoint, "chat")
    thinks = dataclasses.replace(engine._job.prompt_format, thinking="on", thinking_tokens=7)
    engine._job = dataclasses.replace(engine._job, prompt_format=thinks)
    message = {
        "role": "assistant",
        "content": "What is the capital of France? " * 9,
        "reasoning_content": "ii " * 40,
    }
    endpoint.change = lambda reply: {"choices": [{"message": message, "finish_reason": "stop"}]}
    (answer,) = answers(engine, [ask("Who?", tokens=3)]).values()
    assert endpoint.seen[-1].body["max_completion_tokens"] == 3 + thinks.trace_room > 10
    assert (len(answer.token_ids), answer.trace_tokens) == (3, 7)
    assert "What is the capital".startswith(answer.text)


@pytest.mark.slow
def test_sampled_requests_bring_temperature_and_a_seed_of_their_own(endpoint: Any) -> None:
    requests = [ask(text, sample=sample) for text in ("Who?", "Where?") for sample in range(3)]

    def sent(requests: list[Request], seed: int = 0) -> tuple[dict[tuple[str, float, int], int], dict[str, Any]]:
        endpoint.seen.clear()
        found = answers(engine_for(endpoint, job={"seed": seed, "temperature": 0.5}), requests)
        bodies = [(seen.question, seen.body["temperature"], seen.body["seed"]) for seen in endpoint.seen]
        return {body: bodies.count(body) for body in bodies}, found

    first, found = sent(requests)
    assert set(first.values()) == {1}  # six different seeds
    assert sorted((question, temperature) for question, temperature, _ in first) == [
        ("Where?", 0.0), ("Where?", 0.5), ("Where?", 0.5), ("Who?", 0.0), ("Who?", 0.5), ("Who?", 0.5),
    ]  # fmt: skip
    assert all(0 <= seed < 2**31 for _, _, seed in first)
    assert sent(requests[::-1]) == (first, found)
    assert sent(requests, seed=1)[0] != first
    assert len({answer.text for answer in found.values()}) > 3


def test_requests_under_way_reach_concurrency_and_never_pass_it(endpoint: Any) -> None:
    endpoint.wait_for = 5  # no reply before five are there, or for 5 s
    found = answers(engine_for(endpoint, concurrency=5), MANY)
    assert len(found) == 12
    assert endpoint.most_at_once == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "times"),
    [
        ({"status": 429, "headers": {"Retry-After": "0.4"}}, 1),
        ({"status": 500}, 2),
        ({"status": 503, "body": b"<html>busy</html>", "kind": "text/html"}, 1),
        ({"status": 408}, 1),
        ({"body": b'{"id": "1", "choi', "cut": True}, 1),
        ({"body": b"", "cut": True}, 2),
        ({"hang": True}, 1),
    ],
)
def test_passing_faults_are_tried_again(endpoint: Any, fault: Any, times: int) -> None:
    said = endpoint.reply(body=json.dumps(spoken(" the capital")).encode())
    endpoint.script = lambda seen: (
        endpoint.reply(**fault) if seen.question == "What is 1?" and seen.attempt < times else said
    )
    started = time.monotonic()
    found = answers(engine_for(endpoint, timeout=1 if "hang" in fault else 20), MANY[:3])
    assert [answer.text for answer in found.values()] == ["the capital"] * 3
    assert endpoint.questions.count("What is 1?") == 1 + times
    assert len(endpoint.seen) == 3 + times
    if "headers" in fault:
        assert time.monotonic() - started > 0.4  # what the server wishes, not the (here much shorter) backoff


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason", "tries"),
    [
        ({"hang": True}, "no reply within 1 s, 2 times", 2),
        ({"status": 500}, "the endpoint replies 500", 2),
        ({"status": 429}, "the endpoint replies 429", 2),
        ({"status": 405, "body": b'{"detail": "Method Not Allowed"}'}, "replies 405 (Method Not Allowed)", 1),
        ({"body": b'{"id": "1", "choi', "cut": True}, "no connection", 2),
        ({"body": b'{"id": "1", "choi'}, "not of its protocol", 1),
        ({"body": b"<html>sign in</html>", "kind": "text/html"}, "not of its protocol", 1),
        ({"body": b""}, "not of its protocol", 1),
        ({"body": b"null"}, "not of its protocol", 1),
        ({"body": b"[1, 2]"}, "not of its protocol", 1),
        ({"body": b'{"error": "busy"}'}, "the endpoint replies with an error (busy)", 1),
        ({"body": b'{"choices": []}'}, "not of its protocol", 1),
        ({"body": b'{"choices": [{}]}'}, "not of its protocol", 1),
        ({"body": b'{"choices": ["x"]}'}, "not of its protocol", 1),
        ({"body": b'{"choices": [{"text": null}]}'}, "not of its protocol", 1),
        ({"body": b'{"choices": [{"text": 3}]}'}, "not of its protocol", 1),
    ],
)
def test_one_question_that_fails_is_asked_again_by_the_next_run_and_no_other(
    endpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: Any, reason: str, tries: int
) -> None:
    good = endpoint.reply(body=json.dumps(spoken(" the capital")).encode())
    endpoint.script = lambda seen: endpoint.reply(**fault) if seen.question == "What is 7?" else good
    with pytest.raises(RunError) as caught:
        run(endpoint, tmp_path, MANY, max_retries=1, timeout=1 if "hang" in fault else 20)
    said = str(caught.value)
    assert said.startswith("answering: 1 of 12 answers failed, the first for question What is 7? (")
    assert reason in said
    assert "\n" not in said
    assert (
        f"warning: answering: 1 answers failed: {said.partition('(')[2].partition(');')[0]}" in capsys.readouterr().err
    )
    assert endpoint.questions.count("What is 7?") == tries
    assert AnswerJournal(tmp_path, "0").read().keys() == {request.key for request in MANY} - {"What is 7?#0"}

    endpoint.script = lambda seen: good
    endpoint.seen.clear()
    assert len(run(endpoint, tmp_path, MANY)) == 12
    assert endpoint.questions == ["What is 7?"]
    run(endpoint, tmp_path, MANY)
    assert endpoint.questions == ["What is 7?"]


def run(endpoint: Any, folder: Path, requests: list[Request], style: Any = "text", **settings: Any) -> Any:
    return answer_all(
        lambda: engine_for(endpoint, style, **settings), requests, AnswerJournal(folder, "0"), "answering", "answers"
    )


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_question_fails_for_good_and_alone(
    endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    body = json.dumps({"error": {"message": f"too long,\n{KEY} reads 512 tokens"}}).encode()
    endpoint.script = lambda seen: endpoint.reply(status=status, body=body) if seen.question == "What is 7?" else None
    found = run(endpoint, tmp_path, MANY)
    failure = found.pop("What is 7?#0")
    assert isinstance(failure, Failure)
    assert failure.lasting
    assert "reads 512 tokens" in failure.reason
    assert KEY not in failure.reason
    assert all(isinstance(answer, Answer) for answer in found.values())
    assert endpoint.questions.count("What is 7?") == 1
    assert len(run(endpoint, tmp_path, MANY)) == 12
    assert len(endpoint.seen) == 12  # the second run asks nothing
    assert_key_is_nowhere(tmp_path)


@pytest.mark.slow
def test_a_setting_that_is_refused_uses_up_no_question(endpoint: Any, tmp_path: Path) -> None:
    body = b'{"error": {"message": "logprobs is not supported"}}'
    endpoint.script = lambda seen: endpoint.reply(status=400, body=body)
    with pytest.raises(RunError, match=r"\(tiny\) answers none of 12 requests: .*logprobs is not supported.*; fix"):
        run(endpoint, tmp_path, MANY)
    assert AnswerJournal(tmp_path, "0").read() == {}
    endpoint.script = lambda seen: None
    assert all(isinstance(answer, Answer) for answer in run(endpoint, tmp_path, MANY).values())


def test_many_refusals_are_believed_once_something_is_answered(endpoint: Any) -> None:
    endpoint.script = lambda seen: None if seen.question == "What is 1?" else endpoint.reply(status=400)
    found = answers(engine_for(endpoint, concurrency=1), MANY)
    assert [isinstance(found[request.key], Failure) for request in MANY] == [n != 1 for n in range(12)]


def test_a_few_refusals_are_believed_even_when_nothing_else_is_asked(endpoint: Any, tmp_path: Path) -> None:
    endpoint.script = lambda seen: endpoint.reply(status=400)
    assert all(isinstance(failure, Failure) for failure in run(endpoint, tmp_path, MANY[:7]).values())


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_ends_the_run_at_once(
    endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    endpoint.script = lambda seen: endpoint.reply(status=status, body=body)
    with pytest.raises(RunError) as caught:
        run(endpoint, tmp_path, MANY, api_key_env="MY_KEY")
    said = str(caught.value)
    for part in (endpoint.url, "(tiny)", str(status), "base_url", "served_model", "MY_KEY"):
        assert part in said
    assert "\n" not in said
    assert KEY not in said + "".join(capfd.readouterr())
    assert len(endpoint.seen) <= 4  # one for each worker
    assert AnswerJournal(tmp_path, "0").read() == {}


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 12])
def test_a_server_that_is_gone_ends_the_run_and_what_is_finished_stays(
    endpoint: Any, tmp_path: Path, concurrency: int
) -> None:
    def gone_after_thirty(seen: Any) -> Any:
        gone = len(endpoint.seen) > 30
        return endpoint.reply(cut=True, body=b"") if gone else endpoint.reply(body=json.dumps(spoken(" i")).encode())

    endpoint.script = gone_after_thirty
    requests = [ask(f"What is {n}?") for n in range(200)]
    with pytest.raises(RunError, match=r"no longer answers: no connection .*check that it is running"):
        run(endpoint, tmp_path, requests, concurrency=concurrency, max_retries=1)
    kept = AnswerJournal(tmp_path, "0").read()
    assert 30 - concurrency <= len(kept) <= 30
    # Two tries for each of the eight failures in a row (or one from each worker), twice that for what was under way.
    assert len(endpoint.seen) <= 30 + 4 * (max(8, concurrency) + concurrency)
    endpoint.script = lambda seen: endpoint.reply(body=json.dumps(spoken(" i")).encode())
    endpoint.seen.clear()
    assert len(run(endpoint, tmp_path, requests, concurrency=concurrency)) == 200
    assert set(endpoint.questions) == {r.question.question for r in requests if r.key not in kept}


def test_failures_here_and_there_do_not_end_the_run(endpoint: Any, tmp_path: Path) -> None:
    def every_other(seen: Any) -> Any:
        odd = int(seen.question[8:-1]) % 2
        return endpoint.reply(status=500) if odd else endpoint.reply(body=json.dumps(spoken(" i")).encode())

    endpoint.script = every_other
    requests = [ask(f"What is {n}?") for n in range(24)]
    with pytest.raises(RunError, match=r"12 of 24 answers failed, the first for question What is 1\?"):
        run(endpoint, tmp_path, requests, concurrency=1, max_retries=0)
    assert len(AnswerJournal(tmp_path, "0").read()) == 12


def test_no_server_at_all(endpoint: Any, tmp_path: Path) -> None:
    endpoint.close()
    with pytest.raises(
        RunError, match=r"127\.0\.0\.1.* no longer answers: no connection \(.*\), 3 times, 8 requests in"
    ):
        run(endpoint, tmp_path, MANY)
    with pytest.raises(RunError, match=r"3 of 3 answers failed, the first for question What is 0\? \(no connection"):
        run(endpoint, tmp_path, MANY[:3])


@pytest.mark.parametrize("given", [KEY, f" {KEY}\n"])
def test_the_key_comes_from_its_variable_and_goes_only_to_the_server(
    endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], given: str
) -> None:
    monkeypatch.setenv("MY_KEY", given)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-endpoint")
    run(endpoint, tmp_path, MANY[:2], api_key_env="MY_KEY")
    assert [seen.authorization for seen in endpoint.seen] == [f"Bearer {KEY}"] * 2
    assert KEY not in "".join(capfd.readouterr())
    assert_key_is_nowhere(tmp_path)
    monkeypatch.delenv("MY_KEY")
    answers(engine_for(endpoint, api_key_env="MY_KEY"), MANY[:1])
    assert endpoint.seen[-1].authorization == "Bearer none"


def assert_key_is_nowhere(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not any(KEY.encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": f"{'x' * 290} {KEY}"}}),
        (200, {"error": {"message": f"{'x' * 290} {KEY}"}}),
        (200, {"choices": [{"message": {"refusal": f"{'x' * 290} {KEY}"}}]}),
        (200, f"{'x' * 290} {KEY}"),
    ],
)
def test_not_even_a_part_of_the_key_is_shown(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch, status: int, body: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    content = body if isinstance(body, str) else json.dumps(body)
    endpoint.script = lambda seen: endpoint.reply(status=status, body=content.encode())
    (failure,) = answers(engine_for(endpoint, "chat"), [ask("Who?")]).values()
    assert "xxx" in failure.reason
    assert KEY[:4] not in failure.reason
    assert len(failure.reason) < 400


@pytest.mark.parametrize("given", [f"{KEY}\nx", f"{KEY}\u00e9", f"{KEY}\x07"])
def test_a_key_that_no_request_can_carry_is_refused_without_showing_it(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", given)
    with pytest.raises(UserError, match="OPENAI_API_KEY") as caught:
        engine_for(endpoint)
    assert KEY not in str(caught.value)


def test_openai_that_is_missing(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(UserError, match=re.escape(pip_install("openai"))):
        engine_for(endpoint)


def test_the_caller_gets_what_the_thread_raises(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the engine itself is not taken for a bad reply, and does not leave the caller waiting."""
    monkeypatch.setattr(OpenAI, "_answer", lambda self, request, written: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        answers(engine_for(endpoint), MANY)
