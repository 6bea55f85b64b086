"""The trainer's one-pass loss against a plain implementation: two full forward passes, all logits everywhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import TrainingArguments

from calibration_tuning.prompts import PromptFormat
from calibration_tuning.records import Demonstration, GradedAnswer
from calibration_tuning.run_config import ObjectiveSettings
from training.examples import Collator, query_example
from training.trainer import CalibrationTrainer

BLOCK = [
    Demonstration(question="What is 1 + 1?", answer="2", correct=True),
    Demonstration(question="What is 2 + 2?", answer="5", correct=False),
]


def graded(question: str, answer: str, correct: float, prompt_format: PromptFormat) -> GradedAnswer:
    ids = prompt_format.answer_ids(answer) if answer else []
    return GradedAnswer(
        id=question,
        source="s",
        subject="s",
        group=question,
        question=question,
        references=["x"],
        grader="exact",
        answer=answer,
        token_ids=ids,
        token_logprobs=[0.0] * len(ids),
        correct=correct,
    )


def make(tiny: Any, tmp_path: Path, style: str = "text", **settings: Any) -> tuple[CalibrationTrainer, dict]:
    model, tokenizer = tiny
    prompt_format = PromptFormat(tokenizer, style)  # type: ignore[arg-type]
    torch.manual_seed(1)
    peft_model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    rows = [
        graded("What is the capital of France?", "Paris", 1.0, prompt_format),
        graded("Is it?", "a rather long answer", 0.0, prompt_format),
        graded("Which country is Rome in?", "Italy", 1.0, prompt_format),
        graded("Nothing to say?", "", 0.0, prompt_format),
    ]
    examples = [query_example(row, prompt_format) for row in rows]
    checkpointing = settings.pop("gradient_checkpointing", False)
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        use_cpu=True,
        report_to="none",
        remove_unused_columns=False,
        gradient_checkpointing=checkpointing,
    )
    trainer = CalibrationTrainer(
        peft_model,
        arguments,
        Collator(tokenizer.pad_token_id),
        examples,
        prompt_format=prompt_format,
        few_shot_ids=prompt_format.few_shot_ids(BLOCK),
        objective_settings=ObjectiveSettings(**settings),
    )
    return trainer, Collator(tokenizer.pad_token_id)(examples)


def plain_loss(trainer: CalibrationTrainer, settings: ObjectiveSettings) -> torch.Tensor:
    """One example at a time, unpadded, block repeated, logits at every position, a forward each for tuned and base."""
    no, yes = trainer.prompt_format.answer_tokens
    losses = []
    for example in trainer.train_dataset:  # type: ignore[union-attr]
        ids = torch.tensor([[*trainer.few_shot_ids, *example["input_ids"]]])
        tuned = trainer.model(input_ids=ids).logits[0]
        with trainer.model.disable_adapter(), torch.no_grad():
            base = trainer.model(input_ids=ids).logits[0]
        target = torch.tensor([yes if example["correct"] else no])
        pair = tuned[-1, [no, yes]]
        loss = F.cross_entropy(pair.unsqueeze(0), torch.tensor([int(example["correct"])]))
        full = F.cross_entropy(tuned[-1:], target)
        loss = loss + settings.mass_weight * (full - loss)
        count = example["answer_length"]
        if count:
            end = ids.shape[1] - len(trainer.prompt_format.query_ids)
            where = torch.arange(end - count, end)
            p, q = base[where - 1].log_softmax(-1), tuned[where - 1].log_softmax(-1)
            loss = loss + settings.kl_weight * (p.exp() * (p - q)).sum(-1).mean()
            nll = F.cross_entropy(tuned[where - 1], ids[0, where])
            loss = loss + settings.answer_nll_weight * nll * example["correct"]
        losses.append(loss)
    return torch.stack(losses).mean()


@pytest.mark.parametrize("style", ["text", "chat"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["shared block", "repeated block"])
def test_value_and_gradient_equal_the_plain_double_forward(
    tiny: Any, tmp_path: Path, style: str, checkpointing: bool
) -> None:
    settings: dict[str, Any] = {"mass_weight": 0.3, "kl_weight": 0.7, "answer_nll_weight": 0.2}
    trainer, batch = make(tiny, tmp_path, style, gradient_checkpointing=checkpointing, **settings)
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    fast = trainer.compute_loss(trainer.model, batch)
    fast_gradients = torch.autograd.grad(fast, parameters)
    plain = plain_loss(trainer, trainer.objective_settings)
    plain_gradients = torch.autograd.grad(plain, parameters)
    assert fast.item() == pytest.approx(plain.item(), abs=1e-5)
    largest = max(g.abs().max() for g in plain_gradients)
    assert largest > 1e-3
    for ours, theirs in zip(fast_gradients, plain_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_adapter_off_is_the_base_model_bit_for_bit(tiny: Any, tmp_path: Path) -> None:
    model, tokenizer = tiny
    ids = torch.tensor([tokenizer.encode("Question: What is 1 + 1?\nAnswer:")])
    with torch.no_grad():
        before = model(input_ids=ids).logits.clone()
    trainer, batch = make((model, tokenizer), tmp_path)
    trainer.compute_loss(trainer.model, batch).backward()
    with torch.no_grad():
        tuned = trainer.model(input_ids=ids).logits
        with trainer.model.disable_adapter():
            off = trainer.model(input_ids=ids).logits
    assert torch.equal(off, before)
    assert not torch.equal(tuned, before)
    assert all(p.requires_grad for n, p in trainer.model.named_parameters() if "lora_" in n)


def test_no_gradient_reaches_the_base_model(tiny: Any, tmp_path: Path) -> None:
    trainer, batch = make(tiny, tmp_path)
    trainer.compute_loss(trainer.model, batch).backward()
    for name, parameter in trainer.model.named_parameters():
        assert (parameter.grad is not None) == ("lora_" in name), name
