"""What would stop a run. A new check is a function of the run on paper and a line in `CHECKS`."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from calibration_tuning.config.run import ModelSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm.models import PYPI, context_length
from training.memory import GIB, counts
from training.preflight.machines import CONTEXT
from training.preflight.paper import Paper, fitting

SPARE = 2.0
"""Times the disk space that the files are expected to take."""


@dataclass(frozen=True)
class CheckResult:
    status: Literal["ok", "warning", "fails"]
    detail: str


def model(paper: Paper) -> CheckResult:
    trained, total = counts(paper.model)
    kind = paper.model.config.model_type
    return CheckResult("ok", f"{kind}, {total:,} parameters, {trained:,} of them trained ({trained / total:.2%})")


def answer_tokens(paper: Paper) -> CheckResult:
    no, yes = paper.prompt_format.answer_tokens
    return CheckResult("ok", f"the query's answers are one token each: {no} (no) and {yes} (yes)")


def chat_template(paper: Paper) -> CheckResult:
    has = bool(paper.tokenizer.chat_template)
    if paper.prompt_format.style == "chat":
        return CheckResult("ok", "asked through the tokenizer's chat template")
    return CheckResult(
        "ok", "asked in plain text" + ("; the tokenizer has a chat template, which is not used" if has else "")
    )


def curated_set(paper: Paper) -> CheckResult:
    if not paper.is_curated:
        return CheckResult("warning", f"{paper.config.curation_dir}: not there yet, so lengths below are assumed")
    correct = [row.correct for row in paper.rows["train"]]
    rate = sum(correct) / len(correct)
    sizes = ", ".join(f"{split} {len(rows):,}" for split, rows in paper.rows.items())
    if not 0.05 < rate < 0.95:
        return CheckResult(
            "warning", f"{sizes}; {rate:.1%} of the training answers are correct, nearly all one verdict"
        )
    return CheckResult("ok", f"{sizes}; {rate:.1%} of the training answers are correct")


def leakage(paper: Paper) -> CheckResult:
    if not paper.is_curated:
        return CheckResult("ok", "nothing curated yet")
    keys = {
        split: {*(f"group {row.group}" for row in rows), *(f"question {_plain(row.text)}" for row in rows)}
        for split, rows in paper.rows.items()
    }
    for first, second in combinations(keys, 2):
        if shared := sorted(keys[first] & keys[second]):
            detail = f"{len(shared)} questions or groups are in {first} and {second}: {shared[0][:60]}; curate again"
            return CheckResult("fails", detail)
    return CheckResult("ok", "no question and no group of questions is in two splits")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def supervision(paper: Paper) -> CheckResult:
    if not paper.is_curated:
        return CheckResult("ok", "nothing curated yet")
    train = paper.examples["train"]
    if empty := sum(not example.answer_length for example in train):
        return CheckResult("warning", f"{empty} of {len(train):,} answers are empty: only their verdict is learnt from")
    answers = sum(example.answer_length for example in train)
    return CheckResult("ok", f"{len(train):,} verdicts and {answers:,} answer tokens, at least one of each an example")


def context(paper: Paper) -> CheckResult:
    room = context_length(paper.model.config, paper.tokenizer)
    longest = max(max(split_lengths) for split_lengths in paper.lengths.values() if split_lengths) + paper.block_length
    if longest > room:
        return CheckResult("fails", f"{longest:,} tokens with the few-shot block, but the model reads {room:,}")
    assumed = "" if paper.is_curated else " (assumed)"
    return CheckResult("ok", f"the longest example is {longest:,} tokens{assumed}, the model reads {room:,}")


def batch(paper: Paper) -> CheckResult:
    size = paper.config.training.batch_size
    if size < paper.gpus:
        return CheckResult(
            "warning", f"{size} examples a step for {paper.gpus} GPUs: {paper.gpus - size} have nothing to do"
        )
    return CheckResult("ok", f"{size} examples a step, {size / paper.gpus:g} on each GPU")


def memory(paper: Paper) -> CheckResult:
    engines = fitting(paper)
    if engines:
        return CheckResult("ok", f"fits with {', '.join(engines)}")
    hint = "lower training.tokens_per_batch, or set gradient_checkpointing or model.load_in_4bit"
    return CheckResult("fails", f"fits with no strategy; {hint}")


def whole_model(paper: Paper) -> CheckResult:
    """Only training is ever split over GPUs."""
    needed, room = paper.base_bytes / GIB + CONTEXT, paper.gpu.memory
    detail = f"curation and evaluation put the whole model on each GPU: {needed:.1f} of {room:g} GiB"
    hint = "take a larger GPU" if paper.config.model.load_in_4bit else "set model.load_in_4bit, or take a larger GPU"
    return CheckResult("ok", detail) if needed < room else CheckResult("fails", f"{detail}; {hint}")


def disk(paper: Paper) -> CheckResult:
    from huggingface_hub.constants import HF_HUB_CACHE

    trained, _ = counts(paper.model)
    kept = paper.config.training.keep_checkpoints
    # Weights and moments of each checkpoint, the best, the finished adapter.
    wanted: dict[Path, float] = {paper.config.output_dir: trained * (12 * (kept + 1) + 4 * 2)}
    if not _is_here(paper.config.model.path) and not _is_cached(paper.config.model):
        wanted[Path(HF_HUB_CACHE)] = paper.file_bytes
    disks: dict[int, float] = defaultdict(float)
    for folder, size in wanted.items():
        disks[_existing(folder).stat().st_dev] += size
    details, is_short = [], False
    for folder, size in wanted.items():
        free = shutil.disk_usage(_existing(folder)).free
        is_short |= free <= SPARE * disks[_existing(folder).stat().st_dev]
        details.append(f"{free / GIB:.0f} GiB free at {folder}, about {size / GIB:.1f} GiB needed")
    return CheckResult("fails" if is_short else "ok", "; ".join(details))


def _existing(folder: Path) -> Path:
    return next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())


def _is_cached(model: ModelSettings) -> bool:
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(model.path, name, revision=model.revision), str) for name in names)


def _is_here(model: str) -> bool:
    return model.startswith(PYPI) or Path(model).is_dir()


def wandb(paper: Paper) -> CheckResult:
    settings = paper.config.tracking
    mode = settings.wandb if settings.to == "wandb" else f"not used (tracking.to: {settings.to})"
    if mode != "online":
        return CheckResult("ok", mode)
    import wandb

    if os.environ.get("WANDB_API_KEY") or wandb.login(prompt=False, verify=False):
        return CheckResult("ok", "online, and there is an API key")
    return CheckResult("fails", "online, but there is no API key: `wandb login`, or tracking.wandb=offline")


def hub(paper: Paper) -> CheckResult:
    from huggingface_hub import get_token

    if _is_here(paper.config.model.path):
        return CheckResult("ok", "the model is on this machine")
    if get_token():
        return CheckResult("ok", "there is a token")
    return CheckResult("warning", "no token: gated models cannot be fetched, nothing published; `hf auth login`")


CHECKS: dict[str, Callable[[Paper], CheckResult]] = {
    "model": model,
    "answer tokens": answer_tokens,
    "chat template": chat_template,
    "curated set": curated_set,
    "leakage": leakage,
    "supervision": supervision,
    "context": context,
    "batch": batch,
    "memory": memory,
    "whole model": whole_model,
    "disk": disk,
    "W&B": wandb,
    "hub": hub,
}


def findings(paper: Paper) -> Iterator[tuple[str, CheckResult]]:
    """One of every check; one that cannot be made, as a file is damaged or the model out of reach, fails."""
    for name, check in CHECKS.items():
        try:
            yield name, check(paper)
        except UserError as error:
            yield name, CheckResult("fails", str(error))
