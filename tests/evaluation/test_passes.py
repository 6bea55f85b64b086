"""What passes leave, on the tiny model, against plain forward passes one answer at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from calibration_tuning.checkpoint import CalibrationRecord, Checkpoint
from calibration_tuning.config.evaluation import EvaluationSettings
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.grading.graders import grade
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.token_temperature import TokenTemperature
from calibration_tuning.metrics.calibrators import Calibrator
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.records import Demonstration, FewShot, GradedAnswer
from evaluation.passes import PASSES
from evaluation.passes.base import BOTH, PassContext, pack, unpack
from evaluation.passes.expressed import P_TRUE
from evaluation.passes.tokens import TEMPERATURES
from evaluation.passes.verbalised import read_percent, read_words

SHOWN = [Demonstration(question="What is 1 plus 1?", answer="2")]
JUDGED = [
    Demonstration(question="What is 2 plus 2?", answer="4", correct=True),
    Demonstration(question="What is 2 plus 1?", answer="5", correct=False),
]


def rows(**changes: Any) -> list[GradedAnswer]:
    said = ["7", "12", "", "about the same"]
    base = {
        "source": "s",
        "subject": "t",
        "references": ["12"],
        "grader": "exact",
        "token_logprobs": [],
        "correct": 0.0,
    }
    return [
        GradedAnswer.model_validate(
            {"id": f"q{i}", "group": f"q{i}", "question": f"What is {i} plus {12 - i}?", "answer": answer}
            | base
            | {"token_ids": [], "correct": float(answer == "12")}
            | changes
        )
        for i, answer in enumerate(said)
    ]


@pytest.fixture(params=["text", "chat"])
def asked(tiny: Any, request: pytest.FixtureRequest) -> PassContext:
    from peft import LoraConfig, get_peft_model

    model, tokenizer = tiny
    torch.manual_seed(0)
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)).eval()
    prompt = PromptFormat(tokenizer, request.param)
    record = CalibrationRecord(
        model=ModelSettings(path="m"),
        base_files={},
        prompt_style=request.param,
        answer_tokens=prompt.answer_tokens,
        query_few_shot=JUDGED,
        answer_few_shot=SHOWN,
        max_new_tokens=4,
        calibrator=Calibrator(),
        calibrated_on={},
        inputs_fingerprint="",
        curation_fingerprint="",
        versions={},
    )
    few_shot = FewShot(answer={"s/t": SHOWN}, query=JUDGED, shown=SHOWN)
    settings = EvaluationSettings(samples=3, reasoning_tokens=(0, 5))
    return PassContext(Checkpoint(tuned, prompt, record, None), few_shot, settings, 4, "per_character", 1.0, 0)


def answered(asked: PassContext, **changes: Any) -> list[GradedAnswer]:
    return [
        row.model_copy(update={"token_ids": asked.prompt.answer_ids(row.answer) if row.answer else []})
        for row in rows(**changes)
    ]


def found(asked: PassContext, name: str, state: Any, own: list[GradedAnswer]) -> list[dict[str, Any]]:
    block = PASSES[name].block(asked.few_shot, own[0])
    with torch.no_grad(), asked.in_state(state):
        return PASSES[name].measure(asked, own, state, block)


@torch.no_grad()
def logits_after(asked: PassContext, ids: list[int], state: Any) -> torch.Tensor:
    """Vocabulary logits after each token of one whole sequence, no cache, no padding, [T, K]."""
    with asked.in_state(state):
        return asked.model(input_ids=torch.tensor([ids])).logits[0].double()


def test_states_differ(asked: PassContext) -> None:
    own = answered(asked)
    before, after = (found(asked, "query", state, own) for state in BOTH)
    assert all(abs(b["logit"] - a["logit"]) > 1e-3 for b, a in zip(before, after, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("state", BOTH)
@pytest.mark.parametrize("name", ["query", "query_zero_shot"])
def test_query(asked: PassContext, state: Any, name: str) -> None:
    own = answered(asked)
    block = asked.prompt.few_shot_ids(JUDGED if name == "query" else [])
    no, yes = asked.prompt.answer_tokens
    for row, value in zip(own, found(asked, name, state, own), strict=True):
        ids = [*block, *asked.question_and_answer(row), *asked.prompt.query_ids]
        logits = logits_after(asked, ids, state)[-1]
        assert value["logit"] == pytest.approx(float(logits[yes] - logits[no]), abs=1e-4)
        assert value["mass"] == pytest.approx(float(logits.softmax(-1)[[no, yes]].sum()), abs=1e-5)
        plain = TokenCalibration()
        plain.update(logits.unsqueeze(0), torch.tensor([yes if row.correct else no]))
        assert unpack(value["tokens"]) == pytest.approx(plain.sums[0], abs=1e-4)
        assert ("hidden" in value) == (name == "query")


@pytest.mark.slow
@pytest.mark.parametrize("state", BOTH)
def test_tokens(asked: PassContext, state: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.passes.tokens.SCANNED", 1)
    own = answered(asked)
    block = asked.prompt.few_shot_ids(SHOWN)
    for row, value in zip(own, found(asked, "tokens", state, own), strict=True):
        start = [*block, *asked.prompt.question_ids(row.text)]
        reference = asked.prompt.answer_ids("12")
        logits = logits_after(asked, [*start, *row.token_ids], state).log_softmax(-1)
        expected = [float(logits[len(start) - 1 + i, token]) for i, token in enumerate(row.token_ids)]
        assert value["answer_logprobs"] == pytest.approx(expected, abs=1e-4)
        entropies = -(logits.exp() * logits).sum(-1)[len(start) - 1 : len(start) - 1 + len(row.token_ids)]
        assert value["answer_entropies"] == pytest.approx(entropies.tolist(), abs=1e-4)
        positions = slice(len(start) - 1, len(start) - 1 + len(reference))
        logits = logits_after(asked, [*start, *reference], state)[positions]
        for binning, packed in value["tokens"].items():
            plain = TokenCalibration(10, binning)
            plain.update(logits, torch.tensor(reference))
            assert unpack(packed)[:4] == pytest.approx(plain.sums[0][:4], abs=1e-4)
        for t, sums in zip(TEMPERATURES, map(unpack, value["scan"]), strict=True):
            nll = -(logits[0] / t).log_softmax(-1)[reference[0]]
            assert (sums[0], sums[2]) == (1, pytest.approx(float(nll), abs=1e-4))
        assert value["vocabulary"] == logits.shape[1]


@torch.no_grad()
def test_tokens_with_a_temperature_for_each_position(asked: PassContext) -> None:
    own, width = answered(asked), asked.model.config.hidden_size
    head = TokenTemperature(torch.zeros(width), torch.ones(width), torch.randn(width), torch.tensor([0.2]))
    assert "adaptive" not in found(asked, "tokens", "before", own)[0]
    scaled = replace(asked, checkpoint=replace(asked.checkpoint, token_temperature=head), _prefixes={})
    assert "adaptive" not in found(scaled, "tokens", "after", own)[0], "it is of the untuned model"
    block, reference = asked.prompt.few_shot_ids(SHOWN), asked.prompt.answer_ids("12")
    for row, value in zip(own, found(scaled, "tokens", "before", own), strict=True):
        ids = [*block, *asked.prompt.question_ids(row.text), *reference]
        with asked.in_state("before"):
            output = asked.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        at = slice(len(ids) - len(reference) - 1, len(ids) - 1)
        by = head(output.hidden_states[-1][0, at])
        plain = TokenCalibration()
        plain.update(output.logits[0, at].double() / by.unsqueeze(1), torch.tensor(reference))
        assert unpack(value["adaptive"])[:4] == pytest.approx(plain.sums[0][:4], abs=1e-4)
        assert not np.allclose(unpack(value["adaptive"])[:4], unpack(value["tokens"]["equal_width"])[:4])


@torch.no_grad()
def test_states_of_answers_and_at_the_end_of_questions(asked: PassContext) -> None:
    own = answered(asked)
    block = asked.prompt.few_shot_ids(SHOWN)
    layers = asked.model.config.num_hidden_layers
    answers, ends = (found(asked, f"{name}_states", "before", own) for name in ("answer", "question"))
    for row, of_answer, at_end in zip(own, answers, ends, strict=True):
        ids = [*block, *asked.prompt.question_ids(row.text), *row.token_ids]
        with asked.in_state("before"):
            states = asked.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[layers // 2][0]
        n = len(row.token_ids)
        assert unpack(at_end["states"]) == pytest.approx(states[len(ids) - n - 1].numpy(), abs=1e-4)
        mean = states[len(ids) - max(n, 1) :].mean(0)
        assert unpack(of_answer["states"]) == pytest.approx(mean.numpy(), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("style", "choices"),
    [
        ("choice", ["12", "thirteen", "a b c"]),
        ("cloze", ["12", "thirteen", "a b c"]),
        ("cloze", [str(n) for n in range(10, 40)]),  # more than there are letters
    ],
)
def test_choices(asked: PassContext, style: str, choices: list[str]) -> None:
    own = answered(asked, style=style, choices=choices, grader="choice")
    block = asked.prompt.few_shot_ids(SHOWN)
    for row, value in zip(own, found(asked, "choices", "after", own), strict=True):
        start = [*block, *asked.prompt.question_ids(row.text)]
        for shown, logprob in zip("ABC" if style == "choice" else choices, value["choice_logprobs"], strict=True):
            ids = asked.prompt.answer_ids(shown)
            logits = logits_after(asked, [*start, *ids], "after").log_softmax(-1)
            expected = sum(float(logits[len(start) - 1 + i, token]) for i, token in enumerate(ids))
            assert logprob == pytest.approx(expected, abs=1e-4)


def test_p_true(asked: PassContext) -> None:
    own = answered(asked)
    for row, value in zip(own, found(asked, "p_true", "before", own), strict=True):
        start = [
            *asked.prompt.few_shot_ids([]),
            *asked.question_and_answer(row),
            *asked.prompt.follow_up_ids(P_TRUE),
        ]
        totals = []
        for choice in ("(A)", "(B)"):
            ids = asked.prompt.answer_ids(choice)
            logits = logits_after(asked, [*start, *ids], "before").log_softmax(-1)
            totals.append(sum(float(logits[len(start) - 1 + i, token]) for i, token in enumerate(ids)))
        assert value["logit"] == pytest.approx(totals[0] - totals[1], abs=1e-4)


@pytest.mark.slow
def test_a_batch_changes_nothing(asked: PassContext) -> None:
    own = answered(asked)
    for name in ("query", "tokens", "p_true", "verbalised_percent", "samples", "reasoning", "reanswered"):
        together = found(asked, name, "before", own)
        for row, value in zip(own, together, strict=True):
            (alone,) = found(asked, name, "before", [row])
            for field, content in alone.items():
                if isinstance(content, float):
                    assert value[field] == pytest.approx(content, abs=1e-4), (name, field)
            if name in ("verbalised_percent", "samples", "reanswered"):
                key = {"verbalised_percent": "reply", "reanswered": "answer"}.get(name)
                texts = [[v[key]] if key else [s["answer"] for s in v["samples"]] for v in (alone, value)]
                assert texts[0] == texts[1], name


def test_samples_come_from_curation_first_and_are_graded(asked: PassContext) -> None:
    own = answered(asked)
    kept = [{"answer": "12", "token_ids": [5, 6], "token_logprobs": [-1.0, -2.0], "correct": 1.0}]
    own[1] = GradedAnswer.model_validate(own[1].model_dump() | {"samples": kept})
    values = found(asked, "samples", "before", own)
    assert [len(value["samples"]) for value in values] == [3] * 4
    assert values[1]["samples"][0] == {"answer": "12", "tokens": 2, "correct": 1.0}
    for row, value in zip(own, values, strict=True):
        assert [s["correct"] for s in value["samples"]] == [grade(row, s["answer"]) for s in value["samples"]]
    assert found(asked, "samples", "before", answered(asked, style="cloze", choices=["12", "13"]))[0]["samples"] == []


def test_reasoning_counts_what_it_spends(asked: PassContext) -> None:
    own = answered(asked)
    for row, value in zip(own, found(asked, "reasoning", "after", own), strict=True):
        direct, thought = value["budgets"]
        assert (direct["budget"], thought["budget"]) == (0, 5)
        assert direct["tokens"] <= 4
        assert thought["tokens"] <= 5 + 4
        assert all(0 <= one["token_probability"] <= 1 for one in value["budgets"])
        assert direct["correct"] == grade(row, direct["answer"])
    # Budget 0 is the plain answer, judged as any answer is.
    plain = found(asked, "reanswered", "before", own)
    assert [one["answer"] for one in plain] == [
        v["budgets"][0]["answer"] for v in found(asked, "reasoning", "after", own)
    ]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("90%", 0.9),
        ("about 75 percent", 0.75),
        ("0.9", 0.9),
        ("90", 0.9),
        ("100%", 1.0),
        ("0%", 0.0),
        ("1", 1.0),
        ("1%", 0.01),
        ("0.5%", 0.005),
        ("12.5 %", 0.125),
        ("(80%)", 0.8),
        ("150%", None),
        ("very likely", None),
        ("", None),
        ("x2", None),
        ("1 in 10", None),
        ("1/10", None),
        ("1 out of 5", None),
        ("5/5", None),
        ("between 0% and 100%", None),
        ("10-20%", None),
        ("10% to 20%", None),
        ("-5%", None),
        ("90%, since it is", 0.9),
    ],
)
def test_percentages_are_read(reply: str, expected: float | None) -> None:
    assert read_percent(reply) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Almost certain", 0.95),
        ("It is highly likely.", 0.9),
        ("likely", 0.7),
        ("highly unlikely", 0.1),
        ("Unlikely, I think", 0.2),
        ("about even", 0.5),
        ("almost-certain!", 0.95),
        ("unlikely, not likely", 0.2),
        ("likelihood", None),
        ("not likely", None),
        ("It is not very probable", None),
        ("not impossible", None),
        ("42", None),
    ],
)
def test_words_are_read(reply: str, expected: float | None) -> None:
    assert read_words(reply) == expected


def test_arrays_come_back_bit_for_bit() -> None:
    for array in (np.random.default_rng(0).normal(size=50), np.array([1.5, -2.25], dtype=np.float32)):
        again = unpack(pack(array))
        assert again.dtype == array.dtype
        assert (again == array).all()
    assert unpack(pack(np.ones((2, 3)))).tolist() == [1.0] * 6
