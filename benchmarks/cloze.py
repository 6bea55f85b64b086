"""python -m benchmarks cloze: scored choices per second, ours against lm-evaluation-harness' `hf` model.

Each question's text is read once and its choices go on from copies of its cache, behind a few-shot block that is read
once; the harness reads block, question and choice anew for every choice. Questions: which country is this city in,
with five choices. float32; the largest difference between log-likelihoods is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.answering import MODEL
from benchmarks.paired import machine, paired, table
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.config.questions import MixtureEntry
from calibration_tuning.lm.batches import by_length
from calibration_tuning.lm.caches import encode_prefix
from calibration_tuning.lm.likelihood import continuation_logprobs
from calibration_tuning.lm.models import default_device, load_model, load_tokenizer
from calibration_tuning.lm.prompts import PromptFormat
from data_curation.question_sets import load_questions
from data_curation.selection import shuffled, take_demonstrations

OURS, HARNESS = "ours", "lm-evaluation-harness hf"


def main(
    questions: int = 48,
    choices: int = 5,
    shots: int = 5,
    pairs: Annotated[int, typer.Option(help="How often each side is run, after one warm-up.")] = 5,
    batch_size: int = 8,
) -> None:
    settings = ModelSettings(path=MODEL, dtype="float32", prompt_format="text")
    tokenizer = load_tokenizer(settings)
    prompt_format = PromptFormat.of(tokenizer, "text")
    model = load_model(settings).to(default_device())
    entry = MixtureEntry.model_validate({"set": "cities"})
    blocks, askable = take_demonstrations(load_questions(entry, None).questions, shots, "source", seed=0)
    block = blocks[entry.source]
    asked = shuffled(askable, 0)[:questions]
    countries = sorted({question.references[0] for question in askable})
    generator = np.random.default_rng(0)
    offered = [[q.references[0], *generator.choice(countries, choices - 1).tolist()] for q in asked]
    rows = [prompt_format.question_ids(question) for question in asked]
    continuations = [[prompt_format.answer_ids(choice) for choice in offers] for offers in offered]
    scores: dict[str, list[list[float]]] = {}

    def ours() -> None:
        with torch.no_grad():
            prefix = encode_prefix(model, prompt_format.few_shot_ids(block))
        logprobs: dict[int, list[float]] = {}
        for batch in by_length(list(map(len, rows)), batch_size):
            inputs = [rows[i] for i in batch], [continuations[i] for i in batch]
            for i, continued in zip(batch, continuation_logprobs(model, prefix, *inputs), strict=True):
                logprobs[i] = [sum(tokens) for tokens in continued]
        scores[OURS] = [logprobs[i] for i in range(len(rows))]

    prompts = [prompt_format.answer_text(block, question) for question in asked]
    harness = by_harness(model, tokenizer, prompts, offered, batch_size * choices)
    ways = {OURS: ours, HARNESS: lambda: scores.__setitem__(HARNESS, harness())}
    timings = paired(ways, pairs)
    off = np.abs(np.array(scores[OURS]) - np.array(scores[HARNESS])).max()
    print(
        f"{machine('transformers', 'lm_eval')}; {MODEL}, float32, {len(asked)} questions of {choices} choices, "
        f"{shots}-shot ({len(prompt_format.few_shot_ids(block))} tokens shared), {batch_size * choices} at a time"
    )
    print(f"log-likelihoods differ by {off:.1e} at most\n")
    speed = {name: f"{len(asked) * choices / timing.median:.1f}" for name, timing in timings.items()}
    print(table(timings, OURS, **{"choices/s": speed}))


def by_harness(
    model: object, tokenizer: object, prompts: list[str], offered: list[list[str]], batch_size: int
) -> Callable[[], list[list[float]]]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    hf = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)  # type: ignore[arg-type]
    pairs = [(prompt, f" {choice}") for prompt, offers in zip(prompts, offered, strict=True) for choice in offers]

    def run() -> list[list[float]]:
        requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
        flat = [score for score, _ in hf.loglikelihood(requests, disable_tqdm=True)]
        width = len(offered[0])
        return [flat[start : start + width] for start in range(0, len(flat), width)]

    return run


if __name__ == "__main__":
    typer.run(main)
