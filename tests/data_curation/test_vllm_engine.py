"""The vLLM engine against a stand-in that does what vllm 0.33.0 does (vllm/entrypoints/llm.py, sampling_params.py,
v1/core/sched/utils.py)."""

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from calibration_tuning.config.engines import VllmEngine
from calibration_tuning.errors import UserError
from calibration_tuning.lm.answering import Answerer
from calibration_tuning.lm.generation import Answer
from calibration_tuning.lm.prompts import PromptFormat
from data_curation.answering import AnswerJournal, answer_all
from data_curation.engines import Failure, build_engine
from data_curation.engines.vllm import Vllm
from tests.data_curation.asking import BLOCKS, CHOICES, answers, ask, in_this_process, job
from tests.families.architectures import random_model
from tests.families.templates import TEMPLATES
from tests.families.tokenizers import tokenizer_of

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass
class SamplingParams:
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    logprobs: int | None = None
    prompt_logprobs: int | None = None

    def __post_init__(self) -> None:
        self.stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        self.stop_token_ids = list(dict.fromkeys(self.stop_token_ids or []))
        assert self.max_tokens is None or self.max_tokens >= 1


@dataclass
class FakeVllm:
    """A module in the place of vllm, whose LLM answers with the tiny model."""

    model: Any
    tokenizer: Any
    more_eos: set[int] = field(default_factory=set)
    """`eos_token_id` of generation_config.json, beside the tokenizer's own."""
    made: list[dict[str, Any]] = field(default_factory=list)
    environments: list[dict[str, str]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    """Prompts in each call of `generate`."""
    written: int = 0
    """Tokens generated so far."""

    def module(self) -> ModuleType:
        fake = self

        class LLM:
            def __init__(
                self,
                model: str,
                *,
                trust_remote_code: bool = False,
                tensor_parallel_size: int = 1,
                dtype: str = "auto",
                revision: str | None = None,
                seed: int = 0,
                gpu_memory_utilization: float = 0.92,
                enable_prefix_caching: bool | None = None,
                enable_chunked_prefill: bool | None = None,
            ) -> None:
                fake.made.append({name: value for name, value in locals().items() if name not in ("self", "fake")})
                fake.environments.append(dict(os.environ))
                self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=256))

            def generate(self, prompts: Any, sampling_params: Any = None, *, use_tqdm: bool = True) -> list[Any]:
                fake.calls.append(len(prompts))
                assert len(prompts) == len(sampling_params) > 0
                if any(len(prompt["prompt_token_ids"]) >= 256 for prompt in prompts):
                    raise ValueError("The decoder prompt is longer than the maximum model length of 256.")
                return [
                    fake.reply(prompt["prompt_token_ids"], params)
                    for prompt, params in zip(prompts, sampling_params, strict=True)
                ]

        module = ModuleType("vllm")
        module.LLM, module.SamplingParams = LLM, SamplingParams
        return module

    @torch.no_grad()
    def reply(self, prompt: list[int], params: SamplingParams) -> Any:
        stop = set(params.stop_token_ids or ())
        if not params.ignore_eos:
            stop |= {self.tokenizer.eos_token_id, *self.more_eos}
        generator = torch.Generator().manual_seed(params.seed) if params.seed is not None else None
        ids: list[int] = []
        steps: list[Any] = []
        while len(ids) < (params.max_tokens or 0):
            logits = self.model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0].float()
            last = logits[-1]
            token = int(last.argmax())
            if params.temperature >= 1e-5:
                p = (last / max(params.temperature, 0.01)).softmax(-1)
                token = int(torch.multinomial(p, 1, generator=generator))
            if not ids:
                scored = logits[:-1].log_softmax(-1)
            # Before temperature ("raw_logprobs"), the sampled token first, and with logprobs=0 it alone.
            ids.append(token)
            self.written += 1
            steps.append({token: SimpleNamespace(logprob=last.log_softmax(-1)[token].item())})
            # The token that ends the answer stays among the ids.
            if token in stop or any(end in self.tokenizer.decode(ids) for end in params.stop or ()):
                break
        prompt_logprobs = [
            None,
            *({t: SimpleNamespace(logprob=row[t].item())} for t, row in zip(prompt[1:], scored, strict=True)),
        ]
        output = SimpleNamespace(token_ids=ids, logprobs=None if params.logprobs is None else steps)
        offered = None if params.prompt_logprobs is None else prompt_logprobs
        return SimpleNamespace(prompt_token_ids=prompt, prompt_logprobs=offered, outputs=[output])


@pytest.fixture
def vllm(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    fake = FakeVllm(*tiny)
    install(fake, monkeypatch)
    return fake


def install(fake: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", fake.module())
    on(monkeypatch, is_cpu=False)


def on(monkeypatch: pytest.MonkeyPatch, is_cpu: bool, supported: Sequence[torch.dtype] = ()) -> None:
    """vLLM is on that platform."""
    platforms = ModuleType("vllm.platforms")
    platforms.current_platform = SimpleNamespace(is_cpu=lambda: is_cpu, supported_dtypes=supported)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)


def vllm_engine(vllm: FakeVllm, style: Any = "text", tensor_parallel_size: int = 1, **values: Any) -> Any:
    settings = VllmEngine(tensor_parallel_size=tensor_parallel_size, gpu_memory_utilization=0.5)
    return build_engine(settings, job(vllm.tokenizer, style, **values))


def assert_same(found: dict[str, Any], expected: dict[str, Answer]) -> None:
    assert found.keys() == expected.keys()
    for key, answer in expected.items():
        assert (found[key].text, found[key].token_ids) == (answer.text, answer.token_ids)
        assert found[key].token_logprobs == pytest.approx(answer.token_logprobs, abs=1e-4)
        assert (found[key].choice_logprobs is None) == (answer.choice_logprobs is None)
        assert found[key].choice_logprobs == pytest.approx(answer.choice_logprobs, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("style", ["text", "chat"])
@pytest.mark.parametrize("cloze", ["raw", "per_character"])
def test_vllm_answers_as_this_process_does(
    tiny: Any, vllm: FakeVllm, words: Callable[[str], None], style: Any, cloze: Any
) -> None:
    words("" if style == "chat" else " ")
    requests = [
        *(ask(f"Who is {n}?", "ab"[n % 2], tokens=4 + n % 2) for n in range(6)),
        *(ask(f"Why {n}?", "ab"[n % 2], multiline=True) for n in range(4)),
        *(ask(f"Which {n}?", "ab"[n % 2], style="cloze", choices=CHOICES[n % 3]) for n in range(6)),
    ]
    expected = in_this_process(tiny, requests, style, cloze=cloze)
    assert len({answer.text for answer in expected.values()}) > 5
    assert_same(answers(vllm_engine(vllm, style, cloze=cloze), requests), expected)
    assert vllm.calls == [10 + 2 * (3 + 2 + 5)]  # everything in one call: one prompt an answer, one for each choice
    [made] = vllm.made
    assert made == {
        "model": "tiny", "revision": "main", "dtype": "bfloat16", "trust_remote_code": False, "seed": 0,
        "tensor_parallel_size": 1, "gpu_memory_utilization": 0.5, "enable_prefix_caching": True,
        "enable_chunked_prefill": None,
    }  # fmt: skip


def test_on_a_cpu_prompts_are_read_whole(vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM 0.32 dies of a sampled answer whose prompt it has cut in two; `make vllm-test` shows that it lives."""
    on(monkeypatch, is_cpu=True)
    vllm_engine(vllm)
    assert [made["enable_chunked_prefill"] for made in vllm.made] == [False]


@pytest.mark.parametrize(
    ("asked", "is_cpu", "supported", "expected"),
    [
        ("auto", True, [torch.bfloat16, torch.float16, torch.float32], "float32"),
        ("auto", False, [torch.bfloat16, torch.float16, torch.float32], "bfloat16"),
        ("auto", False, [torch.float16, torch.float32], "float32"),  # Turing
        ("float16", True, [torch.bfloat16, torch.float32], "float16"),
    ],
)
def test_auto_is_the_dtype_that_the_model_in_this_process_has(
    vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch, asked: Any, is_cpu: bool, supported: list[Any], expected: str
) -> None:
    on(monkeypatch, is_cpu, supported)
    task = job(vllm.tokenizer)
    build_engine(VllmEngine(), dataclasses.replace(task, model=task.model.model_copy(update={"dtype": asked})))
    assert [made["dtype"] for made in vllm.made] == [expected]


@pytest.mark.parametrize(
    ("pieces", "several"),
    [
        ((":", " the", "\n", " capital", "<|im_end|>"), "the\n capital"),
        ((":", " the", "\n", "Question", ":"), "the"),  # the model goes on with a question of its own
    ],
)
def test_vllm_answers_of_several_lines(
    tiny: Any, vllm: FakeVllm, chain: Callable[..., None], pieces: Any, several: str
) -> None:
    chain(*pieces)
    requests = [ask("Who?", multiline=True, tokens=12), ask("Where?", tokens=12)]
    found = answers(vllm_engine(vllm), requests)
    assert {key: answer.text for key, answer in found.items()} == {"Where?#0": "the", "Who?#0": several}
    assert_same(found, in_this_process(tiny, requests))
    assert vllm.written < 8  # of 24


def test_vllm_does_not_end_answers_where_generation_config_says(
    tiny: Any, vllm: FakeVllm, chain: Callable[..., None]
) -> None:
    """It names further ends of text, which the other engines and training know nothing of."""
    chain(":", " the", " capital", " of", "<|im_end|>")
    vllm.more_eos = set(tiny[1].encode(" capital"))
    found = answers(vllm_engine(vllm), [ask("Who?")])
    assert found["Who?#0"].text == "the capital of"
    assert_same(found, in_this_process(tiny, [ask("Who?")]))


@pytest.mark.slow
def test_vllm_samples_do_not_depend_on_what_else_is_asked(tiny: Any, vllm: FakeVllm) -> None:
    requests = [ask(text, sample=sample) for text in ("Who?", "Where?") for sample in range(4)]
    engine = vllm_engine(vllm, seed=3, temperature=2.0)
    found = answers(engine, requests)
    assert answers(engine, requests[::-1]) == found
    assert answers(engine, requests[5:6]) == {requests[5].key: found[requests[5].key]}
    assert len({answer.text for answer in found.values()}) > 5
    assert answers(vllm_engine(vllm, seed=4, temperature=2.0), requests) != found
    assert_same({k: found[k] for k in ("Who?#0", "Where?#0")}, in_this_process(tiny, [requests[0], requests[4]]))
    model, tokenizer = tiny
    prompt_format = PromptFormat(tokenizer, "text")
    for request in requests:
        answer = found[request.key]
        prompt = prompt_format.few_shot_ids(BLOCKS["a"]) + prompt_format.question_ids(request.question.text)
        logprobs = model(input_ids=torch.tensor([[*prompt, *answer.token_ids]])).logits[0].log_softmax(-1)
        expected = [logprobs[len(prompt) - 1 + i, token].item() for i, token in enumerate(answer.token_ids)]
        assert answer.token_logprobs == pytest.approx(expected, abs=1e-4)  # at temperature 1


def test_vllm_leaves_out_only_what_is_too_long(vllm: FakeVllm, tmp_path: Path) -> None:
    long = "why " * 300
    requests = [ask("Who?"), ask(long), ask("Which?", style="cloze", choices=["the", long]), ask("Where?")]
    found = answer_all(lambda: vllm_engine(vllm), requests, AnswerJournal(tmp_path, "0"), "answering", "answers")
    assert [isinstance(found[request.key], Answer) for request in requests] == [True, False, False, True]
    assert found[requests[1].key] == Failure("longer than the 256 tokens that the model reads", lasting=True)
    only_long = answers(vllm_engine(vllm), requests[1:2])
    assert [failure.lasting for failure in only_long.values()] == [True]


@pytest.mark.slow
def test_vllm_room_for_one_token_is_enough(tiny: Any, vllm: FakeVllm) -> None:
    block = len(PromptFormat(tiny[1], "text").few_shot_ids(BLOCKS["a"]))
    lengths = {n: block + len(PromptFormat(tiny[1], "text").question_ids("a" * n)) for n in range(150, 260)}
    fits, too_long = (next(n for n, length in lengths.items() if length == wanted) for wanted in (255, 256))
    found = answers(vllm_engine(vllm), [ask("a" * fits), ask("a" * too_long)])
    assert [type(answer) for answer in found.values()] == [Answer, Failure]


def test_vllm_batches_keep_blocks_together(vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_curation.engines.vllm.BATCH", 4)
    requests = [ask(f"Who is {n}?", "ab"[n % 2]) for n in range(10)]
    batches = vllm_engine(vllm).batches(requests)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert "".join(request.block for batch in batches for request in batch) == "aaaaabbbbb"


def test_vllm_that_is_missing(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"curation.engine.kind: vllm .*run `make vllm`, then \.venv-vllm/bin/"):
        build_engine(VllmEngine(), job(tiny[1]))
    with pytest.raises(UserError, match=r"^curation\.judge\.engine\.kind: vllm "):
        build_engine(VllmEngine(), job(tiny[1], where="curation.judge.engine"))


LAUNCHED = {
    "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "here",
    "MASTER_PORT": "29500", "TORCHELASTIC_USE_AGENT_STORE": "True", "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}  # fmt: skip


@pytest.mark.parametrize(("gpus", "expected"), [(1, "5"), (2, "6,GPU-7")])
def test_each_process_has_its_own_vllm_and_gpus(
    vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch, gpus: int, expected: str
) -> None:
    for name, value in {**LAUNCHED, "CUDA_VISIBLE_DEVICES": "4,5,6,GPU-7", "VLLM_CACHE_ROOT": "/cache"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    vllm_engine(vllm, tensor_parallel_size=gpus)
    assert os.environ == before
    [inside] = vllm.environments
    assert inside["CUDA_VISIBLE_DEVICES"] == expected
    assert inside["VLLM_CACHE_ROOT"] == "/cache/process-1", "what is compiled at once is not written to the same files"
    assert (inside["VLLM_WORKER_MULTIPROC_METHOD"], inside["VLLM_ENABLE_V1_MULTIPROCESSING"]) == ("spawn", "1")
    assert not inside.keys() & (LAUNCHED.keys() - {"VLLM_ENABLE_V1_MULTIPROCESSING"})
    assert vllm.made[0]["tensor_parallel_size"] == gpus
    with pytest.raises(UserError, match=r"tensor_parallel_size: 3 GPUs for each process .*the 4 GPUs"):
        vllm_engine(vllm, tensor_parallel_size=3)


def test_the_environment_survives_a_vllm_that_cannot_start(vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**LAUNCHED, "CUDA_VISIBLE_DEVICES": "0,1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delattr(sys.modules["vllm"], "LLM")
    before = dict(os.environ)
    with pytest.raises(AttributeError):
        vllm_engine(vllm)
    assert os.environ == before


def test_one_process_leaves_the_environment_to_vllm(vllm: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    before = dict(os.environ)
    vllm_engine(vllm, tensor_parallel_size=2)
    assert vllm.environments == [before]


def test_the_mass_of_the_querys_answers(vllm: FakeVllm, tiny: Any) -> None:
    prompt_format = PromptFormat(tiny[1], "text")
    block = prompt_format.few_shot_ids(BLOCKS["a"])
    rows = [prompt_format.judged_ids(question) + prompt_format.answer_ids("So") for question in ("Why?", "Who is it?")]
    expected = Answerer(tiny[0], prompt_format, BLOCKS, 8).answer_mass(block, rows)
    assert vllm_engine(vllm).answer_mass(block, rows) == pytest.approx(expected, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["Qwen3", "R1"])
def test_a_thinking_model_writes_its_trace_first(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    template = TEMPLATES[family]
    tokenizer = tokenizer_of("byte-level BPE", template.special, template.text)
    model = random_model("Llama, SmolLM2", len(tokenizer))
    install(FakeVllm(model, tokenizer), monkeypatch)
    prompt_format = PromptFormat(tokenizer, "chat", thinking="on", thinking_tokens=7)
    engine = Vllm(VllmEngine(), dataclasses.replace(job(tokenizer, "chat"), prompt_format=prompt_format))
    requests = [ask("Why?", "b"), ask("Who is it?", "a"), ask("Which?", style="cloze", choices=CHOICES[0])]
    assert_same(answers(engine, requests), answers(Answerer(model, prompt_format, BLOCKS, 8), requests))
    traces = [answer.trace for answer in answers(engine, requests).values()]
    assert [trace is None for trace in traces].count(True) == 1, "a given choice is not thought about"
