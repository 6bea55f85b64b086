"""A checkpoint is asked by the tokenizer that training has saved in it: the prompts are those of the base model's."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.lm.models import load_tokenizer
from calibration_tuning.lm.prompts import PromptFormat
from tests.families.templates import TEMPLATES
from tests.families.test_prompts import CONTENTS, SHOWN, TOKENIZERS
from tests.families.tokenizers import tokenizer_of

TEMPLATE = TEMPLATES["SmolLM2, Qwen2.5"]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_prompts_stay_the_same(kind: str, tmp_path: Path) -> None:
    base, checkpoint = tmp_path / "base", tmp_path / "checkpoint"
    tokenizer_of(kind, TEMPLATE.special, TEMPLATE.text).save_pretrained(base)
    trained = load_tokenizer(ModelSettings(path=str(base)))
    before = {style: as_asked(trained, style) for style in ("text", "chat")}
    trained.save_pretrained(checkpoint)
    loaded = load_tokenizer(ModelSettings(path=str(checkpoint)))
    assert {style: as_asked(loaded, style) for style in ("text", "chat")} == before
    assert loaded.special_tokens_map == trained.special_tokens_map
    assert loaded.model_max_length == trained.model_max_length


def as_asked(tokenizer: PreTrainedTokenizerBase, style: str) -> list[object]:
    prompt = PromptFormat.of(tokenizer, style)
    contents = [
        [prompt.question_ids(question), prompt.judged_ids(question), prompt.answer_ids(answer)]
        for question, answer in CONTENTS
    ]
    ends = prompt.answer_tokens, prompt.stop_ids(), prompt.stop_text()
    return [prompt.few_shot_ids(SHOWN), *contents, prompt.query_ids, *ends]
