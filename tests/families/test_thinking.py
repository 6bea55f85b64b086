"""A model that thinks: its trace is kept aside, and only its answer is graded and judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import yaml

from calibration_tuning.calibrated_model import CalibratedModel
from calibration_tuning.config.run import RunConfig, load_run_config
from calibration_tuning.lm.answering import Answerer, Request, requests_for
from calibration_tuning.lm.caches import encode_prefix
from calibration_tuning.lm.generation import Answer, Decoding, write_answers
from calibration_tuning.lm.prompts import PromptFormat, load_prompt_format
from calibration_tuning.records import Demonstration, Question, read_records
from data_curation.__main__ import curate
from evaluation.__main__ import evaluate
from evaluation.schema import read_metrics
from tests.families.architectures import random_model
from tests.families.conftest import Matrix
from tests.families.templates import TEMPLATES
from tests.families.tokenizers import tokenizer_of
from training.__main__ import train
from training.examples import query_example

pytestmark = pytest.mark.slow

SHOWN = [Demonstration(question="Which planet?", answer="Jupiter")]
QUESTIONS = ["Why?", "Which planet is the largest one of them all?"]
BUDGET = 6
THINKING = ["Qwen3", "R1"]


def thinking_model(family: str, name: str = "Llama, SmolLM2") -> tuple[Any, PromptFormat]:
    template = TEMPLATES[family]
    tokenizer = tokenizer_of("byte-level BPE", template.special, template.text)
    model = random_model(name, len(tokenizer))
    return model, PromptFormat(tokenizer, "chat", thinking="on", thinking_tokens=BUDGET)


def close_after(model: Any, prompt: PromptFormat, row: list[int], steps: int) -> None:
    """Make the model write the closing tag after so many tokens: the tag takes the place of what it would write."""
    close = prompt.tokenizer.convert_tokens_to_ids("</think>")
    ids = list(row)
    for _ in range(steps):
        ids.append(plain_token(model, ids))
    written = plain_token(model, ids)
    head = model.get_output_embeddings().weight.data
    head[[close, written]] = head[[written, close]]


@torch.no_grad()
def plain_token(model: Any, ids: list[int]) -> int:
    return int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())


def plain_text(model: Any, prompt: PromptFormat, ids: list[int], ends: set[int], most: int) -> list[int]:
    """Greedily, without a cache, to the first of `ends`."""
    written: list[int] = []
    while len(written) < most and (token := plain_token(model, [*ids, *written])) not in ends:
        written.append(token)
    return written


@pytest.mark.parametrize("name", ["Llama, SmolLM2", "Qwen3.5", "Mistral with a short window", "MPT"])
@pytest.mark.parametrize("family", THINKING)
def test_a_trace_then_an_answer(family: str, name: str, matrix: Matrix) -> None:
    """Token by token what a plain loop writes, and the trace is closed as the template closes it."""
    model, prompt = thinking_model(family, name)
    block = prompt.few_shot_ids(SHOWN)
    rows = [prompt.question_ids(question) for question in QUESTIONS]
    close_after(model, prompt, [*block, *rows[0]], 3)
    with torch.no_grad():
        answers = write_answers(model, prompt, encode_prefix(model, block), rows, Decoding(5))
    close = prompt.tokenizer.convert_tokens_to_ids("</think>")
    for row, answer in zip(rows, answers, strict=True):
        stops = set(prompt.stop_ids())
        trace = plain_text(model, prompt, [*block, *row], {*stops, close}, BUDGET)
        expected = plain_text(model, prompt, [*block, *row, *prompt.closed_trace(trace)], stops, 5)
        assert answer.token_ids == expected
        assert answer.trace == prompt.tokenizer.decode(trace, skip_special_tokens=True).strip()
        assert answer.trace_tokens == len(trace)
    assert answers[0].trace_tokens <= 3 < BUDGET, "closed by the model itself"
    matrix.add(family, "thinking on", "trace kept aside")


@pytest.mark.parametrize("family", THINKING)
def test_the_prompt_opens_a_trace_and_closes_it(family: str) -> None:
    _, prompt = thinking_model(family)
    decode = prompt.tokenizer.decode
    assert decode(prompt.question_ids("Why?")).endswith("<think>\n")
    assert decode(prompt.answering_ids("Why?")).endswith("<think>\n\n</think>\n\n")
    assert decode(prompt.answering_ids("Why?", "Who?")).endswith("<think>\nWho?\n</think>\n\n")
    trace = prompt.tokenizer("Who?\n", add_special_tokens=False).input_ids
    assert decode(prompt.closed_trace(trace)) == "Who?\n</think>\n\n", "no second line break"
    assert "think" not in decode(prompt.judged_ids("Why?"))


@pytest.mark.parametrize("budget", [0, 1, 4])
def test_the_budget_is_kept(budget: int) -> None:
    model, prompt = thinking_model("Qwen3")
    rows = [prompt.question_ids(question) for question in QUESTIONS]
    answers = write_answers(model, prompt, encode_prefix(model, []), rows, Decoding(5, thinking_tokens=budget))
    assert all(answer.trace_tokens <= budget for answer in answers)
    assert max(answer.trace_tokens for answer in answers) == budget
    if not budget:
        plain = replace(prompt, thinking="off")
        empty = [prompt.answering_ids(question) for question in QUESTIONS]
        assert [a.token_ids for a in answers] == [
            a.token_ids for a in write_answers(model, plain, encode_prefix(model, []), empty, Decoding(5))
        ]


def asked(text: str, sample: int = 0) -> Request:
    question = Question(id=text, source="s", subject="x", group=text, question=text, references=["r"], grader="exact")
    return requests_for([question], "subject", 5, samples=sample)[sample]


def test_a_sampled_trace_does_not_depend_on_its_batch() -> None:
    model, prompt = thinking_model("R1")
    requests = [asked(question, sample=1) for question in QUESTIONS]

    def answers(batch_size: int) -> dict[str, Answer]:
        engine = Answerer(model, prompt, {}, batch_size)
        return {r.key: answer for batch in engine.answer(engine.batches(requests)) for r, answer in batch}

    together, alone = answers(2), answers(1)
    assert {key: (a.trace, a.text) for key, a in together.items()} == {
        key: (a.trace, a.text) for key, a in alone.items()
    }
    greedy = Answerer(model, prompt, {}, 2)
    for (_, sampled), (_, first) in zip(
        together.items(), next(iter(greedy.answer([[asked(q) for q in QUESTIONS]]))), strict=True
    ):
        assert sampled.trace != first.trace


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Any) -> RunConfig:
    """Curated, trained and evaluated with thinking on, on a tiny random model with Qwen3's kind of template."""
    folder = tmp_path_factory.mktemp("thinking")
    model, prompt = thinking_model("Qwen3")
    close_after(model, prompt, prompt.question_ids("What is 1 plus 2?"), 2)
    model.save_pretrained(folder / "model")
    prompt.tokenizer.save_pretrained(folder / "model")
    path = write_tiny_config(folder)
    values = yaml.safe_load(path.read_text())
    thinks = {"path": str(folder / "model"), "prompt_format": "chat", "thinking": "on", "thinking_tokens": BUDGET}
    values["model"] |= thinks
    values["evaluation"]["reasoning_tokens"] = [0, 3]
    values["tracking"] = {"to": "none"}
    path.write_text(yaml.safe_dump(values))
    config = load_run_config(path, [])
    for stage in (curate, train, evaluate):
        stage(config, False)
    return config


def test_records_hold_traces_aside(run: RunConfig) -> None:
    rows = read_records(run.curation_dir / "train.parquet")
    prompt = load_prompt_format(run.model)
    assert {row.trace is not None for row in rows} == {True}
    assert max(row.trace_tokens for row in rows) == BUDGET
    for row in rows:
        assert "think" not in row.answer
        ids = query_example(row, prompt).input_ids
        assert ids == [*prompt.judged_ids(row.text), *row.token_ids, *prompt.query_ids]
    card = (run.curation_dir / "README.md").read_text()
    assert "answers have a trace of reasoning before them" in card


def test_a_checkpoint_answers_as_curation_did(run: RunConfig) -> None:
    model = CalibratedModel.from_pretrained(str(run.checkpoint_dir))
    assert (model.prompt_format.thinking, model.prompt_format.thinking_tokens) == ("on", BUDGET)
    question = "What is 1 plus 2?"
    ids = model.prompt_format.question_ids(question)
    block = model.prompt_format.few_shot_ids(model.record.answer_few_shot)
    plain = model.model.get_base_model()
    with torch.no_grad(), model.model.disable_adapter():
        (expected,) = write_answers(
            plain, model.prompt_format, encode_prefix(plain, block), [ids], Decoding(model.record.max_new_tokens)
        )
    assert model.answer(question).text == expected.text
    assert model.answer(question, choices=["3", "4"]).text in ("3", "4")


def test_more_thinking_is_measured_in_the_models_own_traces(run: RunConfig) -> None:
    points = read_metrics(run.evaluation_dir / "metrics.json").compute.reasoning
    assert [point.budget for point in points] == [0, 3]
    most = run.curation.max_new_tokens
    assert points[0].tokens <= most
    assert points[0].tokens < points[1].tokens <= most + 3
