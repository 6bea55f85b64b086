"""The parts of a prompt, joined, are what the family's tokenizer and template make of the whole of it."""

from __future__ import annotations

from typing import Any

import pytest

from calibration_tuning.errors import UserError
from calibration_tuning.lm.chat_template import ChatTemplate
from calibration_tuning.lm.prompts import NO, QUERY, YES, PromptFormat
from calibration_tuning.records import Demonstration, Question
from tests.families.conftest import Matrix
from tests.families.templates import CHANGES, FIRST, REFUSED, TEMPLATES, chatml_of
from tests.families.tokenizers import REAL, SMALL, WITH_TEMPLATE, as_it_came, tokenizer_of

TOKENIZERS = [*SMALL, *(pytest.param(kind, marks=pytest.mark.slow) for kind in REAL)]
SHOWN = [
    Demonstration(question="Who wrote it?", answer="Dante", correct=True),
    Demonstration(question="Why?", answer="7", correct=False),
]
# How a question and an answer begin and end decides what a tokenizer joins with what stands around them.
CONTENTS = [
    ("Which one?", "Paris"),
    ("  Which one? \n", " Paris\n"),
    ("a", "ii"),
    ("7 + 8 =", "15"),
    ("-3.5?", "−3.5"),
    ('"So"', '"No", he said.'),
    ("¿Qué?", "Él"),
    ("東京は？", "はい"),
    ("def f(x):\n    return x", "```\nx\n```"),
    ("👩‍🚀?", "🚀"),
]


def conversation(question: str, answer: str, verdict: str) -> list[dict[str, str]]:
    texts: list[str] = []
    for shown in SHOWN:
        texts += [shown.question, shown.answer, QUERY.strip(), YES if shown.correct else NO]
    texts += [question.strip(), answer.strip(), QUERY.strip(), verdict]
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def whole_ids(tokenizer: Any, style: str, question: str, answer: str, verdict: str) -> list[int]:
    """By the library alone: the conversation that its template renders, or the whole text."""
    if style == "chat":
        turns = conversation(question, answer, verdict)
        text = tokenizer.apply_chat_template(turns, tokenize=False, enable_thinking=False)
        return list(tokenizer(text, add_special_tokens=False).input_ids)
    return list(tokenizer(f"{text_before_query(question, answer)}{QUERY} {verdict}").input_ids)


def text_before_query(question: str, answer: str) -> str:
    text = ""
    for shown in SHOWN:
        text += f"Question: {shown.question}\nAnswer: {shown.answer}{QUERY} {YES if shown.correct else NO}\n\n"
    return f"{text}Question: {question.strip()}\nAnswer: {answer.strip()}"


def joined_ids(prompt: PromptFormat, question: str, answer: str) -> list[int]:
    return [
        *prompt.few_shot_ids(SHOWN),
        *prompt.judged_ids(question),
        *prompt.answer_ids(answer),
        *prompt.query_ids,
    ]


def parting(first: list[int], second: list[int]) -> int:
    return next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)


def joins_line_breaks(tokenizer: Any) -> bool:
    """Is a full stop with the line breaks behind it one token, as in Tekken, Qwen2.5's and Llama 3's vocabularies?"""
    return len(tokenizer(".\n\n", add_special_tokens=False).input_ids) == 1


def assert_joined(tokenizer: Any, prompt: PromptFormat, matrix: Matrix, row: str) -> None:
    for question, answer in CONTENTS:
        no, yes = (whole_ids(tokenizer, prompt.style, question, answer, verdict) for verdict in (NO, YES))
        border, ids = parting(no, yes), joined_ids(prompt, question, answer)
        assert prompt.answer_tokens == (no[border], yes[border])
        if prompt.style == "text" and joins_line_breaks(tokenizer):
            # An answer keeps the tokens that it was written in: its full stop and the query's line break stay two.
            before = tokenizer(text_before_query(question, answer)).input_ids
            yes, border = [*before, *prompt.query_ids], len(before) + len(prompt.query_ids)
        assert tokenizer.convert_ids_to_tokens(ids) == tokenizer.convert_ids_to_tokens(yes[:border]), question
        # A row with earlier turns is asked as a loaded checkpoint asks a conversation.
        row_of = row_with_turns(question)
        said = prompt.few_shot_ids(SHOWN, row_of.earlier)
        for asked in (prompt.question_ids, prompt.answering_ids, prompt.judged_ids):
            assert [*prompt.few_shot_ids(SHOWN), *asked(row_of)] == [*said, *asked(question)], asked
    prompt.check_earlier_turns()
    differs = prompt.style == "text" and joins_line_breaks(tokenizer)
    matrix.add(row, "prompt ids", "equal, but for a full stop before the query" if differs else "equal")
    matrix.add(row, "verdict's token")


def row_with_turns(question: str) -> Question:
    turns = [Demonstration(question=" Who was Dante?", answer="A poet.\n"), Demonstration(question="7", answer="x")]
    names = {"id": "1", "source": "a", "subject": "a", "group": "a", "grader": "exact"}
    return Question(question=question, references=["x"], earlier=turns, **names)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_text(kind: str, matrix: Matrix) -> None:
    tokenizer = tokenizer_of(kind)
    prompt = PromptFormat(tokenizer, "text")
    assert_joined(tokenizer, prompt, matrix, "text")
    question = prompt.answer_text(SHOWN, "Which one?")
    ids = prompt.few_shot_ids(SHOWN) + prompt.question_ids("Which one?")
    assert ids == tokenizer(question).input_ids, "servers that tokenize the text see the same"
    stops, line = set(prompt.stop_ids()), tokenizer("a\nb", add_special_tokens=False).input_ids
    assert tokenizer.eos_token_id in stops
    assert stops & {*line}, "a line break"
    matrix.add("text", "end of a turn", "found")


@pytest.mark.parametrize("family", TEMPLATES)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_chat(kind: str, family: str, matrix: Matrix) -> None:
    template = TEMPLATES[family]
    tokenizer = tokenizer_of(kind, template.special, template.text)
    prompt = PromptFormat(tokenizer, "chat")
    assert_joined(tokenizer, prompt, matrix, family)
    before = tokenizer.decode(joined_ids(prompt, "Which one?", "Paris"))
    # Some tokenizers write a space after special tokens; one before the verdict belongs to the verdict's token.
    assert before.replace(" ", "").endswith(template.before_verdict.replace(" ", ""))
    end = tokenizer.eos_token if template.turn_end == "EOS" else template.turn_end
    assert tokenizer.convert_tokens_to_ids(end) in prompt.stop_ids()
    matrix.add(family, "end of a turn", "found")


@pytest.mark.slow
@pytest.mark.parametrize("kind", WITH_TEMPLATE)
def test_the_template_that_a_tokenizer_brings(kind: str, matrix: Matrix) -> None:
    tokenizer, row = as_it_came(kind), "SmolLM2, Qwen2.5"
    prompt = PromptFormat(tokenizer, "chat")
    assert_joined(tokenizer, prompt, matrix, row)
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in prompt.stop_ids()
    matrix.add(row, "end of a turn", "found")


@pytest.mark.parametrize("family", TEMPLATES)
def test_answers_are_written_where_they_are_judged(family: str) -> None:
    """The prompt for an answer is the beginning of a conversation with that answer, but for traces of reasoning."""
    template = TEMPLATES[family]
    tokenizer = tokenizer_of("byte-level BPE", template.special, template.text)
    prompt = PromptFormat(tokenizer, "chat")
    asked, judged = (tokenizer.decode(ids) for ids in (prompt.question_ids("Why?"), prompt.judged_ids("Why?")))
    assert asked.replace("<think>\n\n</think>\n\n", "") == judged
    assert ("<think>" in asked) == template.thinks


NO_SYSTEM = ("Gemma",)
"""These templates raise at a system message."""


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_system_message_is_shown_or_refused(family: str) -> None:
    """Behind the examples and the earlier turns of a conversation, what is asked is what the template renders."""
    template = TEMPLATES[family]
    tokenizer = tokenizer_of("byte-level BPE", template.special, template.text)
    plain = PromptFormat(tokenizer, "chat")
    if family in NO_SYSTEM:
        with pytest.raises(UserError, match=r"^system message: "):
            plain.with_system("Be brief.")
    for prompt in [plain] if family in NO_SYSTEM else [plain, plain.with_system("Be brief.")]:
        system = [{"role": "system", "content": prompt.system_prompt}] if prompt.system_prompt else []
        earlier = Demonstration(question="Who?", answer="Ann")
        turns = conversation("Which one?", "Paris", YES)
        said = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann"}]
        text = tokenizer.apply_chat_template(
            [*system, *turns[:-4], *said, *turns[-4:]], tokenize=False, enable_thinking=False
        )
        whole = tokenizer(text, add_special_tokens=False).input_ids
        joined = [*prompt.few_shot_ids(SHOWN, [earlier]), *prompt.judged_ids("Which one?")]
        joined += [*prompt.answer_ids("Paris"), *prompt.query_ids]
        assert joined == whole[: len(joined)]
        assert whole[len(joined)] == prompt.answer_tokens[1]


@pytest.mark.parametrize("case", REFUSED)
def test_templates_that_cannot_be_used_are_refused(case: str) -> None:
    template, said = REFUSED[case]
    with pytest.raises(UserError, match=said):
        PromptFormat(tokenizer_of("byte-level BPE", ("<|im_start|>", "<|im_end|>"), template), "chat")


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("what", FIRST)
def test_a_first_question_of_its_own_is_refused_where_it_is_cut_in_another_way(what: str, kind: str) -> None:
    tokenizer = tokenizer_of(kind, (), REFUSED[f"a first question with {what}"][0])
    try:
        prompt = PromptFormat(tokenizer, "chat")
    except UserError:
        return
    for question, answer in CONTENTS:
        no, yes = (whole_ids(tokenizer, "chat", question, answer, verdict) for verdict in (NO, YES))
        assert joined_ids(prompt, question, answer) == yes[: parting(no, yes)]


NAMED = {
    "one named default": ({"default": TEMPLATES["Zephyr"].text, "tool_use": "{{ 1 }}"}, None),
    "none named default": (
        {"tool_use": TEMPLATES["Zephyr"].text, "rag": "{{ 1 }}"},
        r"\(rag, tool_use\) is named default",
    ),
}


@pytest.mark.parametrize("case", NAMED)
@pytest.mark.parametrize("style", ["auto", "chat"])
def test_of_several_templates_the_default_is_used(style: str, case: str) -> None:
    templates, refused = NAMED[case]
    tokenizer = tokenizer_of("byte-level BPE")
    tokenizer.chat_template = templates
    if refused is None:
        plain = PromptFormat(tokenizer_of("byte-level BPE", (), templates["default"]), "chat")
        assert PromptFormat.of(tokenizer, style).question_ids("Why?") == plain.question_ids("Why?")
        return
    with pytest.raises(UserError, match=refused):
        PromptFormat.of(tokenizer, style)
    with pytest.raises(UserError, match=refused):
        _ = ChatTemplate(tokenizer).can_think


SYSTEM_CHANGES = {
    **{what: f"({change}) if m['role'] == 'system' else m['content']" for what, change in CHANGES.items()},
    "left out words": "m['content'].replace('/think', '') if m['role'] == 'system' else m['content']",
}


@pytest.mark.parametrize("what", SYSTEM_CHANGES)
def test_a_system_message_that_the_template_changes_is_refused(what: str) -> None:
    tokenizer = tokenizer_of("byte-level BPE", TEMPLATES["Zephyr"].special, chatml_of(SYSTEM_CHANGES[what]))
    prompt = PromptFormat(tokenizer, "chat")
    with pytest.raises(UserError, match=r"^system message: .* does not show it"):
        prompt.with_system("Be brief. /think")


def test_a_system_message_without_what_the_template_leaves_out_is_shown() -> None:
    """As SmolLM3, which takes its switches out of system messages."""
    tokenizer = tokenizer_of("byte-level BPE", (), chatml_of(SYSTEM_CHANGES["left out words"]))
    assert "Be brief." in tokenizer.decode(PromptFormat(tokenizer, "chat").with_system("Be brief.").few_shot_ids(()))


@pytest.mark.parametrize("style", ["text", "chat"])
@pytest.mark.parametrize("kind", ["byte-level BPE", "SentencePiece with a space before"])
def test_special_tokens_in_contents_stay_text(kind: str, style: Any) -> None:
    template = TEMPLATES["SmolLM2, Qwen2.5"]
    tokenizer = tokenizer_of(kind, template.special, template.text)
    prompt = PromptFormat(tokenizer, style)
    control = {tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|im_start|>", tokenizer.eos_token)}
    text = f"Is {tokenizer.eos_token} or <|im_end|> the end?"

    def control_tokens(ids: list[int]) -> int:
        return sum(token in control for token in ids)

    for part in (prompt.question_ids, prompt.judged_ids, prompt.answer_ids):
        assert control_tokens(part(text)) == control_tokens(part("Is it the end?"))
        assert text in tokenizer.decode(part(text))
    blocks = [
        prompt.few_shot_ids([Demonstration(question=shown, answer=shown, correct=True)]) for shown in (text, "Why?")
    ]
    assert control_tokens(blocks[0]) == control_tokens(blocks[1])


def test_ends_are_those_of_the_template_and_of_the_settings() -> None:
    """SmolLM2 with another end of text: a turn ends as its template says, and as generation_config says."""
    template = TEMPLATES["SmolLM2, Qwen2.5"]
    tokenizer = tokenizer_of("byte-level BPE", template.special, template.text)
    turn_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert PromptFormat(tokenizer, "chat").stop_ids() == sorted([tokenizer.eos_token_id, turn_end])
    assert set(PromptFormat(tokenizer, "text", ends=(5, 6)).stop_ids()) >= {5, 6, tokenizer.eos_token_id}
    tokenizer.eos_token = None
    assert PromptFormat(tokenizer, "chat").stop_ids() == [turn_end]


def test_a_thinking_model_is_let_think_or_is_stopped() -> None:
    for family in ("Qwen3", "R1"):
        template = TEMPLATES[family]
        tokenizer = tokenizer_of("byte-level BPE", template.special, template.text)
        off, on = (PromptFormat(tokenizer, "chat", thinking=value) for value in ("off", "on"))
        assert tokenizer.decode(off.question_ids("Why?")).endswith("<think>\n\n</think>\n\n"), family
        assert not tokenizer.decode(on.question_ids("Why?")).endswith("</think>\n\n"), family
        assert off.judged_ids("Why?") == on.judged_ids("Why?")
        assert off.query_ids == on.query_ids


@pytest.mark.parametrize("family", ["text", *(name for name, template in TEMPLATES.items() if not template.thinks)])
def test_thinking_is_refused_where_the_template_knows_of_none(family: str, matrix: Matrix) -> None:
    template = TEMPLATES.get(family, TEMPLATES["Qwen3"])
    tokenizer = tokenizer_of("byte-level BPE", template.special, template.text)
    with pytest.raises(UserError, match=r"model.thinking: on, but .* no trace"):
        PromptFormat(tokenizer, "text" if family == "text" else "chat", thinking="on")
    matrix.add(family, "thinking on", "refused")
