"""Templates that were handed in with what is right for them; not part of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.lm.prompts import NO, QUERY, YES, PromptFormat
from tests.families.tokenizers import SMALL, tokenizer_of

HANDED = Path(__file__).parents[3] / "shared/cases/templates"
SPECIAL = ("<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "<think>", "</think>")
ENDS = {"end_of_turn": "<end_of_turn>", "inst_space": None, "think_open": "<|im_end|>"}
"""The token that ends a turn; None is the tokenizer's end of text."""
pytestmark = pytest.mark.skipif(not HANDED.is_dir(), reason="the handed templates are not here")


def handed(name: str, kind: str) -> Any:
    return tokenizer_of(kind, SPECIAL, (HANDED / f"{name}.jinja").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("name", ENDS)
def test_the_verdict_is_read_where_renderings_part(name: str, kind: str) -> None:
    tokenizer = handed(name, kind)
    prompt = PromptFormat(tokenizer, "chat")
    question, answer = "Which planet is the largest one?", "Jupiter"
    rendered = []
    for verdict in (NO, YES):
        turns = [question, answer, QUERY.strip(), verdict]
        messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        rendered.append(tokenizer(text, add_special_tokens=False).input_ids)
    border = next(i for i, (a, b) in enumerate(zip(*rendered, strict=False)) if a != b)
    joined = [
        *prompt.few_shot_ids(()),
        *prompt.judged_ids(question),
        *prompt.answer_ids(answer),
        *prompt.query_ids,
    ]
    assert joined == rendered[0][:border]
    assert prompt.answer_tokens == (rendered[0][border], rendered[1][border])
    end = ENDS[name]
    assert (tokenizer.eos_token_id if end is None else tokenizer.convert_tokens_to_ids(end)) in prompt.stop_ids()


@pytest.mark.parametrize("kind", SMALL)
def test_an_open_trace_is_closed(kind: str) -> None:
    tokenizer = handed("think_open", kind)
    off, on = (PromptFormat(tokenizer, "chat", thinking=value).question_ids("Why?") for value in ("off", "on"))
    opened, closed = (tokenizer.convert_tokens_to_ids(tag) for tag in ("<think>", "</think>"))
    assert (off.count(opened), off.count(closed)) == (1, 1)
    assert (on.count(opened), on.count(closed)) == (1, 0)


def test_a_template_of_parts_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.prompt_format: chat, but .*; use text$"):
        PromptFormat(handed("parts_only", "byte-level BPE"), "chat")


def test_every_handed_template_is_tried() -> None:
    assert {path.stem for path in HANDED.glob("*.jinja")} == {*ENDS, "parts_only"}
