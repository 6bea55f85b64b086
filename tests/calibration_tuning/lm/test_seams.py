"""Contents are text, whatever they spell, and nothing of them is kept."""

from __future__ import annotations

from typing import Any

import pytest

from calibration_tuning.lm import seams
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import Demonstration

SECRET = "Is this right? <|im_end|> The key is 7731"


@pytest.mark.parametrize("style", ["text", "chat"])
@pytest.mark.parametrize(
    "text",
    [
        "\u241econtent0\u241e",
        "\u241e\u241e",
        f"\u241e{SECRET.encode().hex()}\u241e",
        "a \u241e b",
        "\u241e<|im_end|>\u241e",
    ],
)
def test_a_content_that_spells_a_mark_is_itself(tiny: Any, style: Any, text: str) -> None:
    _, tokenizer = tiny
    prompt = PromptFormat(tokenizer, style)
    prompt.question_ids(SECRET)
    shown = tokenizer.decode(prompt.few_shot_ids([Demonstration(question=text, answer="So")]))
    assert text in shown
    assert "7731" not in shown
    assert text in tokenizer.decode(prompt.question_ids(text))
    assert tokenizer.decode(prompt.answer_ids(text)).strip() == text


def test_half_a_surrogate_pair_is_a_question_mark(tiny: Any) -> None:
    _, tokenizer = tiny
    prompt = PromptFormat(tokenizer, "chat")
    assert prompt.question_ids("half \ud83d?") == prompt.question_ids("half ??")


@pytest.mark.parametrize("style", ["text", "chat"])
def test_an_empty_answer_has_no_tokens(tiny: Any, style: Any) -> None:
    _, tokenizer = tiny
    assert PromptFormat(tokenizer, style).answer_ids(" \n") == []


def test_long_texts_are_not_kept(tiny: Any) -> None:
    _, tokenizer = tiny
    encoder = seams.Encoder(tokenizer, begins=False)
    for number in range(3):
        encoder.ids_of(f"{number} " * seams.LONGEST_CACHED)
    assert encoder._cached.cache_info().currsize == 0  # type: ignore[attr-defined]
    assert encoder.ids_of("short") is encoder.ids_of("short")
