"""The endpoint engine against servers that take, reject or ignore what it asks for."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.config.engines import OpenAIEngine
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import RunError
from calibration_tuning.lm.answering import Answerer, Request
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.prompts import PromptFormat
from data_curation.answering import AnswerJournal, answer_all
from data_curation.engines import Failure, Job
from data_curation.engines.endpoint_calls import NEUTRAL
from data_curation.engines.openai import OpenAI
from tests.data_curation.asking import BLOCKS, CHOICES, answers, ask, in_this_process
from tests.families.templates import TEMPLATES

pytestmark = pytest.mark.usefixtures("one_thread")
FOREIGN = ("top_k", "min_p", "repetition_penalty")


def engine_for(endpoint: Any, style: Any = "text", concurrency: int = 4, **job: Any) -> OpenAI:
    settings = OpenAIEngine(
        base_url=endpoint.url, served_model="tiny", concurrency=concurrency, timeout=20, max_retries=1
    )
    return OpenAI(settings, Job(ModelSettings(path="unused"), PromptFormat(endpoint.tokenizer, style), BLOCKS, **job))


def cloze(n: int = 6) -> list[Request]:
    return [ask(f"Who is {i}?", "ab"[i % 2], style="cloze", choices=CHOICES[i % 3]) for i in range(n)]


@pytest.mark.slow
@pytest.mark.parametrize("scoring", [{"echo", "prompt_logprobs"}, {"echo"}, {"prompt_logprobs"}])
@pytest.mark.parametrize("style", ["text", "chat"])
@pytest.mark.parametrize("by", ["raw", "per_character"])
def test_given_choices_are_scored_as_in_this_process(endpoint: Any, scoring: set[str], style: Any, by: Any) -> None:
    endpoint.scoring = scoring
    expected = in_this_process((endpoint.model, endpoint.tokenizer), cloze(), style, cloze=by)
    results = answers(engine_for(endpoint, style, cloze=by), cloze())
    assert results.keys() == expected.keys()
    for key, answer in expected.items():
        assert (results[key].text, results[key].token_ids) == (answer.text, answer.token_ids)
        assert results[key].choice_logprobs == pytest.approx(answer.choice_logprobs, abs=1e-4)
        assert results[key].token_logprobs == pytest.approx(answer.token_logprobs, abs=1e-4)
    assert {seen.path for seen in endpoint.seen} == {"/v1/completions"}


def test_a_way_that_works_is_asked_for_from_then_on(endpoint: Any) -> None:
    endpoint.scoring = {"prompt_logprobs"}
    answers(engine_for(endpoint, concurrency=1), cloze(3))
    assert sum("echo" in seen.body for seen in endpoint.seen) == 1
    assert len(endpoint.seen) == 1 + sum(map(len, CHOICES))


def refusal(endpoint: Any, message: str, status: int = 400) -> Any:
    return endpoint.reply(status=status, body=json.dumps({"error": {"message": message}}).encode())


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (None, "gives no log-probabilities of a prompt, which style cloze needs"),
        ("Setting 'echo' and 'logprobs' at the same time is not supported", "(Setting 'echo' and 'logprobs' at"),
    ],
)
def test_a_server_that_cannot_score_given_choices_is_refused(
    endpoint: Any, tmp_path: Path, message: str | None, words: str
) -> None:
    endpoint.scoring = set()
    endpoint.script = lambda seen: None if message is None else refusal(endpoint, message)
    with pytest.raises(RunError, match=r"style cloze needs; use an endpoint that does \(vllm serve\)") as caught:
        run(endpoint, tmp_path, cloze())
    assert words in str(caught.value)
    assert AnswerJournal(tmp_path, "0").read() == {}


def test_a_server_without_completions_says_so(endpoint: Any, tmp_path: Path) -> None:
    endpoint.script = lambda seen: endpoint.reply(status=404, body=b'{"detail": "Not Found"}')
    with pytest.raises(RunError, match=r"replies 404, not found there \(Not Found\).*style cloze needs /completions"):
        run(endpoint, tmp_path, cloze())


def test_the_client_brings_all_that_is_needed(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `openai` is this client alone, and the client has its own HTTP library."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    assert all(isinstance(answer, Answer) for answer in answers(engine_for(endpoint), cloze(1)).values())


@pytest.mark.slow
def test_one_question_that_is_too_long_fails_alone(endpoint: Any, tmp_path: Path) -> None:
    longest = max(len(PromptFormat(endpoint.tokenizer, "text").question_ids(r.question.text)) for r in cloze())
    long = ask("so " * 100, style="cloze", choices=CHOICES[0])
    endpoint.script = lambda seen: (
        refusal(endpoint, "maximum context length is 64") if len(seen.body["prompt"]) > longest + 40 else None
    )
    results = run(endpoint, tmp_path, [long, *cloze()])
    failure = results.pop(long.key)
    assert failure == Failure("the endpoint refuses it (maximum context length is 64)", lasting=True)
    assert all(isinstance(answer, Answer) for answer in results.values())


def test_another_models_tokenizer_is_noticed(endpoint: Any) -> None:
    def other(reply: dict[str, Any]) -> dict[str, Any]:
        given = reply["choices"][0]["logprobs"]
        given["tokens"] = ["other"] * len(given["tokens"])
        return reply

    endpoint.change = other
    with pytest.raises(RunError, match="must be the model that the endpoint serves"):
        answers(engine_for(endpoint), cloze())


def run(endpoint: Any, folder: Path, requests: list[Request], style: Any = "text") -> Any:
    return answer_all(lambda: engine_for(endpoint, style), requests, AnswerJournal(folder, "0"), "answering", "answers")


@pytest.mark.parametrize("style", ["text", "chat"])
def test_sampling_is_neutral_and_said_so(endpoint: Any, style: Any) -> None:
    answers(engine_for(endpoint, style), [ask("Who?"), ask("Who?", sample=1)])
    for seen in endpoint.seen:
        assert NEUTRAL.items() <= seen.body.items()
        assert "chat_template_kwargs" not in seen.body  # the template knows of no reasoning


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "message", "left_out"),
    [
        (400, "Unrecognized request argument supplied: {name}", FOREIGN),
        (422, "body.{name}: Extra inputs are not permitted", FOREIGN),
        (400, "Unsupported parameter: '{name}' is not supported with this model.", FOREIGN),
        (400, "Unknown field", FOREIGN),  # which one is not said
        (400, "Unsupported parameter: '{name}'", ("presence_penalty",)),
    ],
)
def test_what_a_server_does_not_take_is_left_out_with_one_warning(
    endpoint: Any,
    capsys: pytest.CaptureFixture[str],
    words: Callable[[str], None],
    status: int,
    message: str,
    left_out: tuple[str, ...],
) -> None:
    words(" ")

    def strict(seen: Any) -> Any:
        first = next((name for name in left_out if name in seen.body), None)
        return None if first is None else refusal(endpoint, message.format(name=first), status)

    endpoint.script = strict
    requests = [ask(f"Who is {i}?") for i in range(6)]
    results = answers(engine_for(endpoint, concurrency=1), requests)
    expected = in_this_process((endpoint.model, endpoint.tokenizer), requests)
    assert {key: a.text for key, a in results.items()} == {key: a.text for key, a in expected.items()}
    assert endpoint.seen[-1].body.keys() & NEUTRAL.keys() == NEUTRAL.keys() - {*left_out}
    warnings = [line for line in capsys.readouterr().err.splitlines() if "does not take" in line]
    assert len(warnings) == 1
    assert all(name in warnings[0] for name in left_out)
    assert message.format(name=left_out[0]) in warnings[0]


def test_a_refusal_for_another_reason_leaves_nothing_out(endpoint: Any, capsys: pytest.CaptureFixture[str]) -> None:
    endpoint.script = lambda seen: refusal(endpoint, "Unknown language") if seen.question == "Was?" else None
    results = answers(engine_for(endpoint, concurrency=1), [ask("Was?"), ask("Who?")])
    assert results["Was?#0"] == Failure("the endpoint refuses it (Unknown language)", lasting=True)
    assert endpoint.seen[-1].body.keys() >= NEUTRAL.keys()
    assert "does not take" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("untaken", "status", "message"),
    [
        (("logprobs",), 403, "You are not allowed to request {} from this model"),
        (("logprobs",), 400, "Logprobs is not enabled for models/tiny"),
        (("seed", "max_completion_tokens", *FOREIGN), 422, '{{"loc": ["body", "{}"], "type": "extra_forbidden"}}'),
        (("max_completion_tokens",), 400, "Unsupported parameter: '{}'"),
    ],
)
def test_a_server_may_lack_log_probabilities_a_seed_and_newer_names(
    endpoint: Any,
    capsys: pytest.CaptureFixture[str],
    words: Callable[[str], None],
    untaken: tuple[str, ...],
    status: int,
    message: str,
) -> None:
    words("")

    def strict(seen: Any) -> Any:
        first = next((name for name in untaken if name in seen.body), None)
        return None if first is None else refusal(endpoint, message.format(first), status)

    endpoint.script = strict
    requests = [ask(f"Who is {i}?") for i in range(10)]
    results = answers(engine_for(endpoint, "chat", concurrency=1), requests)
    expected = in_this_process((endpoint.model, endpoint.tokenizer), requests, "chat")
    assert {key: a.text for key, a in results.items()} == {key: a.text for key, a in expected.items()}
    assert any(answer.token_logprobs for answer in results.values()) == ("logprobs" not in untaken)
    limit = "max_tokens" if "max_completion_tokens" in untaken else "max_completion_tokens"
    assert endpoint.seen[-1].body[limit] == 5
    assert len(endpoint.seen) == 10 + len(untaken)  # what is learnt holds for all
    warnings = [line for line in capsys.readouterr().err.splitlines() if "does not take" in line]
    assert len(warnings) == (untaken != ("max_completion_tokens",))


def test_an_answer_is_no_longer_than_allowed_whatever_the_server_makes_of_the_limit(endpoint: Any) -> None:
    tokens = ["the", *[" capital"] * 40]
    logprobs = {"content": [{"token": token, "logprob": -float(i)} for i, token in enumerate(tokens)]}
    endpoint.script = lambda seen: endpoint.reply(body=message_of("".join(tokens), logprobs=logprobs))
    (answer,) = answers(engine_for(endpoint, "chat"), [ask("Who?")]).values()
    assert answer.text == "the capital capital capital capital"
    assert (len(answer.token_ids), answer.token_logprobs) == (5, [0.0, -1.0, -2.0, -3.0, -4.0])


def test_a_thinking_models_choices_are_scored_behind_an_empty_trace(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint.tokenizer, "chat_template", TEMPLATES["Qwen3"].text)
    thinks = PromptFormat(endpoint.tokenizer, "chat", thinking="on", thinking_tokens=7)
    engine = engine_for(endpoint, "chat")
    engine._job = dataclasses.replace(engine._job, prompt_format=thinks)
    expected = answers(Answerer(endpoint.model, thinks, BLOCKS, 8), cloze(3))
    for key, answer in answers(engine, cloze(3)).items():
        assert answer.choice_logprobs == pytest.approx(expected[key].choice_logprobs, abs=1e-4)


def message_of(content: Any, ended: str = "stop", logprobs: Any = None, **more: Any) -> bytes:
    message = {"role": "assistant", "content": content, **more}
    return json.dumps({"choices": [{"message": message, "finish_reason": ended, "logprobs": logprobs}]}).encode()


def test_reasoning_is_set_aside_and_the_answer_keeps_its_log_probabilities(endpoint: Any) -> None:
    tokens = ["the", " capital", "?", "the", " capital", "<|im_end|>"]
    logprobs = {"content": [{"token": token, "logprob": -float(i)} for i, token in enumerate(tokens)]}
    reply = message_of("the capital", logprobs=logprobs, reasoning_content="the capital?")
    endpoint.script = lambda seen: endpoint.reply(body=reply)
    (answer,) = answers(engine_for(endpoint, "chat"), [ask("Who?")]).values()
    ids = PromptFormat(endpoint.tokenizer, "chat").answer_ids("the capital")
    assert answer == Answer("the capital", ids, [-3.0, -4.0], trace="the capital?", trace_tokens=3)


def test_a_template_that_can_reason_is_switched(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    template = endpoint.tokenizer.chat_template
    switch = "{%- if enable_thinking is defined and enable_thinking %}{% endif -%}"
    monkeypatch.setattr(endpoint.tokenizer, "chat_template", switch + template)
    endpoint.script = lambda seen: endpoint.reply(body=message_of("the"))
    answers(engine_for(endpoint, "chat"), [ask("Who?")])
    assert endpoint.seen[-1].body["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}


def test_answers_that_are_none_are_left_out_and_named(endpoint: Any, tmp_path: Path) -> None:
    bodies = {
        "What is 0?": message_of("", "length"),
        "What is 1?": message_of(None, "content_filter"),
        "What is 2?": message_of(None, refusal="No."),
    }
    endpoint.script = lambda seen: endpoint.reply(body=bodies.get(seen.question, message_of("the")))
    results = run(endpoint, tmp_path, [ask(f"What is {n}?") for n in range(6)], "chat")
    reasons = {key: result.reason for key, result in results.items() if isinstance(result, Failure)}
    assert list(reasons) == ["What is 0?#0", "What is 1?#0", "What is 2?#0"]
    assert "finish_reason length" in reasons["What is 0?#0"]
    assert "content_filter" in reasons["What is 1?#0"]
    assert "refuses (No.)" in reasons["What is 2?#0"]
    assert AnswerJournal(tmp_path, "0").read() == results
