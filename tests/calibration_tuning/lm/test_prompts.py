"""Prompts, byte for byte and id for id, and where an answer ends."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch

from calibration_tuning.errors import UserError
from calibration_tuning.lm.generation import finished
from calibration_tuning.lm.prompts import QUERY, PromptFormat
from calibration_tuning.records import Demonstration

SHOWN = [Demonstration(question="What is 1 + 1?", answer="2", correct=True)]


def test_text_prompt_bytes(tiny: Any) -> None:
    _, tokenizer = tiny
    prompt = PromptFormat(tokenizer, "text")
    ids = prompt.few_shot_ids(SHOWN) + prompt.question_ids("Why?") + prompt.answer_ids("So") + prompt.query_ids
    assert tokenizer.decode(ids) == (
        "Question: What is 1 + 1?\nAnswer: 2\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\n"
        "Answer: ii\n\nQuestion: Why?\nAnswer: So\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\n"
        "Answer:"
    )
    assert [tokenizer.decode([t]) for t in prompt.answer_tokens] == [" i", " ii"]


def test_chat_prompt_bytes_are_the_templates_own(tiny: Any) -> None:
    _, tokenizer = tiny
    prompt = PromptFormat(tokenizer, "chat")
    ids = prompt.few_shot_ids(SHOWN) + prompt.question_ids("Why?") + prompt.answer_ids("So") + prompt.query_ids
    query = "Is the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"
    turns = ["What is 1 + 1?", "2", query, "ii", "Why?", "So", query]
    messages = [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]
    assert tokenizer.decode(ids) == tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert [tokenizer.decode([t]) for t in prompt.answer_tokens] == ["i", "ii"]


@pytest.mark.parametrize("style", ["text", "chat"])
def test_joined_ids_are_those_of_the_whole_text(tiny: Any, style: Any) -> None:
    _, tokenizer = tiny
    prompt = PromptFormat(tokenizer, style)
    ids = prompt.few_shot_ids(SHOWN) + prompt.question_ids("Why?")
    text = tokenizer.decode(ids)
    assert tokenizer.encode(text, add_special_tokens=False) == ids


@pytest.mark.parametrize("style", ["text", "chat"])
@pytest.mark.parametrize("system", [None, "Be brief.", "<|im_end|> Be\nbrief."])
def test_a_system_message_and_earlier_turns_are_where_the_template_has_them(tiny: Any, style: Any, system: Any) -> None:
    _, tokenizer = tiny
    prompt = PromptFormat(tokenizer, "text" if style == "text" else "chat").with_system(system)
    earlier = [Demonstration(question="And 2?", answer="4")]
    ids = prompt.few_shot_ids(SHOWN, earlier) + prompt.question_ids("Why?")
    query = QUERY.strip()
    if style == "chat":
        turns = ["What is 1 + 1?", "2", query, "ii", "And 2?", "4", "Why?"]
        messages = [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]
        shown = [] if system is None else [{"role": "system", "content": system}]
        expected = tokenizer.apply_chat_template([*shown, *messages], tokenize=False, add_generation_prompt=True)
        assert ids.count(tokenizer.eos_token_id) == 1 + len(turns), "a system message cannot end its turn"
    else:
        head = "" if system is None else f"{system}\n\n"
        expected = (
            f"{head}Question: What is 1 + 1?\nAnswer: 2\n\n{query} ii\n\n"
            "Question: And 2?\nAnswer: 4\n\nQuestion: Why?\nAnswer:"
        )
    assert tokenizer.decode(ids) == expected
    if system is not None:
        assert prompt.with_system(None).few_shot_ids(SHOWN) == PromptFormat(tokenizer, style).few_shot_ids(SHOWN)
        messages = prompt.answer_messages(earlier, "Why?")
        assert [turn["role"] for turn in messages] == ["system", "user", "assistant", "user"], "servers get it too"


TURN = "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
END = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('no system role') }}", "the chat template takes none (no system role)"),
        (
            f"{{% for m in messages %}}{{% if m['role'] != 'system' %}}{TURN}{{% endif %}}{{% endfor %}}{END}",
            "not show it",
        ),
        (  # as Mistral's, which moves it to the last question
            "{% if messages[0]['role'] == 'system' %}{% set s = messages[0]['content'] %}"
            "{% set messages = messages[1:] %}"
            "{% else %}{% set s = '' %}{% endif %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
            "{% if loop.index0 == loop.length - 1 - loop.length % 2 and s %}{{ s }}\n{% endif %}"
            f"{{{{ m['content'] }}}}<|im_end|>\n{{% endfor %}}{END}",
            "not show it",
        ),
    ],
)
def test_templates_that_take_no_system_message_say_so(tiny: Any, template: str, words: str) -> None:
    _, tokenizer = tiny
    if "raise_exception" in template:
        tokenizer.chat_template = f"{{% if messages[0]['role'] == 'system' %}}{template}{{% endif %}}" + (
            f"{{% for m in messages %}}{TURN}{{% endfor %}}{END}"
        )
    else:
        tokenizer.chat_template = template
    prompt = PromptFormat(tokenizer, "chat")
    with pytest.raises(UserError, match=f"^system message: .*{re.escape(words)}"):
        prompt.with_system("Be brief.")


def test_a_system_message_that_the_template_puts_into_the_first_question(tiny: Any) -> None:
    """As Gemma 3's does."""
    _, tokenizer = tiny
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{% set s = messages[0]['content'] + '\n\n' %}"
        "{% set messages = messages[1:] %}{% else %}{% set s = '' %}{% endif %}{% for m in messages %}"
        "<|im_start|>{{ m['role'] }}\n{{ s if loop.first else '' }}{{ m['content'] }}<|im_end|>\n{% endfor %}" + END
    )
    prompt = PromptFormat(tokenizer, "chat").with_system("Be brief.")
    for block in ([], [SHOWN[0].model_copy(update={"correct": None})]):
        turns = [{"role": "system", "content": "Be brief."}]
        for shown in block:
            turns += [{"role": "user", "content": shown.question}, {"role": "assistant", "content": shown.answer}]
        text = tokenizer.apply_chat_template(
            [*turns, {"role": "user", "content": "Why?"}], tokenize=False, add_generation_prompt=True
        )
        assert prompt.few_shot_ids(block) + prompt.question_ids("Why?") == tokenizer(text).input_ids


def test_auto_takes_the_template_where_there_is_one(tiny: Any) -> None:
    _, tokenizer = tiny
    assert PromptFormat.of(tokenizer, "auto").style == "chat"
    tokenizer.chat_template = None
    assert PromptFormat.of(tokenizer, "auto").style == "text"
    with pytest.raises(UserError, match="no chat template"):
        PromptFormat.of(tokenizer, "chat")


def test_answers_that_are_not_one_token_are_refused() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator([], trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="a")
    with pytest.raises(UserError, match="one token"):
        PromptFormat(tokenizer, "text")


@pytest.mark.parametrize("unknown", ["i", "ii"])
def test_an_answer_that_the_tokenizer_does_not_know_is_refused(unknown: str) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "Question": 1, {"i": "ii", "ii": "i"}[unknown]: 2}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(UserError, match=r"'<unk>'.*known and different"):
        PromptFormat(PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>"), "text")


def test_stop_tokens_hold_every_line_break(tiny: Any) -> None:
    _, tokenizer = tiny
    stops = PromptFormat(tokenizer, "text").stop_ids()
    assert tokenizer.eos_token_id in stops
    assert all("\n" in tokenizer.decode([i]) for i in stops if i != tokenizer.eos_token_id)
    assert len(stops) > 1
    assert PromptFormat(tokenizer, "chat").stop_ids() == [tokenizer.eos_token_id]


@pytest.mark.parametrize(
    ("user", "assistant", "end", "stop"),
    [
        ("Human: ", "Assistant: ", "\n\n", "\nHuman:"),
        ("USER: ", "ASSISTANT: ", "\n", "\nUSER:"),
        ("USER: ", "ASSISTANT: ", " ", "USER:"),
        ("\n\nHuman: ", "\n\nAssistant: ", "", "\nHuman:"),
        ("### Instruction:\n", "### Response:\n", "\n\n", "\n### Instruction:"),
        ("<human>: ", "<bot>: ", "\n", "\n<human>:"),
        ("Human: ", "Assistant: ", "\n</turn>\n", "\n</turn>"),
        ("<User>", "<AI>", "", "<User>"),
        ("Human: ", "Assistant: ", "</turn>\n", "</turn>"),
        ("", "", "\n", None),
    ],
)
def test_where_no_token_ends_a_turn_the_next_turn_does(
    tiny: Any, user: str, assistant: str, end: str, stop: Any
) -> None:
    _, tokenizer = tiny
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}"
        f"{{{{ {{'user': {user!r}, 'assistant': {assistant!r}}}[m['role']] + m['content'] + {end!r} }}}}"
        f"{{% endfor %}}{{% if add_generation_prompt %}}{{{{ {assistant!r} }}}}{{% endif %}}"
    )
    assert PromptFormat(tokenizer, "chat").stop_text() == stop


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("The film is Being Human: a comedy", None),
        ("Human: a comedy", None),
        ("So\n\nHuman: And you?", "So"),
        ("So\nHuman: And you?", "So"),
        ("東京\nHuman: And you?", "東京"),
        ("a\n\nb \n\nHuman: And you?", "a\n\nb"),
        ("Human\nHuman: And you?", "Human"),
        ("Being Human: a comedy\nHuman: And you?", "Being Human: a comedy"),
    ],
)
def test_an_answer_may_contain_the_words_of_the_next_header(tiny: Any, written: str, kept: Any) -> None:
    tokenizer = copy.deepcopy(tiny[1])
    tokenizer.chat_template = (
        "{% for m in messages %}{{ {'user': 'Human: ', 'assistant': 'Assistant: '}[m['role']] + m['content'] }}\n\n"
        "{% endfor %}{% if add_generation_prompt %}Assistant: {% endif %}"
    )
    prompt = PromptFormat(tokenizer, "chat")
    ids = prompt.answer_ids(written)
    answer = finished(prompt, ids, [0.0] * len(ids), prompt.stop_text())
    assert answer.text == (kept or written)
    assert len(answer.token_ids) == len(answer.token_logprobs) == len(prompt.answer_ids(kept or written))


def test_query_scores_equal_a_plain_forward_pass(tiny: Any) -> None:
    from calibration_tuning.lm.query import score_answers

    model, tokenizer = tiny
    prompt = PromptFormat(tokenizer, "text")
    block = prompt.few_shot_ids(SHOWN)
    sequences = [prompt.question_ids(q) + prompt.answer_ids(a) for q, a in [("Why?", "So"), ("Is it far?", "no, not")]]
    found = score_answers(model, prompt, block, sequences, batch_size=2)
    no, yes = prompt.answer_tokens
    for i, sequence in enumerate(sequences):
        with torch.no_grad():
            p = model(input_ids=torch.tensor([[*block, *sequence, *prompt.query_ids]])).logits[0, -1].softmax(-1)
        assert found.confidence[i] == pytest.approx((p[yes] / (p[yes] + p[no])).item(), abs=1e-5)
        assert found.mass[i] == pytest.approx((p[yes] + p[no]).item(), abs=1e-5)


def test_a_template_that_tells_the_date_tells_the_same_on_every_day(tiny: Any) -> None:
    tokenizer = tiny[1]
    dated = "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    tokenizer.chat_template = "Today: {{ date_string }}, {{ strftime_now('%d %b %Y') }}" + tokenizer.chat_template
    ids = PromptFormat(tokenizer, "chat").few_shot_ids([])
    assert tokenizer.decode(ids).startswith("Today: 26 Jul 2024, 26 Jul 2024<|im_start|>")
    tokenizer.chat_template = dated + "{{ date_string }}" + tokenizer.chat_template
    assert tokenizer.decode(PromptFormat(tokenizer, "chat").few_shot_ids([])).startswith("26 Jul 2024Today")
