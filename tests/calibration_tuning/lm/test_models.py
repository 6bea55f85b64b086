"""Logits of a model in bfloat16: those that are subtracted from each other are projected in float32."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.integrations import deepspeed

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm import models
from calibration_tuning.lm.caches import encode_prefix
from calibration_tuning.lm.identity import model_identity
from calibration_tuning.lm.likelihood import continuation_logprobs
from calibration_tuning.lm.models import float32_logits, vocabulary_logits
from calibration_tuning.lm.prompts import PromptFormat
from calibration_tuning.lm.pypi_source import resolve_model_path
from calibration_tuning.lm.query import score_answers
from calibration_tuning.lm.reading import read_answers

WIDTH, VOCABULARY, TOKENS = 64, 20_000, (7, 12_000)
QUIRKS: dict[str, dict[str, float]] = {
    "plain": {},
    "scaled, as Cohere": {"logit_scale": 0.25},
    "divided, as Granite": {"logits_scaling": 4.0},
    "capped, as Gemma 2": {"final_logit_softcapping": 30.0},
}


class Model(nn.Module):
    """A language model as far as its vocabulary projection goes."""

    def __init__(self, bias: bool = False, **settings: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=bias).bfloat16()
        with torch.no_grad():  # the two answers are alike, so that their logits are large and differ by little
            no, yes = TOKENS
            self.head.weight[no] = 1
            self.head.weight[yes] = 1 + torch.randn(WIDTH) / 32
        text = SimpleNamespace(**settings)
        self.config = SimpleNamespace(get_text_config=lambda: text)

    def get_output_embeddings(self) -> nn.Module:
        return self.head


def states(count: int = 200) -> Tensor:
    """Hidden states that give logits in the twenties, where bfloat16 knows eighths."""
    return (0.3 + torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(1))).bfloat16()


def in_double(model: Model, hidden: Tensor) -> Tensor:
    """The logits by their definition, in double precision."""
    head, settings = model.head, model.config.get_text_config()
    logits = hidden.double() @ head.weight.double().T
    if head.bias is not None:
        logits = logits + head.bias.double()
    logits = logits * getattr(settings, "logit_scale", 1.0) / getattr(settings, "logits_scaling", 1.0)
    cap = getattr(settings, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)


def log_odds(logits: Tensor) -> Tensor:
    return logits[:, TOKENS[1]] - logits[:, TOKENS[0]]


@pytest.mark.slow
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
def test_the_difference_of_two_logits_is_not_rounded(quirk: dict[str, float], bias: bool) -> None:
    model, hidden = Model(bias, **quirk), states()
    expected = in_double(model, hidden)
    rounded = vocabulary_logits(model, hidden)
    assert (log_odds(rounded) - log_odds(expected)).abs().max() > 0.02, "this is what the fix is for"
    assert quirk or len(log_odds(rounded).unique()) < 100
    whole = vocabulary_logits(model, hidden, exact=None)
    for logits in (vocabulary_logits(model, hidden, exact=TOKENS), float32_logits(model, hidden), whole):
        assert logits.dtype == torch.float32
        assert len(log_odds(logits).unique()) == 200
        torch.testing.assert_close(log_odds(logits), log_odds(expected).float(), atol=1e-4, rtol=1e-5)
    for logits in (float32_logits(model, hidden), whole):
        torch.testing.assert_close(logits, expected.float(), atol=1e-4, rtol=1e-5)
    others = [token for token in range(VOCABULARY) if token not in TOKENS]
    assert torch.equal(vocabulary_logits(model, hidden, exact=TOKENS)[:, others], rounded[:, others])


@pytest.mark.slow
def test_autocast_does_not_round_them_either() -> None:
    model, hidden = Model().float(), states().float()
    expected = in_double(model, hidden)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert len(log_odds(vocabulary_logits(model, hidden)).unique()) < 100
        exact = vocabulary_logits(model, hidden, exact=TOKENS)
        whole = float32_logits(model, hidden)
        every = vocabulary_logits(model, hidden, exact=None)
    for logits in (exact, whole, every):
        torch.testing.assert_close(log_odds(logits), log_odds(expected).float(), atol=1e-4, rtol=1e-5)


def test_float32_stays_as_it_was_to_the_last_bit() -> None:
    model, hidden = Model(bias=True).float(), states().float()
    expected = model.head(hidden)
    assert torch.equal(vocabulary_logits(model, hidden, exact=TOKENS), expected)
    assert torch.equal(float32_logits(model, hidden), expected)
    assert torch.equal(vocabulary_logits(model, hidden, exact=None), expected)


@pytest.mark.slow
def test_likelihoods_of_answer_tokens_are_not_rounded_and_neither_are_divergences() -> None:
    """The divergence of nearly the same states: what rounding adds to it is of its size."""
    model, hidden = Model(), states()
    other = (
        hidden.float() * (1 + 0.01 * torch.randn(hidden.shape, generator=torch.Generator().manual_seed(3)))
    ).bfloat16()

    def divergence(logits_of: Any) -> Tensor:
        tuned, base = (logits_of(part).log_softmax(-1) for part in (other, hidden))
        return (base.exp() * (base - tuned)).sum(-1)

    expected = divergence(lambda part: in_double(model, part))
    rounded = divergence(lambda part: vocabulary_logits(model, part))
    whole = divergence(lambda part: vocabulary_logits(model, part, exact=None))
    assert (rounded - expected).abs().mean() > 0.1 * expected.mean(), "this is what the fix is for"
    torch.testing.assert_close(whole, expected.float(), atol=1e-4, rtol=1e-3)


def test_gradients_of_all_logits_go_through_the_head() -> None:
    model = Model()
    model.requires_grad_(False)
    hidden = states(3).requires_grad_()
    vocabulary_logits(model, hidden, exact=None).log_softmax(-1)[:, 5].sum().backward()
    plain = states(3).double().requires_grad_()
    in_double(model, plain).log_softmax(-1)[:, 5].sum().backward()
    torch.testing.assert_close(hidden.grad.double(), plain.grad, atol=0.02, rtol=0.02)


def test_gradients_are_those_of_the_float32_projection() -> None:
    model = Model()
    model.requires_grad_(False)
    hidden = states(3).requires_grad_()
    log_odds(vocabulary_logits(model, hidden, exact=TOKENS)).sum().backward()
    rows = model.head.weight[list(TOKENS)].float()
    torch.testing.assert_close(hidden.grad, (rows[1] - rows[0]).bfloat16().expand(3, -1))


@pytest.mark.slow
def test_a_weight_that_is_whole_only_in_the_forward_pass() -> None:
    """As ZeRO-3 does it: hooks gather the weight before the head's forward pass, and free it after."""
    model, hidden = Model(), states()
    expected = vocabulary_logits(model, hidden, exact=TOKENS)
    every = vocabulary_logits(model, hidden, exact=None)
    whole, freed = model.head.weight.data, torch.empty(0, dtype=torch.bfloat16)
    model.head.weight.data = freed

    def gather(module: Any, inputs: Any) -> None:
        module.weight.data = whole

    def free(module: Any, inputs: Any, output: Any) -> None:
        module.weight.data = freed

    model.head.register_forward_pre_hook(gather)
    model.head.register_forward_hook(free)
    assert torch.equal(vocabulary_logits(model, hidden, exact=TOKENS), expected)
    assert torch.equal(vocabulary_logits(model, hidden, exact=None), every)
    assert not model.head.weight.numel()
    assert torch.equal(float32_logits(model, hidden), vocabulary_logits(model, hidden)), "not whole: the head's own"


class Packed(nn.Linear):
    """A quantised head, as bitsandbytes has it: codes for a weight, and a forward pass that reads them."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input)


@pytest.mark.slow
def test_a_quantised_head_gives_what_it_gives() -> None:
    model, hidden = Model(), states()
    expected = vocabulary_logits(model, hidden)
    packed = Packed(WIDTH, VOCABULARY, bias=False).bfloat16()
    packed.load_state_dict(model.head.state_dict())
    model.head = packed
    assert torch.equal(vocabulary_logits(model, hidden, exact=TOKENS), expected)
    assert torch.equal(float32_logits(model, hidden), expected)


@pytest.mark.slow
def test_confidences_and_likelihoods_of_a_model_in_bfloat16(tiny: tuple[Any, Any]) -> None:
    """Against its own hidden states: with what is left, answers that differ have confidences that differ."""
    model, tokenizer = tiny
    model = model.to(torch.bfloat16)
    # The tiny model's logits are small; trained ones are not.
    model.get_output_embeddings().weight.data.mul_(64)
    prompt = PromptFormat(tokenizer, "text")
    questions = [prompt.question_ids(f"What is {n} plus {n}?") for n in range(60)]
    answers = [prompt.answer_ids(str(2 * n)) for n in range(60)]
    found = score_answers(model, prompt, [], [q + a for q, a in zip(questions, answers, strict=True)], 16)
    assert len(np.unique(found.logit)) > 50
    assert (found.mass <= 1).all()
    read = read_answers(model, [], questions, answers, [1], 16).token_logprobs
    prefix = encode_prefix(model, [])
    continued = continuation_logprobs(model, prefix, questions, [[answer] for answer in answers])
    firsts = [row[0] for row in read]
    assert len(set(firsts)) > 50
    assert len({parts[0][0] for parts in continued}) > 50
    assert max(firsts) <= 0


@pytest.mark.parametrize(
    "name",
    ["chat_template.jinja", "tokenizer_config.json", "generation_config.json", "tokenizer.model", "modeling_own.py"],
)
def test_a_folder_is_another_model_when_a_file_beside_its_weights_changes(tmp_path: Path, name: str) -> None:
    settings = ModelSettings(path=str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_text("a")
    before = model_identity(settings)
    (tmp_path / "README.md").write_text("not read by the model")
    assert model_identity(settings) == before
    (tmp_path / name).write_text("b")
    assert model_identity(settings) != before


@pytest.mark.parametrize("path", ["/nowhere/model", "./nowhere", "../nowhere"])
def test_a_folder_that_does_not_exist_is_no_name_on_the_hub(path: str) -> None:
    for load in (models.load_tokenizer, models.load_model, model_identity):
        with pytest.raises(UserError, match=rf"^model\.path: {path}: no such folder$"):
            load(ModelSettings(path=path))


def test_names_and_folders_are_paths_of_models(tmp_path: Path) -> None:
    for path in ("org/model", "model", "runs/none", str(tmp_path), f"{tmp_path}/."):
        assert resolve_model_path(path) == path


@pytest.mark.parametrize(
    ("device", "installed", "expected"),
    [
        (None, True, None),
        ("cpu", True, None),
        ("cuda:3", True, {"": torch.device("cuda:3")}),
        ("cuda:3", False, None),
    ],
)
def test_weights_are_read_straight_onto_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
    tiny_model_path: Path,
    device: str | None,
    installed: bool,
    expected: dict[str, torch.device] | None,
) -> None:
    """Llama-2 is stored in float16: eight processes that convert it on the CPU take 8 x 13.5 GB of memory."""
    told: dict[str, Any] = {}

    class Loaded:
        def to(self, where: torch.device) -> Loaded:
            told["to"] = where
            return self

        def eval(self) -> Loaded:
            return self

    def load(path: str, **settings: Any) -> Loaded:
        told.update(settings)
        return Loaded()

    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", load)
    monkeypatch.setattr(models, "find_spec", lambda name: object() if installed else None)
    where = None if device is None else torch.device(device)
    models.load_model(ModelSettings(path=str(tiny_model_path)), where)
    assert told["device_map"] == expected
    assert told.get("to") == where


@pytest.mark.parametrize(("trusted", "ends"), [(True, (5, 7)), (False, ())])
def test_ends_in_a_configuration_with_code_of_its_own(tmp_path: Path, trusted: bool, ends: tuple[int, ...]) -> None:
    own = {"auto_map": {"AutoConfig": "own.Own"}, "model_type": "own", "eos_token_id": [7, 5]}
    (tmp_path / "config.json").write_text(json.dumps(own))
    code = "from transformers import PretrainedConfig\nclass Own(PretrainedConfig):\n    model_type = 'own'\n"
    (tmp_path / "own.py").write_text(code)
    assert models.load_ends(ModelSettings(path=str(tmp_path), trust_remote_code=trusted)) == ends


@pytest.mark.parametrize(("device", "in_shares"), [(None, True), (torch.device("cpu"), False)])
def test_zero_3_cuts_the_model_under_training_only(
    monkeypatch: pytest.MonkeyPatch, tiny_model_path: Path, device: torch.device | None, in_shares: bool
) -> None:
    """The states that the readout learns from are read from a whole model. On a GPU that reading failed at first."""
    monkeypatch.setattr(deepspeed, "_hf_deepspeed_config_weak_ref", lambda: SimpleNamespace(is_zero3=lambda: True))
    in_shares_while_loading = []

    def note(*paths: str, **settings: Any) -> nn.Module:
        in_shares_while_loading.append(deepspeed.is_deepspeed_zero3_enabled())
        return nn.Linear(1, 1)

    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", note)
    models.load_model(ModelSettings(path=str(tiny_model_path)), device)
    assert in_shares_while_loading == [in_shares]
    assert deepspeed.is_deepspeed_zero3_enabled(), "as before"


@pytest.mark.parametrize(
    ("capability", "amx", "avx512_bf16", "expected"),
    [
        ("AVX512", True, False, torch.bfloat16),
        ("AVX512", False, True, torch.bfloat16),
        ("AVX512", False, False, torch.float32),
        ("AVX2", True, True, torch.float32),  # it has them, and torch was told to do without
        ("DEFAULT", False, False, torch.float32),
    ],
)
def test_auto_is_bfloat16_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capability: str, amx: bool, avx512_bf16: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    assert models.resolve_dtype("auto") == expected
    assert models.resolve_dtype("float32") == torch.float32
