"""The decoding loop against plain `generate`, and how rows come into batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from calibration_tuning.lm.batches import by_length
from calibration_tuning.lm.choosing import likeliest_choices
from calibration_tuning.lm.generation import Decoding, generate_answers
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.query import score_answers
from calibration_tuning.lm.reading import read_answers
from calibration_tuning.records import Demonstration

QUESTIONS = ["Why?", "What is the capital of a rather far away country?", "Who is it?", "How many are there in all?"]


@pytest.mark.slow
@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("style", ["text", "chat"])
def test_equals_plain_generate_one_prompt_at_a_time(tiny: Any, shots: int, batch_size: int, style: Any) -> None:
    model, tokenizer = tiny
    prompt = PromptFormat(tokenizer, style)
    # A random model hardly ever ends a line, so a fifth of its vocabulary ends an answer here.
    prompt.__dict__["stop_ids"] = lambda multiline=False: list(range(0, len(tokenizer), 5))
    block = prompt.few_shot_ids([Demonstration(question="What is 1 + 1?", answer="2")] * shots)
    questions = [prompt.question_ids(q) for q in QUESTIONS]
    found = generate_answers(model, prompt, block, questions, Decoding(8), batch_size)
    assert len({len(answer.token_ids) for answer in found}) > 1
    for ids, answer in zip(questions, found, strict=True):
        whole = torch.tensor([[*block, *ids]])
        plain = model.generate(
            whole,
            attention_mask=torch.ones_like(whole),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=prompt.stop_ids(),
            pad_token_id=tokenizer.pad_token_id,
        )[0, whole.shape[1] :].tolist()
        expected = plain[:-1] if plain[-1] in prompt.stop_ids() else plain
        assert answer.token_ids == expected
        assert answer.text == tokenizer.decode(expected, skip_special_tokens=True).strip()
        with torch.no_grad():
            logp = model(input_ids=torch.tensor([[*block, *ids, *expected]])).logits[0].log_softmax(-1)
        start = len(block) + len(ids) - 1
        for i, token in enumerate(expected):
            assert answer.token_logprobs[i] == pytest.approx(logp[start + i, token].item(), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("window", [1100, None])
def test_a_long_question_beside_a_short_one_changes_nothing(tiny: Any, window: int | None) -> None:
    """With the answer, the padding of the short row would push the shared block out of the window."""
    _, tokenizer = tiny
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = MistralConfig(vocab_size=len(tokenizer), num_hidden_layers=2, sliding_window=window, **sizes)
    model = MistralForCausalLM(config).eval()
    model.lm_head.weight.data.mul_(30)  # so that what is likeliest hangs on every token that is seen
    prompt = PromptFormat(tokenizer, "text")
    prompt.__dict__["stop_ids"] = lambda multiline=False: [tokenizer.eos_token_id]
    block = prompt.few_shot_ids([Demonstration(question="What is 1 + 1?", answer="2")])
    short, long = prompt.question_ids("Why?"), (prompt.question_ids("Why is that so?") * 200)[:1055]
    assert len(block) + len(long) <= 1100 < len(block) + len(long) + 60
    together = generate_answers(model, prompt, block, [short, long], Decoding(60), 2)
    for ids, answer in zip([short, long], together, strict=True):
        (alone,) = generate_answers(model, prompt, block, [ids], Decoding(60), 1)
        assert answer.token_ids == alone.token_ids
        assert answer.token_logprobs == pytest.approx(alone.token_logprobs, abs=1e-4)
    texts = [["4", "5 of them"], ["4", "6"]]
    encoded = [[prompt.answer_ids(text) * 40 for text in row] for row in texts]
    both = likeliest_choices(model, block, [short, long], texts, encoded, 2)
    for i, answer in enumerate(both):
        (alone,) = likeliest_choices(model, block, [[short, long][i]], [texts[i]], [encoded[i]], 1)
        assert answer.choice_logprobs == pytest.approx(alone.choice_logprobs, abs=1e-3)
    # Read alone, the long one is longer than the window, so it slides; nothing is refused.
    longer = [short, (long * 2)[:1090]]
    judged = score_answers(model, prompt, block, longer, 2).logit
    states = read_answers(model, block, longer, [[5, 6], [7]], [1, 2], 2).states
    for i, ids in enumerate(longer):
        assert judged[i] == pytest.approx(score_answers(model, prompt, block, [ids], 1).logit[0], abs=1e-3)
        own = read_answers(model, block, [ids], [[[5, 6], [7]][i]], [1, 2], 1).states[0]
        assert states[i] == pytest.approx(own, abs=1e-4)


def test_batches_hold_every_row_once_by_length() -> None:
    assert list(by_length([3, 1, 2, 5, 4], 2)) == [[3, 4], [0, 2], [1]]


def test_batches_keep_to_a_number_of_tokens() -> None:
    lengths = [3, 1, 2, 5, 4, 30]
    # With 1 more a row: 31 alone is over 12 and goes by itself; 6 + 6; 4 + 4 + 4 (2 of them shorter).
    assert list(by_length(lengths, 8, max_tokens=12, extra=1)) == [[5], [3, 4], [0, 2, 1]]
    assert list(by_length(lengths, 2, max_tokens=1000)) == [[5, 3], [4, 0], [2, 1]]


def test_a_row_of_several_sequences_counts_as_many() -> None:
    # 3 copies each: 7 sequences hold two rows, and 36 tokens hold two rows of 5 + 1 (36) or three of 3 + 1.
    assert list(by_length([5, 5, 3, 3, 3], 7, max_tokens=1000, copies=3)) == [[0, 1], [2, 3], [4]]
    assert list(by_length([5, 5, 3, 3, 3], 99, max_tokens=36, extra=1, copies=3)) == [[0, 1], [2, 3, 4]]
    assert list(by_length([5], 2, max_tokens=3, copies=9)) == [[0]]
