"""The one-pass loss, in every layout, against the plain one of docs/method.md: one example at a time, unpadded, block
repeated, logits at every position, a forward each for the tuned and the base model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from calibration_tuning.config.training import ObjectiveSettings
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.query import score_answers
from calibration_tuning.records import Demonstration
from training.examples import Example
from training.layout import Layout
from training.query_model import QueryModel

BLOCK = [
    Demonstration(question="What is 1 + 1?", answer="2", correct=True),
    Demonstration(question="What is 2 + 2?", answer="5", correct=False),
]
ROWS = [
    ("What is the capital of France?", "Paris", 1.0),
    ("Is it?", "a rather long answer", 0.0),
    ("Which country is Rome in?", "Italy", 0.75),
    ("Nothing to say?", "", 0.0),
]
SETTINGS = ObjectiveSettings(mass_weight=0.3, kl_weight=0.7, answer_nll_weight=0.2, label_smoothing=0.1)
LAYOUTS = {
    "padded, shared block": {"kind": "padded", "shared_block": True},
    "padded, repeated block": {"kind": "padded", "shared_block": False},
    "packed, shared block": {"kind": "packed", "shared_block": True},
    "packed, told apart by a mask": {"kind": "packed", "shared_block": False},
    "packed, told apart by positions": {"kind": "packed", "shared_block": False, "custom_mask": False},
}


def plain_objective() -> Any:
    """The function of docs/method.md."""
    page = (Path(__file__).parents[2] / "docs/method.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["plain_objective"]


PLAIN = plain_objective()


class Case:
    def __init__(self, tiny: Any, style: str = "text", settings: ObjectiveSettings = SETTINGS) -> None:
        lm, tokenizer = tiny
        self.prompt_format = PromptFormat(tokenizer, style)  # type: ignore[arg-type]
        torch.manual_seed(1)
        self.lm = get_peft_model(lm, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
        self.model = QueryModel(self.lm, self.prompt_format.answer_tokens, settings)
        self.block = self.prompt_format.few_shot_ids(BLOCK)
        self.examples = [self.example(*row) for row in ROWS]
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]

    def example(self, question: str, answer: str, correct: float) -> Example:
        ids = self.prompt_format.answer_ids(answer) if answer else []
        sequence = [*self.prompt_format.question_ids(question), *ids, *self.prompt_format.query_ids]
        return Example(sequence, len(ids), correct, correct)

    def layout(self, **kind: Any) -> Layout:
        return Layout(block=self.block, query_length=len(self.prompt_format.query_ids), **kind)

    def plain_loss(self, settings: ObjectiveSettings = SETTINGS) -> torch.Tensor:
        query_length, answer_tokens = len(self.prompt_format.query_ids), self.prompt_format.answer_tokens
        return PLAIN(self.lm, self.block, self.examples, query_length, answer_tokens, settings)


def assert_same_gradients(found: Any, expected: Any) -> None:
    assert max(g.abs().max() for g in expected) > 1e-3
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("style", ["text", "chat"])
@pytest.mark.parametrize("kind", LAYOUTS.values(), ids=LAYOUTS)
def test_value_and_gradient_equal_the_plain_double_forward(tiny: Any, style: str, kind: dict[str, Any]) -> None:
    case = Case(tiny, style)
    batch = case.layout(**kind).batch(case.examples, 1 / len(ROWS), chunks=3)
    fast, parts, z = case.model(batch)
    found = torch.autograd.grad(fast, case.parameters)
    plain = case.plain_loss()
    expected = torch.autograd.grad(plain, case.parameters)
    assert fast.item() == pytest.approx(plain.item(), abs=1e-5)
    assert_same_gradients(found, expected)
    assert set(parts) == {"query", "mass_nll", "mass", "kl", "answer_nll"}
    assert z.shape == (len(ROWS), 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LAYOUTS["padded, repeated block"], LAYOUTS["packed, shared block"]])
def test_gradient_checkpointing_changes_nothing(tiny: Any, kind: dict[str, Any]) -> None:
    case = Case(tiny)
    expected = torch.autograd.grad(case.plain_loss(), case.parameters)
    case.lm.gradient_checkpointing_enable({"use_reentrant": False})
    batch = case.layout(**kind).batch(case.examples, 1 / len(ROWS), chunks=1)
    total, _, _ = case.model.train()(batch)
    assert_same_gradients(torch.autograd.grad(total, case.parameters), expected)


@pytest.mark.slow
def test_compiled_layers_change_nothing(tiny: Any) -> None:
    case = Case(tiny)
    expected = torch.autograd.grad(case.plain_loss(), case.parameters)
    for layer in case.lm.get_base_model().model.layers:
        layer.compile(dynamic=True, backend="aot_eager")
    batch = case.layout(**LAYOUTS["padded, shared block"]).batch(case.examples, 1 / len(ROWS), chunks=1)
    total, _, _ = case.model(batch)
    assert_same_gradients(torch.autograd.grad(total, case.parameters), expected)


@pytest.mark.slow
def test_verdicts_in_bfloat16_are_not_on_its_grid(tiny: Any) -> None:
    """The verdict's logits are differences of the head's rows in float32; the mass of the two answers stays under 1."""
    lm, tokenizer = tiny
    lm.get_output_embeddings().weight.data.mul_(64)  # the tiny model's logits are small; trained ones are not
    case = Case((lm.to(torch.bfloat16), tokenizer))
    examples = [case.example(f"What is {n} plus {n}?", str(2 * n), 1.0) for n in range(40)]
    batch = case.layout(**LAYOUTS["padded, shared block"]).batch(examples, 1 / 40, chunks=1)
    z, log_mass = case.model.eval()(batch, judge_only=True)
    assert z.dtype == torch.float32
    assert len((z[:, 1] - z[:, 0]).unique()) > 35
    assert (log_mass <= 0).all()
    total, _, trained = case.model.train()(batch)
    assert len((trained[:, 1] - trained[:, 0]).unique()) > 35
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(total, case.parameters))


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYOUTS.values(), ids=LAYOUTS)
def test_examples_of_a_pass_do_not_see_each_other(tiny: Any, kind: dict[str, Any]) -> None:
    case = Case(tiny)
    layout = case.layout(**kind)
    case.model.eval()
    together, _ = case.model(layout.batch(case.examples, 1.0, 0), judge_only=True)
    other = [case.example("Something else, much longer than before?", "no", 0.0), *case.examples[1:]]
    changed, _ = case.model(layout.batch(other, 1.0, 0), judge_only=True)
    torch.testing.assert_close(changed[1:], together[1:], atol=1e-5, rtol=0)
    assert (changed[0] - together[0]).abs().max() > 1e-3


def test_the_verdict_is_the_one_that_users_of_the_checkpoint_get(tiny: Any) -> None:
    case = Case(tiny)
    query = len(case.prompt_format.query_ids)
    sequences = [example.input_ids[:-query] for example in case.examples]
    used = score_answers(case.lm.eval(), case.prompt_format, case.block, sequences, 4).logit
    for kind in LAYOUTS.values():
        case.model.eval()
        z, _ = case.model(case.layout(**kind).batch(case.examples, 1.0, 0), judge_only=True)
        assert (z[:, 1] - z[:, 0]).tolist() == pytest.approx(used.tolist(), abs=1e-4)


@pytest.mark.slow
def test_adapter_off_is_the_base_model_bit_for_bit(tiny: Any) -> None:
    lm, tokenizer = tiny
    ids = torch.tensor([tokenizer.encode("Question: What is 1 + 1?\nAnswer:")])
    with torch.no_grad():
        before = lm(input_ids=ids).logits.clone()
    case = Case((lm, tokenizer))
    total, _, _ = case.model(case.layout(**LAYOUTS["padded, shared block"]).batch(case.examples, 0.25, 1))
    total.backward()
    with torch.no_grad():
        tuned = case.lm(input_ids=ids).logits
        with case.lm.disable_adapter():
            off = case.lm(input_ids=ids).logits
    assert torch.equal(off, before)
    assert not torch.equal(tuned, before)


def test_no_gradient_reaches_the_base_model(tiny: Any) -> None:
    case = Case(tiny)
    total, _, _ = case.model(case.layout(**LAYOUTS["padded, shared block"]).batch(case.examples, 0.25, 1))
    total.backward()
    for name, parameter in case.model.named_parameters():
        assert (parameter.grad is not None) == ("lora_" in name), name


def test_the_vocabulary_is_never_projected_everywhere(tiny: Any) -> None:
    """Positions whose logits are made: one a verdict, and the answers' tokens, tuned and reference."""
    case = Case(tiny, settings=ObjectiveSettings())
    seen: list[int] = []
    case.lm.get_output_embeddings().register_forward_hook(lambda m, args, out: seen.append(out.shape[0]))
    case.model(case.layout(**LAYOUTS["padded, shared block"]).batch(case.examples, 0.25, 1))
    answers = sum(example.answer_length for example in case.examples)
    assert sum(seen) == len(ROWS) + 2 * answers


def test_an_empty_pass_is_an_error(tiny: Any) -> None:
    with pytest.raises(ValueError, match="supervised"):
        Case(tiny).layout(**LAYOUTS["padded, shared block"]).batch([], 1.0, 1)
