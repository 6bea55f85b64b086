import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from calibration_tuning.lm.answering import Answerer, Request, requests_for, uniforms
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.likelihood import likeliest
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import Demonstration, Question

BLOCKS = {
    "s/a": [Demonstration(question="What is 1 + 1?", answer="2")] * 2,
    "s/b": [Demonstration(question="Who?", answer="me")],
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For a model so small that torch's threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def question(text: str, subject: str = "a", **values: Any) -> Question:
    fields = {"id": text, "source": "s", "subject": subject, "group": text, "references": ["r"], "grader": "exact"}
    return Question(question=text, **{**fields, **values})


QUESTIONS = [
    *(question(f"Who is {'the ' * (n % 5)}{n}?", "abc"[n % 3]) for n in range(9)),
    *(question(f"Why {'so ' * (n % 3)}{n}?", "ab"[n % 2], multiline=True) for n in range(5)),
    *(question(f"Say {n}.", max_new_tokens=3 + n % 2) for n in range(4)),
    *(
        question(f"Which {n}?", "ab"[n % 2], style="cloze", choices=["the capital", "i", "France of"][: 2 + n % 2])
        for n in range(5)
    ),
]


def answerer(tiny: Any, batch_size: int = 4, style: Any = "text", **values: Any) -> Answerer:
    return Answerer(tiny[0], PromptFormat(tiny[1], style), BLOCKS, batch_size, **values)


def answers(engine: Answerer, requests: list[Request]) -> dict[str, Answer]:
    return {request.key: found for batch in engine.answer(engine.batches(requests)) for request, found in batch}


def prompt_ids(engine: Answerer, request: Request) -> list[int]:
    block = engine.prompt_format.few_shot_ids(BLOCKS.get(request.block, []))
    return block + engine.prompt_format.question_ids(request.question.text)


@torch.no_grad()
def plain_logprobs(engine: Answerer, prompt: list[int], tokens: list[int]) -> list[float]:
    """One sequence, no cache, no padding."""
    if not tokens:
        return []
    logits = engine.model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0].log_softmax(-1)
    return [logits[len(prompt) - 1 + i, token].item() for i, token in enumerate(tokens)]


def test_requests_are_one_greedy_and_so_many_sampled_answers_but_choices_are_made_once() -> None:
    requests = requests_for([QUESTIONS[0], QUESTIONS[14], QUESTIONS[-1]], "subject", max_new_tokens=7, samples=2)
    assert [(r.question.id, r.sample, r.max_new_tokens, r.block) for r in requests] == [
        ("Who is 0?", 0, 7, "s/a"), ("Who is 0?", 1, 7, "s/a"), ("Who is 0?", 2, 7, "s/a"),
        ("Say 0.", 0, 3, "s/a"), ("Say 0.", 1, 3, "s/a"), ("Say 0.", 2, 3, "s/a"),
        ("Which 4?", 0, 7, "s/a"),
    ]  # fmt: skip
    assert {r.block for r in requests_for(QUESTIONS, "source", 7)} == {"s"}
    assert len({r.key for r in requests}) == 7


def test_batches_hold_every_request_once_and_never_mix_kinds(tiny: Any) -> None:
    requests = requests_for(QUESTIONS, "subject", max_new_tokens=5, samples=2)
    engine = answerer(tiny)
    batches = engine.batches(requests)
    assert engine.batches(requests) == batches
    assert sorted(r.key for batch in batches for r in batch) == sorted(r.key for r in requests)
    for batch in batches:
        assert len({r.kind for r in batch}) == 1
        # Each choice is a row of its own.
        assert sum(len(r.question.choices or "x") for r in batch) <= 4
    # Longest first within a kind.
    lengths = [[len(engine.prompt_format.question_ids(r.question.text)) for r in b] for b in batches if b[0].sample]
    assert all(own == sorted(own, reverse=True) for own in lengths)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [0, 2])
@pytest.mark.parametrize("style", ["text", "chat"])
def test_answers_depend_neither_on_batches_nor_on_order(tiny: Any, style: Any, samples: int) -> None:
    requests = requests_for(QUESTIONS, "subject", max_new_tokens=5, samples=samples)
    expected = answers(answerer(tiny, 64, style), requests)
    shuffled = random.Random(0).sample(requests, len(requests))
    for batch_size, order in ((1, requests), (3, requests[::-1]), (16, shuffled)):
        found = answers(answerer(tiny, batch_size, style), order)
        assert found.keys() == expected.keys()
        for key, answer in expected.items():
            assert (found[key].text, found[key].token_ids) == (answer.text, answer.token_ids)
            assert found[key].token_logprobs == pytest.approx(answer.token_logprobs, abs=1e-4)
            assert found[key].choice_logprobs == pytest.approx(answer.choice_logprobs, abs=1e-4)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_the_very_same_numbers(tiny: Any) -> None:
    requests = requests_for(QUESTIONS, "subject", max_new_tokens=5, samples=1)
    engine = answerer(tiny)
    batches = engine.batches(requests)
    whole = [list(finished) for finished in engine.answer(batches)]
    assert [list(finished) for finished in engine.answer(batches[5:])] == whole[5:]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["raw", "per_character"])
@pytest.mark.parametrize("style", ["text", "chat"])
def test_a_chosen_answer_is_the_likeliest_by_one_plain_pass_for_each_choice(tiny: Any, style: Any, by: Any) -> None:
    choices = ["i", "the capital of France", "it", "What is the", "answer answer", "xyz"]
    asked = [question(f"Which {n}?", "abc"[n % 3], style="cloze", choices=choices[n % 3 :]) for n in range(9)]
    asked += [question(f"What {n}?", "source", style="cloze", choices=["i", "ii"]) for n in range(3)]  # one token each
    asked += [question("Which of many?", style="cloze", choices=[f"{n} of it" for n in range(30)])]
    requests = requests_for(asked, "subject", max_new_tokens=5)
    engine = answerer(tiny, 16, style, cloze=by)
    for key, answer in answers(engine, requests).items():
        request = next(r for r in requests if r.key == key)
        own = list(request.question.choices or ())
        tokens = [engine.prompt_format.answer_ids(choice) for choice in own]
        plain = [plain_logprobs(engine, prompt_ids(engine, request), ids) for ids in tokens]
        totals = [sum(values) for values in plain]
        assert answer.choice_logprobs == pytest.approx(totals, abs=1e-4)
        scores = [
            total / (len(choice) if by == "per_character" else 1) for choice, total in zip(own, totals, strict=True)
        ]
        best = scores.index(max(scores))
        assert (answer.text, answer.token_ids) == (own[best], tokens[best])
        assert answer.token_logprobs == pytest.approx(plain[best], abs=1e-4)


def test_likelihood_per_character_does_not_favour_short_choices(tiny: Any) -> None:
    # -2 > -3 as a whole; -2 / 2 = -1 < -3 / 6 = -0.5 per character.
    assert likeliest(["no", "surely"], [-2.0, -3.0], "raw") == 0
    assert likeliest(["no", "surely"], [-2.0, -3.0], "per_character") == 1
    assert likeliest(["b", "a"], [-1.0, -1.0], "raw") == 0  # the first of equals
    asked = [question(f"Which {n}?", style="cloze", choices=["i", "capital of the capital"]) for n in range(8)]
    requests = requests_for(asked, "subject", 5)
    raw, per_character = (answers(answerer(tiny, cloze=by), requests) for by in ("raw", "per_character"))  # type: ignore[arg-type]
    assert {answer.text for answer in raw.values()} == {"i"}
    assert {answer.text for answer in per_character.values()} == {"capital of the capital"}
    assert [a.choice_logprobs for a in raw.values()] == [a.choice_logprobs for a in per_character.values()]


def test_samples_differ_from_each_other_and_with_the_seed(tiny: Any) -> None:
    requests = requests_for([question("Who?"), question("Where?")], "subject", max_new_tokens=5, samples=5)
    found = answers(answerer(tiny, seed=1), requests)
    assert len({tuple(answer.token_ids) for answer in found.values()}) == len(requests)
    other = answers(answerer(tiny, seed=2), requests)
    assert all((found[r.key] == other[r.key]) == (r.sample == 0) for r in requests)  # greedy ones know no seed


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_log_probabilities_of_sampled_tokens_are_those_at_temperature_1(tiny: Any, temperature: float) -> None:
    requests = requests_for(QUESTIONS[:6], "subject", max_new_tokens=5, samples=2)
    engine = answerer(tiny, temperature=temperature)
    for key, answer in answers(engine, requests).items():
        request = next(r for r in requests if r.key == key)
        expected = plain_logprobs(engine, prompt_ids(engine, request), answer.token_ids)
        assert answer.token_logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_each_token_is_where_its_random_number_falls_in_the_cumulated_probabilities(
    tiny: Any, temperature: float
) -> None:
    requests = requests_for(QUESTIONS[:6], "subject", max_new_tokens=6, samples=3)
    engine = answerer(tiny, seed=5, temperature=temperature)
    found = answers(engine, requests)
    for request in (request for request in requests if request.sample):
        expected: list[int] = []
        for u in uniforms(request, 5):
            with torch.no_grad():
                prompt = torch.tensor([[*prompt_ids(engine, request), *expected]])
                p = (engine.model(input_ids=prompt).logits[0, -1].double() / temperature).softmax(-1)
            token = int((p.cumsum(0) <= u).sum())
            if token in engine.prompt_format.stop_ids():
                break
            expected.append(token)
        assert found[request.key].token_ids == expected


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_first_tokens_are_drawn_with_the_models_probabilities(tiny: Any, temperature: float) -> None:
    requests = requests_for([question("Who?")], "subject", max_new_tokens=1, samples=2000)[1:]
    engine = answerer(tiny, 500, temperature=temperature)
    drawn = Counter(answer.token_ids[0] if answer.token_ids else -1 for answer in answers(engine, requests).values())
    with torch.no_grad():
        logits = engine.model(input_ids=torch.tensor([prompt_ids(engine, requests[0])])).logits[0, -1].double()
    p = (logits / temperature).softmax(-1)
    ends = engine.prompt_format.stop_ids()
    expected = {token: 2000 * p[token].item() for token in range(len(p)) if token not in ends}
    expected[-1] = 2000 * p[ends].sum().item()
    often = [token for token, count in expected.items() if count >= 5]
    rest = 2000 - sum(expected[token] for token in often)
    assert len(often) > 10
    observed = [drawn[token] for token in often]
    # 2 x 10^-3 would be crossed once in 500 seeds; temperature 1 for 2.5, or a shifted CDF, give less than 10^-20.
    test = chisquare([*observed, 2000 - sum(observed)], [*(expected[token] for token in often), rest])
    assert test.pvalue > 2e-3


@pytest.mark.slow
def test_a_temperature_near_0_is_greedy(tiny: Any) -> None:
    requests = requests_for(QUESTIONS[:14], "subject", max_new_tokens=5, samples=2)
    found = answers(answerer(tiny, temperature=1e-4), requests)
    for request in requests:
        greedy = found[f"{request.question.id}#0"]
        assert found[request.key].token_ids == greedy.token_ids
        assert found[request.key].token_logprobs == pytest.approx(greedy.token_logprobs, abs=1e-4)


def test_random_numbers_depend_on_key_and_seed_alone() -> None:
    one = Request(question("Who?"), "s/a", 5, 1)
    assert list(uniforms(one, 0)) == list(uniforms(Request(question("Who?", "b"), "s/b", 5, 1), 0))
    assert list(uniforms(one, 0)) == list(uniforms(Request(question("Who?"), "s/a", 9, 1), 0)[:5])
    others = [uniforms(one, 1), uniforms(Request(question("Who?"), "s/a", 5, 2), 0)]
    others.append(uniforms(Request(question("Why?"), "s/a", 5, 1), 0))
    assert len({tuple(values) for values in [uniforms(one, 0), *others]}) == 4
    assert all(0 <= value < 1 for values in others for value in values)


@pytest.mark.slow
@pytest.mark.parametrize("sample", [0, 1])
@pytest.mark.parametrize(
    ("pieces", "several"),
    [
        ((":", " the", "\n", " capital", "<|im_end|>"), "the\n capital"),
        ((":", " the", "\n", "Question", ":"), "the"),  # the model goes on with a question of its own
        ((":", "Question", ":"), "Question:Question:Question:Question:"),  # not on a new line
    ],
)
def test_an_answer_of_several_lines_ends_where_the_next_question_begins(
    tiny: Any, pieces: Any, several: str, sample: int
) -> None:
    model, tokenizer = tiny
    ids = [tokenizer.encode(piece)[0] for piece in pieces]
    bonus = torch.zeros(len(tokenizer), len(tokenizer))
    for before, after in pairwise(ids):
        bonus[before, after] = 100.0

    passes = []

    def add(module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        passes.append(kwargs["input_ids"].shape[1])
        output.logits = output.logits + bonus[kwargs["input_ids"][:, -output.logits.shape[1] :]]
        return output

    model.register_forward_hook(add, with_kwargs=True)
    engine = answerer(tiny)
    asked = [question("Who?", multiline=True), question("Where?")]
    found = answers(engine, [Request(q, "s/a", 8, sample) for q in asked])
    assert found[f"Who?#{sample}"].text == several
    assert found[f"Where?#{sample}"].text == several.partition("\n")[0]
    for answer in found.values():
        assert tokenizer.decode(answer.token_ids).strip() == answer.text
        assert len(answer.token_logprobs) == len(answer.token_ids)
    # Nothing more is computed: a pass over the question, then one for each further token up to the end.
    passes.clear()
    answers(engine, [Request(asked[0], "none", 8, sample)])
    assert len(passes) == {"the\n capital": 4, "the": 4}.get(several, 8)
