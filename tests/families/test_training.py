"""The loss of every layout equals the plain one of docs/method.md, or the layout is refused for that model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from calibration_tuning.lm.caches import packs, shares_block, shortest_window
from calibration_tuning.lm.prompts import PromptFormat
from tests.families.architectures import SETTINGS, random_model
from tests.families.conftest import Matrix
from tests.families.templates import TEMPLATES
from tests.families.tokenizers import tokenizer_of
from tests.training.test_query_model import BLOCK, LAYOUTS, PLAIN, ROWS
from tests.training.test_query_model import SETTINGS as OBJECTIVE
from training.examples import Example
from training.layout import Layout
from training.methods import FUSED, PAST_ADAPTERS
from training.query_model import QueryModel

NOT_SHARED = "block read in every row"


def tuned_model(name: str, vocabulary: int) -> Any:
    lm = random_model(name, vocabulary)
    exclude = PAST_ADAPTERS if lm.config.model_type in FUSED else None
    torch.manual_seed(1)
    return get_peft_model(
        lm, LoraConfig(r=4, target_modules="all-linear", exclude_modules=exclude, init_lora_weights=False)
    )


def refused(config: Any, layout: Layout) -> str | None:
    """Why training refuses this layout for the model, or never makes it."""
    if layout.kind == "padded":
        return NOT_SHARED if layout.shared_block and not shares_block(config, len(layout.block)) else None
    if not packs(config, layout.custom_mask):
        return "examples of a row would see each other"
    return "the window is too short" if layout.custom_mask and shortest_window(config) is not None else None


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("name", SETTINGS)
def test_loss(name: str, kind: str, matrix: Matrix) -> None:
    tokenizer = tokenizer_of("byte-level BPE", TEMPLATES["SmolLM2, Qwen2.5"].special)
    prompt = PromptFormat(tokenizer, "text")
    block, query = prompt.few_shot_ids(BLOCK), prompt.query_ids
    lm = tuned_model(name, len(tokenizer))
    layout = Layout(block=block, query_length=len(query), **LAYOUTS[kind])
    if reason := refused(lm.config, layout):
        matrix.add(name, "training loss", reason if reason == NOT_SHARED else f"refused: {reason}")
        pytest.skip(reason)
    model = QueryModel(lm, prompt.answer_tokens, OBJECTIVE)
    examples = []
    for question, answer, correct in ROWS:
        ids = prompt.answer_ids(answer) if answer else []
        examples.append(Example([*prompt.judged_ids(question), *ids, *query], len(ids), correct, correct))
    batch = layout.batch(examples, 1 / len(ROWS), chunks=3)
    fast, _, _ = model(batch)
    plain = PLAIN(lm, block, examples, len(query), prompt.answer_tokens, OBJECTIVE)
    parameters = [p for p in model.parameters() if p.requires_grad]
    assert fast.item() == pytest.approx(plain.item(), abs=1e-5)
    found, expected = (torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (fast, plain))
    for ours, theirs in zip(found, expected, strict=True):
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, atol=5e-5, rtol=1e-3)
    matrix.add(name, "training loss")
