"""What somebody does who has a checkpoint: answers, choices, confidences, thresholds."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import expit

from calibration_tuning import CalibratedAnswer, CalibratedModel
from calibration_tuning.checkpoint import load_checkpoint, read_record
from calibration_tuning.claims import claim_question
from calibration_tuning.conversation import Conversation
from calibration_tuning.errors import UserError
from calibration_tuning.lm.generation import Answer, Decoding
from calibration_tuning.lm.likelihood import continuation_logprobs
from calibration_tuning.lm.models import adapter_off
from calibration_tuning.lm.prompts import QUERY
from calibration_tuning.records import Demonstration
from calibration_tuning.thresholds import Threshold, Thresholds

pytestmark = pytest.mark.slow
CHOICES = ["3", "a long wrong one", "17"]


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> CalibratedModel:
    return CalibratedModel.from_pretrained(tiny_run / "checkpoint", device="cpu")


def test_an_answer_comes_from_the_choices(model: CalibratedModel) -> None:
    questions = ["What is 1 plus 2?", "Why?", "What is 8 plus 9?"]
    found = model.answer_batch(questions, [CHOICES, None, CHOICES[:2]])
    assert found[0].text in CHOICES
    assert found[2].text in CHOICES[:2]
    for question, choices, answer in zip(questions, [CHOICES, None, CHOICES[:2]], found, strict=True):
        alone = model.answer(question, choices)
        assert alone.text == answer.text
        assert alone.confidence == pytest.approx(answer.confidence, abs=1e-5)


@pytest.mark.parametrize("by", ["per_character", "raw"])
def test_a_choice_is_the_likeliest_of_the_untuned_model_as_in_curation(
    model: CalibratedModel, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "record", model.record.model_copy(update={"cloze": by}))
    question = "What is 1 plus 2?"
    block = model.prompt_format.few_shot_ids(model.record.answer_few_shot)
    scores = []
    for choice in CHOICES:
        before = [*block, *model.prompt_format.question_ids(question)]
        own = model.prompt_format.answer_ids(choice)
        with adapter_off(model.model), torch.no_grad():
            logprobs = model.model(torch.tensor([[*before, *own]])).logits.log_softmax(-1)[0]
        total = sum(float(logprobs[len(before) + i - 1, token]) for i, token in enumerate(own))
        scores.append(total / len(choice) if by == "per_character" else total)
    assert model.answer(question, CHOICES).text == CHOICES[int(np.argmax(scores))]
    assert by == "per_character" or int(np.argmax(scores)) != int(np.argmax(scores / np.array(list(map(len, CHOICES)))))


def test_blanks_around_a_choice_do_not_count(model: CalibratedModel) -> None:
    for number, choice in enumerate(CHOICES):
        padded = [*CHOICES[:number], f" {choice}{' ' * 40}", *CHOICES[number + 1 :]]
        answer = model.answer("What is 8 plus 9?", choices=padded)
        assert answer.text.strip() == model.answer("What is 8 plus 9?", choices=CHOICES).text


def test_a_given_answer_is_judged_like_the_models_own(model: CalibratedModel) -> None:
    assert 0 <= model.confidence("What is 1 plus 2?", "3") <= 1
    judged = model.judge_batch(["What is 1 plus 2?", "Why?"], ["3", "no"])
    assert [one.text for one in judged] == ["3", "no"]
    assert judged[0].confidence == pytest.approx(model.confidence("What is 1 plus 2?", "3"), abs=1e-5)


def test_claims_are_judged_by_the_query_with_the_whole_answer(model: CalibratedModel) -> None:
    answer = "It is 3. It is odd, and\n- a prime"
    judged = model.claims("What is 1 plus 2?", answer, context="Ann counts.")
    assert [answer[claim.start : claim.end] for claim in judged.claims] == [claim.text for claim in judged.claims]
    assert [claim.text for claim in judged.claims] == ["It is 3.", "It is odd, and", "a prime"]
    prompt, record = model.prompt_format, model.record
    asked = claim_question("Ann counts.\nWhat is 1 plus 2?", answer)
    no, yes = prompt.answer_tokens
    for claim in judged.claims:
        block = prompt.few_shot_ids(record.query_few_shot)
        ids = [*block, *prompt.judged_ids(asked), *prompt.answer_ids(claim.text), *prompt.query_ids]
        with torch.no_grad():
            logits = model.model(torch.tensor([ids])).logits[0, -1].double()
        logit = np.array([float(logits[yes] - logits[no])])
        expected = record.calibrator(logit) if model.readout is None else expit(logit)
        assert claim.confidence == pytest.approx(float(expected[0]), abs=1e-4)
    for wrong, message in (("...", "holds no sentence"), ("word " * 3000, "more than the")):
        with pytest.raises(UserError, match=message):
            model.claims("What is 1 plus 2?", wrong)


def test_thresholds_are_those_of_the_report(tiny_run: Path, model: CalibratedModel) -> None:
    found = json.loads((tiny_run / "checkpoint/thresholds.json").read_text())
    metrics = json.loads((tiny_run / "evaluation/metrics.json").read_text())
    assert [one["error_rate"] for one in found["rates"]] == [0.1, 0.9]
    for one, rate in zip(found["rates"], metrics["decisions"]["rates"], strict=True):
        assert one["threshold"] == rate["after"]["threshold"]
    strict = CalibratedModel.from_pretrained(tiny_run / "checkpoint", device="cpu", error_rate=0.1)
    assert strict.threshold == Threshold.model_validate(found["rates"][0])
    vouched = [one for one in found["rates"] if one["threshold"] is not None]
    assert model.threshold == (Threshold.model_validate(vouched[0]) if vouched else None)


def test_choices_of_long_questions_are_read_a_few_at_a_time(
    model: CalibratedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, offered = ["What is 1 plus 2?", "What is 8 plus 9?"], [CHOICES, ["17", "71", "3", "a long wrong one"]]
    encoded = [model.prompt_format.question_ids(question) for question in questions]
    together = model._chosen(encoded, offered, [])
    monkeypatch.setattr("calibration_tuning.lm.choosing.MAX_BATCH_TOKENS", 40)
    widths: list[int] = []
    plain = continuation_logprobs

    def counted(*arguments: Any) -> Any:
        widths.append(sum(map(len, arguments[-1])))
        return plain(*arguments)

    monkeypatch.setattr("calibration_tuning.lm.choosing.continuation_logprobs", counted)
    apart = model._chosen(encoded, offered, [])
    assert len(widths) > 2
    assert max(widths) < 4
    for one, other in zip(together, apart, strict=True):
        assert one.text == other.text
        assert one.choice_logprobs == pytest.approx(other.choice_logprobs, abs=1e-5)


def test_the_adapter_does_not_pass_through_the_first_gpu(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """peft would infer "cuda" there, which is the first GPU for each of eight processes."""

    def infer() -> str:
        raise AssertionError("peft chooses the device")

    monkeypatch.setattr("peft.peft_model.infer_device", infer)
    monkeypatch.setattr("peft.utils.save_and_load.infer_device", infer)
    loaded = CalibratedModel.from_pretrained(tiny_run / "checkpoint", device="cpu")
    assert {p.device.type for p in loaded.model.parameters()} == {"cpu"}


def test_a_checkpoint_of_another_machine_is_loaded_as_this_one_can(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_run / "checkpoint", folder)
    (folder / "SHA256SUMS").unlink()
    record = json.loads((folder / "calibration.json").read_text())
    made_on = {"load_in_4bit": True, "attn_implementation": "flash_attention_2"}
    (folder / "calibration.json").write_text(json.dumps(record | {"model": record["model"] | made_on}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"from_pretrained\(\.\.\., load_in_4bit=False\)"):
        CalibratedModel.from_pretrained(folder, device="cpu")
    here = CalibratedModel.from_pretrained(
        folder, device="cpu", load_in_4bit=False, attn_implementation="sdpa", dtype="bfloat16"
    )
    assert here.model.dtype == torch.bfloat16
    with pytest.raises(UserError, match=r"checkpoint, dtype: Input should be"):
        CalibratedModel.from_pretrained(folder, device="cpu", load_in_4bit=False, dtype="bf16")


def test_another_precision_than_it_was_calibrated_in_is_said(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration_tuning.lm.models.cpu_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    folder = tiny_run / "checkpoint"
    record = read_record(folder)
    record = record.model_copy(update={"model": record.model.model_copy(update={"dtype": "auto"})})
    with pytest.warns(RuntimeWarning, match="calibrated in float32, and dtype: auto is bfloat16"):
        assert load_checkpoint(folder, record=record).model.dtype == torch.bfloat16
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert load_checkpoint(folder, record=record, changes={"dtype": "float32"}).model.dtype == torch.float32


def test_answers_from_the_threshold_on_are_trusted(tiny_run: Path, model: CalibratedModel) -> None:
    rows = pq.read_table(tiny_run / "evaluation/per_example.parquet").to_pylist()
    questions, answers = [row["question"] for row in rows], [row["answer"] for row in rows]
    logits, _ = model._logits(questions, [model.prompt_format.answer_ids(answer) for answer in answers])
    middle = float(np.median(expit(logits))) + 1e-9
    model.threshold = Threshold(error_rate=0.5, threshold=middle, coverage=0.5, error=0.5)
    found = [one.trusted for one in model.judge_batch(questions, answers)]
    assert 0 < sum(map(bool, found)) < len(found)
    model.threshold = Threshold(error_rate=0.1, threshold=None, coverage=0, error=None)
    assert model.judge_batch(questions[:1], answers[:1])[0].trusted is None
    model.threshold = None
    assert model.answer("Why?").trusted is None


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_bad_checkpoints_and_questions_are_one_sentence(tiny_run: Path, tmp_path: Path, model: CalibratedModel) -> None:
    with pytest.raises(UserError, match=r"error_rate 0.3: the checkpoint has thresholds for 0.1, 0.9"):
        CalibratedModel.from_pretrained(tiny_run / "checkpoint", error_rate=0.3)
    copy = tmp_path / "checkpoint"
    shutil.copytree(tiny_run / "checkpoint", copy)
    change(copy / "thresholds.json", confidence="x")
    with pytest.raises(UserError, match=r"thresholds.json, confidence"):
        CalibratedModel.from_pretrained(copy)
    (copy / "thresholds.json").unlink()
    assert CalibratedModel.from_pretrained(copy, device="cpu").answer("Why?").trusted is None
    with pytest.raises(UserError, match="was not evaluated"):
        CalibratedModel.from_pretrained(copy, error_rate=0.1)
    with pytest.raises(UserError, match="at least two"):
        model.answer("Why?", choices=["one"])
    with pytest.raises(UserError, match="more than the 512 the model reads"):
        model.answer("Why? " * 600)
    with pytest.raises(UserError, match="more than the 512 the model reads"):
        model.confidence("Why?", "so " * 600)


def test_the_strictest_threshold_that_is_vouched_for_is_taken() -> None:
    def rate(error_rate: float, threshold: float | None) -> Threshold:
        return Threshold(error_rate=error_rate, threshold=threshold, coverage=0.1, error=None)

    own = {"inputs_fingerprint": "x", "confidence": 0.9, "n_calibration": 9}
    found = Thresholds(**own, rates=[rate(0.05, None), rate(0.2, 0.7), rate(0.1, 0.8)])
    assert found.of(None) == rate(0.1, 0.8)
    assert found.of(0.2) == rate(0.2, 0.7)
    assert found.of(0.05) == rate(0.05, None), "asked for, though none is vouched for"
    assert Thresholds(**own, rates=[rate(0.05, None)]).of(None) is None
    with pytest.raises(UserError, match=r"thresholds for 0\.05, 0\.2, 0\.1"):
        found.of(0.3)


def test_the_tokenizers_limit_counts_too(model: CalibratedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curation leaves out what is longer than either limit; so must whoever loads the checkpoint."""
    monkeypatch.setattr(model.prompt_format.tokenizer, "model_max_length", 100)
    with pytest.raises(UserError, match="more than the 100 the model reads"):
        model.confidence("What is " * 20, "3")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens: is 0; pass a whole number from 1 on"),
        ({"max_new_tokens": -5}, "max_new_tokens: is -5; pass a whole number"),
        ({"max_new_tokens": 2.5}, "max_new_tokens: is 2.5; pass a whole number"),
        ({"max_new_tokens": True}, "max_new_tokens: is True; pass a whole number"),
        ({"choices": "ab"}, "choices: is a str; pass a list"),
        ({"choices": ["Paris", None]}, "choices 0: is a str; pass a list"),
        ({"choices": [None, [3, 4]]}, "choices 1: must be at least two texts, none of them empty"),
        ({"choices": [None, ["a", " "]]}, "choices 1: must be at least two texts"),
        ({"choices": [None, {"A": "a", "B": "b"}]}, "choices 1: is a struct with the fields A, B; pass a list"),
        ({"choices": [["x", "y"]]}, "choices: there are 1 for 2 questions; pass one for each"),
        ({"contexts": "ab"}, "contexts: is a str; pass a list"),
        ({"contexts": ["Ann."]}, "contexts: there are 1 for 2 questions"),
        ({"contexts": [None, " "]}, "context 1: is empty"),
        ({"contexts": [None, 3]}, "context 1: is an int, not text"),
        ({"questions": "ab"}, "questions: is a str; pass a list"),
        ({"questions": None}, "questions: is a NoneType; pass a list"),
        ({"answers": "ab"}, "answers: is a str; pass a list"),
        ({"answers": ["So"]}, "answers: there are 1 for 2 questions"),
        ({"answers": ["So", None]}, "answer 1: is a NoneType, not text"),
        ({"answers": ["So", 3]}, "answer 1: is an int, not text"),
    ],
)
def test_wrong_arguments_are_one_sentence(model: CalibratedModel, given: dict[str, Any], words: str) -> None:
    ask = model.judge_batch if "answers" in given else model.answer_batch
    with pytest.raises(UserError, match=f"^{re.escape(words)}"):
        ask(**{"questions": ["Why?", "Who?"]} | given)


def test_wrong_arguments_of_single_questions(model: CalibratedModel) -> None:
    for ask in (model.confidence, model.claims):
        with pytest.raises(UserError, match=r"^answer 0: is an int, not text"):
            ask("Why?", 3)
    with pytest.raises(UserError, match=r"^choices 0: is a str; pass a list"):
        model.answer("Where?", choices="Paris")
    assert model.answer_batch(("Why?",), max_new_tokens=np.int64(1))[0].tokens == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"device": "gpu"}, "device: 'gpu' cannot be used (Expected one of cpu, cuda"),
        ({"device": "cuda:99"}, "device: 'cuda:99' cannot be used ("),
        ({"device": "meta"}, "device: 'meta' cannot be used ("),
        ({"device": ["cpu"]}, "device: ['cpu'] cannot be used ("),
        ({"revision": "v1"}, "revision: 'v1', but "),
    ],
)
def test_wrong_arguments_for_loading(tiny_run: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(words)}"):
        CalibratedModel.from_pretrained(tiny_run, **given)


LONG = "Why? " * 85
"""A question that fits into the context of 512 tokens with the examples of an answer, but not twice."""


@pytest.mark.parametrize(
    ("shown", "questions", "choices", "words"),
    [
        ([LONG], ["Who?", LONG], None, "question 1: takes"),
        ([LONG], ["Who?", LONG], [None, CHOICES], "question 1: takes"),
        ([], ["Why?", "Who?"], [None, ["So", ""]], "choices 1: must be"),
        ([], ["Why?", "Who?"], [None, ["So", "so " * 300]], "question 1: takes"),
    ],
)
def test_nothing_is_answered_before_all_questions_are_checked(
    model: CalibratedModel,
    monkeypatch: pytest.MonkeyPatch,
    shown: list[str],
    questions: list[str],
    choices: Any,
    words: str,
) -> None:
    """The query's block may be longer than the one for answers."""
    judged = [Demonstration(question=question, answer="So.", correct=True) for question in shown]
    monkeypatch.setattr(model, "record", model.record.model_copy(update={"query_few_shot": judged}))
    monkeypatch.setattr("calibration_tuning.checkpoint_model.generate_answers", None)
    with pytest.raises(UserError, match=f"^{words}"):
        model.answer_batch(questions, choices)


def test_batches_are_limited_in_tokens(model: CalibratedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    questions, answers = [f"What is {n} plus 2?" for n in range(4)], ["3"] * 4
    together = model.answer_batch(questions)
    sizes: list[tuple[str, int]] = []

    def counted(module: str, name: str, rows: int) -> None:
        plain = getattr(importlib.import_module(module), name)

        def count(*arguments: Any) -> Any:
            sizes.append((name, len(arguments[rows])))
            return plain(*arguments)

        monkeypatch.setattr(f"{module}.{name}", count)

    lm = "calibration_tuning.lm"
    for module, name in ((f"{lm}.generation", "write_answers"), (f"{lm}.query", "score_batch")):
        counted(module, name, 3)
        monkeypatch.setattr(f"{module}.MAX_BATCH_TOKENS", 100)
    counted(f"{lm}.reading", "read_batch", 2)
    monkeypatch.setattr("calibration_tuning.checkpoint_model.MAX_BATCH_TOKENS", 100)
    apart = model.answer_batch(questions)
    monkeypatch.setattr(model, "readout", SimpleNamespace(record=SimpleNamespace(layers=(1,))))
    model._read(questions, [model.prompt_format.answer_ids(answer) for answer in answers])
    assert {name for name, _ in sizes} == {"write_answers", "score_batch", "read_batch"}
    assert all(1 <= size < 4 for _, size in sizes), sizes
    for one, other in zip(together, apart, strict=True):
        assert one.text == other.text
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)


def test_answers_of_several_lines(model: CalibratedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a checkpoint that was tuned on programs."""
    poem = [{"question": "Write a line.", "answer": "Roses\nare red."}]
    with pytest.raises(UserError, match="example 1, answer: has a line break"):
        model.show(poem)
    record = model.record.model_copy(update={"multiline": True, "max_new_tokens": 40})
    monkeypatch.setattr(model, "record", record)
    monkeypatch.setattr(model, "examples", model.examples)
    model.show(poem)
    decodings = []

    def generate(lm: Any, prompt: Any, block: Any, rows: Any, decoding: Decoding, batch_size: int) -> list[Answer]:
        decodings.append(decoding)
        return [Answer("a\nb", [5, 6], [0.0, 0.0]) for _ in rows]

    monkeypatch.setattr("calibration_tuning.checkpoint_model.generate_answers", generate)
    assert model.answer("Why?").text == "a\nb"
    assert decodings == [Decoding(40, multiline=True)]


HEAVY = ("wandb", "datasets", "datasketch", "math_verify", "gguf", "rapidfuzz", "sklearn", "matplotlib", "pandas")
"""Packages of the extra `pipeline`."""


@pytest.mark.slow
def test_a_checkpoint_is_used_without_what_makes_one(tiny_run: Path) -> None:
    code = (
        f"import sys; sys.modules |= dict.fromkeys({(*HEAVY, 'pyarrow', 'fastapi', 'openai')})\n"
        "from calibration_tuning import CalibratedModel\n"
        f"model = CalibratedModel.from_pretrained({str(tiny_run)!r}, device='cpu')\n"
        "print(model.answer('Why?').confidence, model.answer('Why?', ['a', 'b']).text, model.confidence('Why?', 'So'))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[1] in ("a", "b")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("", "question 0: is empty"),
        (" \n", "question 0: is empty"),
        ([{"role": "user", "content": "Why?"}], "question 0: is a list, not text; pass the text, or messages="),
        ({"content": "Why?"}, "question 0: is a struct with the fields content, not text"),
        (7, "question 0: is an int, not text"),
    ],
)
def test_a_question_is_text(model: CalibratedModel, question: Any, words: str) -> None:
    for ask in (model.answer, lambda question: model.confidence(question, "So")):
        with pytest.raises(UserError, match=f"^{words}"):
            ask(question)


TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 1 plus 1?"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "And plus 2?"},
]


def test_a_conversation_is_read_after_the_examples(model: CalibratedModel) -> None:
    """The query of the whole prompt as one text, by the library alone."""
    record, (no, yes) = model.record, model.record.answer_tokens
    text = "Be brief.\n\n" + "".join(
        f"Question: {d.question}\nAnswer: {d.answer}{QUERY} {'ii' if d.correct else 'i'}\n\n"
        for d in record.query_few_shot
    )
    text += f"Question: What is 1 plus 1?\nAnswer: 2\n\nQuestion: And plus 2?\nAnswer: 4{QUERY}"
    with torch.no_grad():
        logits = model.model(torch.tensor([model.prompt_format.tokenizer(text).input_ids])).logits[0, -1]
    expected = float(record.calibrator(np.array([float(logits[yes] - logits[no])]))[0])
    assert model.confidence(messages=TALK, answer="4") == pytest.approx(expected, abs=1e-5)


def test_conversations_among_questions(model: CalibratedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is answered as if it were alone; only single questions are as those that thresholds were found on."""
    always = Threshold(error_rate=0.5, threshold=0.0, coverage=1, error=0.5)
    monkeypatch.setattr(model, "threshold", always)
    variants = [TALK, TALK[1:], [TALK[0], TALK[3]], TALK[3:]]
    together = model.answer_batch(["Why?", *map(Conversation.of, variants), "Why not?"])
    alone = [model.answer("Why?"), *(model.answer(messages=m) for m in variants), model.answer("Why not?")]
    for one, other in zip(together, alone, strict=True):
        assert one.text == other.text
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
    # System message and earlier turns are read: no two variants have the same confidence.
    assert len({round(float(np.log(one.confidence)), 3) for one in together[1:5]}) == 4
    assert [one.trusted for one in together] == [True, None, None, None, True, True]
    assert model.answer(messages=TALK[3:]) == model.answer("And plus 2?")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"question": "Why?", "messages": TALK}, "question: give either a question or messages"),
        ({}, "question: give either a question or messages"),
        ({"messages": "Why?"}, "messages: is a str; pass a list"),
        ({"messages": TALK[:3]}, "messages: the last one must be the user's"),
    ],
)
def test_a_question_or_a_conversation(model: CalibratedModel, given: dict[str, Any], words: str) -> None:
    for ask in (model.answer, lambda **given: model.confidence(answer="So", **given)):
        with pytest.raises(UserError, match=f"^{re.escape(words)}"):
            ask(**given)
    with pytest.raises(UserError, match=r"^answer: is missing"):
        model.confidence("Why?")


def test_questions_about_passages(model: CalibratedModel) -> None:
    passages = ["Ann has 3 boats.", None]
    questions = ["How many boats has Ann?", "Why?"]
    judged = model.judge_batch(questions, ["3", "So"], passages)
    whole = model.judge_batch([f"{passages[0]}\n{questions[0]}", questions[1]], ["3", "So"])
    assert [one.confidence for one in judged] == [one.confidence for one in whole]
    with pytest.raises(UserError, match=r"^context 0: is empty"):
        model.answer("Why?", context=" ")


@pytest.mark.parametrize(("familiar", "is_unfamiliar"), [(None, False), (0.0, True), (0.0999, True), (0.1, False)])
def test_unfamiliar_is_below_a_tenth(familiar: float | None, is_unfamiliar: bool) -> None:
    assert CalibratedAnswer("So", 0.5, familiar=familiar).is_unfamiliar == is_unfamiliar
