"""Numbers at their limits: what overflows, what is empty, what is half as precise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibration_tuning.calibrated_model import CalibratedModel
from calibration_tuning.errors import RunError
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.query import score_answers


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> CalibratedModel:
    return CalibratedModel.from_pretrained(tiny_run / "checkpoint", device="cpu")


@pytest.fixture
def head(model: CalibratedModel) -> Iterator[torch.nn.Parameter]:
    """The weights of the vocabulary projection, which are put back."""
    weight = model.model.get_output_embeddings().weight
    before = weight.detach().clone()
    yield weight
    with torch.no_grad():
        weight.copy_(before)


@pytest.mark.slow
def test_no_confidence_where_the_model_has_diverged(model: CalibratedModel, head: torch.nn.Parameter) -> None:
    with torch.no_grad():
        head[model.prompt_format.answer_tokens[0]] = float("nan")
    with pytest.raises(RunError, match=r"not a finite number; the model has diverged$"):
        model.confidence("Why?", "So")


def test_logits_in_the_millions_are_certainty(model: CalibratedModel, head: torch.nn.Parameter) -> None:
    with torch.no_grad():
        head.mul_(1e6)
    prompt = model.prompt_format
    rows = [prompt.question_ids(f"What is {n} plus 1?") + prompt.answer_ids("2") for n in range(4)]
    found = score_answers(model.model, prompt, [], rows, 4)
    assert np.isfinite(found.logit).all()
    assert (np.minimum(found.confidence, 1 - found.confidence) < 1e-6).all()
    calibrated = np.array(model.confidence_batch(["Why?", "What is 1 plus 1?"], ["So", "2"]))
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


@pytest.mark.parametrize("style", ["text", "chat"])
def test_next_to_nothing_beside_a_long_row(tiny: tuple[Any, Any], style: str) -> None:
    """A row of padding almost alone: attention over nothing would be NaN."""
    model, tokenizer = tiny
    prompt = PromptFormat(tokenizer, style)
    rows: list[list[int]] = [[], [5], list(range(10, 300))]
    together = score_answers(model, prompt, [], rows, 3)
    alone = score_answers(model, prompt, [], rows, 1)
    assert np.isfinite(together.logit).all()
    np.testing.assert_allclose(together.logit, alone.logit, atol=1e-4)


def test_bfloat16_is_close(tiny: tuple[Any, Any]) -> None:
    """The real model's difference stands in docs/reliability.md (`python -m benchmarks precision`)."""
    model, tokenizer = tiny
    prompt = PromptFormat(tokenizer, "text")
    rows = [prompt.question_ids(f"What is {n} plus {n}?") + prompt.answer_ids(str(n)) for n in range(20)]
    exact = score_answers(model, prompt, [], rows, 8).confidence
    rough = score_answers(model.to(torch.bfloat16), prompt, [], rows, 8).confidence
    assert 0 < np.abs(exact - rough).max() < 0.02
