"""vLLM in this process: continuous batching and automatic prefix caching (its environment: `make vllm`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import exp
from pathlib import Path
from typing import Any

from calibration_tuning.config.engines import VllmEngine
from calibration_tuning.errors import UserError
from calibration_tuning.lm.answering import Request, uniforms
from calibration_tuning.lm.generation import Answer, end_tokens, finished, with_trace
from calibration_tuning.lm.likelihood import cloze_answer
from calibration_tuning.lm.models import cpu_multiplies_bfloat16
from calibration_tuning.lm.pypi_source import resolve_model_path
from calibration_tuning.runs.processes import process_count
from data_curation.engines import Failure, Finished, Job

# Large, as vLLM schedules within one call; small enough that a killed run loses little.
BATCH = 512

LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Vllm:
    """Prompts go in as token ids, so they are the very ones that the other engines and training use."""

    def __init__(self, settings: VllmEngine, job: Job) -> None:
        try:
            import vllm
        except ImportError as error:
            raise UserError(
                f"{job.where}.kind: vllm cannot be used ({error}); it needs an environment of its own: run `make "
                "vllm`, then .venv-vllm/bin/calibration-tuning curate CONFIG; the other stages run here as before"
            ) from None
        self._vllm: Any = vllm
        self._job = job
        with _gpus_of_process(settings.tensor_parallel_size, job.where):
            self._llm = vllm.LLM(
                model=resolve_model_path(job.model.path),
                revision=job.model.revision,
                dtype=_dtype(job.model.dtype),
                trust_remote_code=job.model.trust_remote_code,
                tensor_parallel_size=settings.tensor_parallel_size,
                gpu_memory_utilization=settings.gpu_memory_utilization,
                enable_prefix_caching=True,
                # vLLM rewinds a sampled answer's generator when it has read a part of the prompt. Those of CPUs cannot
                # be rewound (0.32: "CPU Generator does not use offset"), so there prompts are read whole.
                enable_chunked_prefill=False if _platform().is_cpu() else None,
                seed=job.seed,
            )
        self._longest: int = self._llm.llm_engine.model_config.max_model_len

    def batches(self, requests: Sequence[Request]) -> list[list[Request]]:
        """Requests in the order of their few-shot blocks, so that a block's cache is used while it is there."""
        ordered = sorted(requests, key=lambda request: request.kind)
        return [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]

    def answer(self, batches: Iterable[list[Request]]) -> Iterator[list[Finished]]:
        for batch in batches:
            prompts = {request.key: self._prompts(request) for request in batch}
            # A single prompt that is too long would make the whole call fail. There must be room for one token after
            # it.
            longest = self._longest - self._job.prompt_format.trace_room
            fitting = [request for request in batch if max(map(len, prompts[request.key])) < longest]
            traces = self._traces([request for request in fitting if request.question.style != "cloze"], prompts)
            for key, trace in traces.items():
                prompts[key] = [[*prompts[key][0], *self._job.prompt_format.closed_trace(trace.token_ids)]]
            asked = [(ids, self._parameters(request)) for request in fitting for ids in prompts[request.key]]
            outputs = iter(self._generate(asked) if asked else [])
            answers = {r.key: self._answer(r, [next(outputs) for _ in prompts[r.key]]) for r in fitting}
            answers |= {key: with_trace(answers[key], trace) for key, trace in traces.items()}
            too_long = Failure(f"longer than the {self._longest} tokens that the model reads", lasting=True)
            yield [(request, answers.get(request.key, too_long)) for request in batch]

    def answer_mass(self, block: Sequence[int], sequences: Sequence[Sequence[int]]) -> list[float]:
        prompt_format = self._job.prompt_format
        reading = self._vllm.SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)
        asked = [
            ([*block, *sequence, *prompt_format.query_ids, verdict], reading)
            for sequence in sequences
            for verdict in prompt_format.answer_tokens
        ]
        read = [
            exp(output.prompt_logprobs[-1][ids[-1]].logprob)
            for (ids, _), output in zip(asked, self._generate(asked), strict=True)
        ]
        return [no + yes for no, yes in zip(read[::2], read[1::2], strict=True)]

    def _generate(self, asked: Sequence[tuple[list[int], Any]]) -> Any:
        prompts = [{"prompt_token_ids": ids} for ids, _ in asked]
        return self._llm.generate(prompts, [parameters for _, parameters in asked], use_tqdm=False)

    def _traces(self, requests: Sequence[Request], prompts: Mapping[str, list[list[int]]]) -> dict[str, Answer]:
        """What a thinking model writes before its answers, by the keys of the requests; {} where it does not think."""
        prompt_format = self._job.prompt_format
        end = prompt_format.trace_end
        if end is None or not requests:
            return {}
        asked = [
            (prompts[r.key][0], self._writing(r, prompt_format.thinking_tokens, multiline=True, until=end))
            for r in requests
        ]
        outputs = self._generate(asked)
        return {r.key: self._written(output, True, end) for r, output in zip(requests, outputs, strict=True)}

    def _prompts(self, request: Request) -> list[list[int]]:
        """The one prompt of an answer that is written, or one for each choice with that choice in it."""
        prompt_format = self._job.prompt_format
        block = prompt_format.few_shot_ids(self._job.blocks.get(request.block, []))
        if request.question.style != "cloze":
            return [[*block, *prompt_format.question_ids(request.question)]]
        prompt = [*block, *prompt_format.answering_ids(request.question)]
        return [[*prompt, *prompt_format.answer_ids(choice)] for choice in request.question.choices or ()]

    def _parameters(self, request: Request) -> Any:
        if request.question.style == "cloze":
            return self._vllm.SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)
        return self._writing(request, request.max_new_tokens, request.question.multiline)

    def _writing(self, request: Request, max_tokens: int, multiline: bool, until: str | None = None) -> Any:
        """Of a text that ends like an answer, or with `until`."""
        prompt_format = self._job.prompt_format
        end = until or prompt_format.stop_text(multiline)
        # Each request has its own random seed, so that a sampled answer does not depend on the other requests.
        seed = int(uniforms(request, self._job.seed)[0] * 2**31)
        return self._vllm.SamplingParams(
            temperature=self._job.temperature if request.sample else 0.0,
            seed=seed,
            max_tokens=max_tokens,
            stop_token_ids=end_tokens(prompt_format, multiline, until),
            # Every end of text or turn is among the tokens above, those of generation_config.json too.
            ignore_eos=True,
            stop=None if end is None else [end],
            logprobs=0,
        )

    def _answer(self, request: Request, outputs: Sequence[Any]) -> Answer:
        prompt_format, multiline = self._job.prompt_format, request.question.multiline
        if request.question.style == "cloze":
            choices = list(request.question.choices or ())
            tokens = [prompt_format.answer_ids(choice) for choice in choices]
            steps = [output.prompt_logprobs[-len(ids) :] for output, ids in zip(outputs, tokens, strict=True)]
            return cloze_answer(choices, tokens, list(map(_logprobs, steps, tokens)), self._job.cloze)
        return self._written(outputs[0], multiline)

    def _written(self, request_output: Any, multiline: bool, until: str | None = None) -> Answer:
        prompt_format, output = self._job.prompt_format, request_output.outputs[0]
        ids = list(output.token_ids)
        logprobs = _logprobs(output.logprobs, ids)
        if ids and ids[-1] in end_tokens(prompt_format, multiline, until):
            ids, logprobs = ids[:-1], logprobs[:-1]
        return finished(prompt_format, ids, logprobs, until or prompt_format.stop_text(multiline))


def _dtype(name: str) -> str:
    """As `resolve_dtype` has it. vLLM's own `auto` is float16 for Llama-2, and 16 bits even on a CPU."""
    if name != "auto":
        return name
    import torch

    platform = _platform()
    multiplies = cpu_multiplies_bfloat16() if platform.is_cpu() else torch.bfloat16 in platform.supported_dtypes
    return "bfloat16" if multiplies else "float32"


def _platform() -> Any:
    """What vLLM runs on, without a question to torch.cuda, which would put a CUDA context into this process, and on
    the wrong GPU."""
    from vllm.platforms import current_platform

    return current_platform


def _logprobs(steps: Any, token_ids: Sequence[int]) -> list[float]:
    return [step[token].logprob for step, token in zip(steps, token_ids, strict=True)]


@contextmanager
def _gpus_of_process(count: int, where: str) -> Iterator[None]:
    """If torchrun or accelerate started several processes, each of them gets GPUs of its own for vLLM.

    vLLM's way (`external_launcher`) keeps all processes in step, so a process with fewer questions, or one that resumes
    after an interruption, would wait for ever. Here each process starts an independent vLLM, in a child process,
    because it may already belong to a process group itself.
    """
    if process_count() == 1:
        yield
        return
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    first = int(os.environ["LOCAL_RANK"]) * count
    if len(gpus) < first + count:
        raise UserError(
            f"{where}.tensor_parallel_size: {count} GPUs for each process are more than the {len(gpus)} "
            "GPUs of this machine; start fewer processes"
        )
    changed = {
        **dict.fromkeys([*LAUNCHER, *(name for name in os.environ if name.startswith("TORCHELASTIC_"))]),
        "CUDA_VISIBLE_DEVICES": ",".join(gpus[first : first + count]),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_CACHE_ROOT": str(_cache_root() / f"process-{first // count}"),
    }
    before = {name: os.environ.get(name) for name in changed}
    _set_environment(changed)
    try:
        yield
    finally:
        _set_environment(before)


def _cache_root() -> Path:
    """Where vLLM keeps what it compiles. It names the files by its rank, which is 0 in each of these processes, so that
    they would write the same files at once."""
    root = os.environ.get("VLLM_CACHE_ROOT")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) if root else Path(caches) / "vllm"


def _set_environment(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
