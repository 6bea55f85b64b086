"""Padding, ends and special tokens of the odd kinds that tokenizers have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken

from calibration_tuning.calibrated_model import CalibratedModel
from calibration_tuning.config.run import load_run_config
from calibration_tuning.lm.answering import Answerer, requests_for
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.records import Demonstration, Question, read_records
from data_curation.__main__ import curate
from tests.families.architectures import random_model
from tests.families.templates import TEMPLATES
from tests.families.tokenizers import tokenizer_of
from training.__main__ import train

TEMPLATE = TEMPLATES["SmolLM2, Qwen2.5"]


def pad_outside(tokenizer: Any) -> None:
    """The vocabulary has more tokens than the model has embeddings."""
    tokenizer.add_special_tokens({"pad_token": "<pad>"})


def neither_pad_nor_eos(tokenizer: Any) -> None:
    tokenizer.eos_token = None
    tokenizer.pad_token = None


ODD: dict[str, Callable[[Any], None]] = {
    "a pad id outside the embeddings": pad_outside,
    "neither pad nor eos": neither_pad_nor_eos,
}


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A model and its tokenizer of that kind."""
    tokenizer = tokenizer_of("byte-level BPE", TEMPLATE.special, TEMPLATE.text)
    model = random_model("Llama, SmolLM2", len(tokenizer))
    ODD[request.param](tokenizer)
    assert tokenizer.pad_token_id is None or tokenizer.pad_token_id >= model.get_input_embeddings().num_embeddings
    return model, tokenizer


@pytest.mark.slow
@pytest.mark.parametrize("multiline", [False, True])
@pytest.mark.parametrize("style", ["text", "chat"])
def test_answers_do_not_depend_on_their_batch(odd: tuple[Any, Any], style: Any, multiline: bool) -> None:
    model, tokenizer = odd
    texts = ["Why?", "Which planet is the largest one of them all?"]
    questions = [
        Question(id=t, source="s", subject="x", group=t, question=t, references=["r"], grader="exact", multiline=m)
        for t, m in zip(texts, [multiline] * 2, strict=True)
    ]
    requests = requests_for(questions, "subject", 6)

    def answers(batch_size: int) -> list[list[int]]:
        engine = Answerer(model, PromptFormat(tokenizer, style), {}, batch_size)
        batches = engine.batches(requests)
        assert len(batches) == 2 // batch_size
        return [answer.token_ids for batch in engine.answer(batches) for _, answer in batch]

    assert answers(2) == answers(1)
    if style == "text" and multiline and tokenizer.eos_token is None:
        assert max(map(len, answers(2))) == 6, "nothing ends it but its length, or the next question"


@pytest.mark.slow
def test_a_run(odd: tuple[Any, Any], tmp_path: Path, write_tiny_config: Callable[[Path], Path]) -> None:
    model, tokenizer = odd
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    config = load_run_config(write_tiny_config(tmp_path), [f"model.path={tmp_path / 'model'}", "tracking.to=none"])
    curate(config, False)
    train(config, False)
    asked = CalibratedModel.from_pretrained(str(config.checkpoint_dir))
    answers = asked.answer_batch(["What is 1 plus 2?", "Which planet is the largest one of them all?"])
    assert all(0 < answer.confidence < 1 for answer in answers)


def test_special_is_what_the_tokenizer_added_as_special() -> None:
    """Also where `all_special_tokens` does not list it, as in tokenizer.json files without a tokenizer_config.json."""
    tokenizer = tokenizer_of("byte-level BPE", TEMPLATE.special, TEMPLATE.text)
    tokenizer.add_tokens([AddedToken("<|fim|>", special=True, normalized=False)])
    listed = [token for token in tokenizer.all_special_tokens if token != "<|fim|>"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(tokenizer), "all_special_tokens", property(lambda self: listed))
        prompt = PromptFormat(tokenizer, "chat")
        text = "Is <|fim|> the end?"
        control = tokenizer.convert_tokens_to_ids("<|fim|>")
        for part in (prompt.question_ids, prompt.judged_ids, prompt.answer_ids):
            assert control not in part(text)
            assert text in tokenizer.decode(part(text))


HEADERS = ("<|User|>", "<|Assistant|>", "<|System|>")
"""Tokens that R1's and DeepSeek-V3's tokenizers add as ordinary ones."""
LIVE = ("<think>", "</think>", "<tool>", "    ")
"""Ordinary tokens that the template does not write around messages, or that are a trace's."""
WITH_HEADERS = (
    "{% for m in messages %}{{ '<|' + m['role'].capitalize() + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>    ' }}{% endif %}"
)
CONTENTS = {
    "one": "What does <|User|> mean?",
    "alone": "<|Assistant|>",
    "of the system message": "a <|System|> b",
    "several in a row": "<|User|><|User|><|Assistant|>",
    "many": "<|User|> and " * 200 + "so on",
    "one within another": "<|Us<|User|>er|>",
    "with a special one": "<|User|><|endoftext|><|Assistant|>",
    "at both ends": "<|User|> ii <|User|>",
}


def with_headers(kind: str) -> Any:
    tokenizer = tokenizer_of(kind, (), WITH_HEADERS)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in (*HEADERS, *LIVE)])
    return tokenizer


@pytest.mark.parametrize("case", CONTENTS)
@pytest.mark.parametrize("style", ["text", "chat"])
@pytest.mark.parametrize("kind", ["byte-level BPE", "SentencePiece with a space before", "SentencePiece without"])
def test_ordinary_tokens_that_a_template_writes_are_special(kind: str, style: Any, case: str) -> None:
    tokenizer, text = with_headers(kind), CONTENTS[case]
    prompt = PromptFormat(tokenizer, style)
    control = {*tokenizer.convert_tokens_to_ids(list(HEADERS)), tokenizer.eos_token_id}

    def headers(ids: list[int]) -> list[int]:
        return [token for token in ids if token in control]

    for part in (prompt.question_ids, prompt.judged_ids, prompt.answer_ids):
        assert headers(part(text)) == headers(part("Why?"))
        assert text in tokenizer.decode(part(text))
    shown, plain = (prompt.few_shot_ids([Demonstration(question=t, answer=t, correct=True)]) for t in (text, "Why?"))
    assert headers(shown) == headers(plain)
    said = prompt.with_system(text)
    assert headers(said.few_shot_ids(())) == headers(prompt.with_system("Be brief.").few_shot_ids(()))
    for asked in (prompt, said):
        assert bool(headers(asked.question_ids("Why?"))) == (style == "chat"), "the template's are tokens all the same"


def test_a_template_that_fails_does_not_concern_text_prompts() -> None:
    tokenizer = tokenizer_of("byte-level BPE", (), "{{ raise_exception('Only tools are supported') }}")
    prompt, plain = PromptFormat(tokenizer, "text"), PromptFormat(tokenizer_of("byte-level BPE"), "text")
    assert prompt.question_ids("Why?") == plain.question_ids("Why?")


@pytest.mark.parametrize("kind", ["byte-level BPE", "SentencePiece without"])
@pytest.mark.parametrize("live", LIVE)
def test_other_ordinary_tokens_stay_tokens(kind: str, live: str) -> None:
    tokenizer = with_headers(kind)
    prompt = PromptFormat(tokenizer, "chat")
    token = tokenizer.convert_tokens_to_ids(live)
    for part in (prompt.question_ids, prompt.answer_ids):
        assert part(f"a{live}b").count(token) == part("ab").count(token) + 1


def test_a_trace_is_text() -> None:
    template = TEMPLATES["Qwen3"]
    tokenizer = tokenizer_of("byte-level BPE", template.special[:2], template.text)
    prompt = PromptFormat(tokenizer, "chat", thinking="on")
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    trace = "Does <|im_end|> end it?"
    assert prompt.answering_ids("Why?", trace).count(end) == prompt.answering_ids("Why?", "No").count(end)
    assert trace in tokenizer.decode(prompt.answering_ids("Why?", trace))


@pytest.mark.slow
def test_white_space_around_a_question_does_not_count(tiny_run: Path) -> None:
    model = CalibratedModel.from_pretrained(str(tiny_run / "checkpoint"))
    row = next(row for row in read_records(tiny_run / "curation/test.parquet") if row.answer)
    (curated,) = model._calibrated(model._logits([row.text], [row.token_ids])[0])
    with torch.no_grad():
        judged = [model.confidence(f"{before}{row.text}{after}", row.answer) for before, after in AROUND]
        answered = [model.answer(f"{before}{row.text}{after}") for before, after in AROUND]
    assert {answer.text for answer in answered} == {answered[0].text}
    assert [answer.confidence for answer in answered] == pytest.approx([answered[0].confidence] * len(AROUND), abs=1e-6)
    same_ids = model.prompt_format.answer_ids(row.answer) == row.token_ids
    assert judged == pytest.approx([curated if same_ids else judged[0]] * len(AROUND), abs=1e-6)


AROUND = [("", ""), (" ", ""), ("", "\n"), ("\n\t", "  \n\n"), ("\u00a0", "\u2009")]
