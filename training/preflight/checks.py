"""Each check looks for a problem that would stop a run. To add a check, write a function and a line in `CHECKS`."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from calibration_tuning.curated_set import curation_folder
from calibration_tuning.errors import RunError, UserError
from calibration_tuning.lm.caches import check_window
from calibration_tuning.lm.models import context_length
from calibration_tuning.lm.pypi_source import PYPI
from calibration_tuning.runs.files import nearest_existing
from calibration_tuning.tracking.wandb_tracker import wandb_mode
from training.memory import GIB, counts
from training.preflight import surroundings
from training.preflight.machines import CONTEXT, SHARDINGS, Sharding
from training.preflight.paper import Paper, fitting
from training.preflight.untuned import answer_mass as untuned_mass
from training.preflight.untuned import is_cached, not_asked_because
from training.preflight.work import keeps_reference, larger_batch
from training.reference import states_size
from training.setup import TRAINING_SPLITS

SPARE = 2.0
"""How many times the expected size of the files must be free on the disk."""
BUSY = 0.9
"""A lower share of the time in which the GPUs compute is said."""


@dataclass(frozen=True)
class CheckResult:
    status: Literal["ok", "warning", "fails", "skipped"]
    detail: str


def model(paper: Paper) -> CheckResult:
    trained, total = counts(paper.model)
    if paper.unreachable is not None:
        return CheckResult("fails", str(paper.unreachable))
    kind = paper.model.config.model_type
    return CheckResult("ok", f"{kind}, {total:,} parameters, {trained:,} of them trained ({trained / total:.2%})")


def answer_tokens(paper: Paper) -> CheckResult:
    no, yes = paper.prompt_format.answer_tokens
    return CheckResult("ok", f"the query's two answers are single tokens: {no} (no) and {yes} (yes)")


def chat_template(paper: Paper) -> CheckResult:
    if paper.prompt_format.style == "chat":
        return CheckResult("ok", "prompts use the tokenizer's chat template")
    unused = "; the tokenizer's chat template is not used" if paper.tokenizer.chat_template else ""
    return CheckResult("ok", f"prompts are plain text{unused}")


def answer_mass(paper: Paper) -> CheckResult:
    """Check that the untuned model answers the query with one of its two answers, if its weights are here."""
    if reason := not_asked_because(paper):
        return CheckResult("ok", f"not measured: {reason}")
    mean, n, warning = untuned_mass(paper)
    if warning:
        return CheckResult("warning", warning)
    return CheckResult(
        "ok", f"the untuned model answers the query with one of its two answers: mass {mean:.2f} (mean of {n})"
    )


def curated_set(paper: Paper) -> CheckResult:
    if not paper.is_curated:
        return CheckResult("warning", f"{curation_folder(paper.config)}: does not exist yet, so lengths are assumed")
    correct = [row.correct for row in paper.rows["train"]]
    rate = sum(correct) / len(correct)
    sizes = ", ".join(f"{split} {len(rows):,}" for split, rows in paper.rows.items())
    if not 0.05 < rate < 0.95:
        return CheckResult(
            "warning", f"{sizes}; {rate:.1%} of the training answers are correct, so nearly all verdicts are the same"
        )
    return CheckResult("ok", f"{sizes}; {rate:.1%} of the training answers are correct")


def leakage(paper: Paper) -> CheckResult:
    if not paper.is_curated:
        return CheckResult("ok", "nothing curated yet")
    asked = lambda row: f"question {_plain(row.background + row.text)}"  # noqa: E731
    keys = {
        split: {*(f"group {row.group}" for row in rows), *map(asked, rows)}
        for split, rows in {**paper.rows, "evaluation": paper.evaluation_rows}.items()
    }
    for first, second in combinations(keys, 2):
        if shared := sorted(keys[first] & keys[second]):
            detail = f"{len(shared)} questions or groups are in both {first} and {second}: {shared[0][:60]}"
            return CheckResult("fails", f"{detail}; curate again")
    return CheckResult("ok", "no question and no group of questions is in two splits")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def supervision(paper: Paper) -> CheckResult:
    if not paper.is_curated:
        return CheckResult("ok", "nothing curated yet")
    train = paper.examples["train"]
    if empty := sum(not example.answer_length for example in train):
        return CheckResult("warning", f"{empty} of {len(train):,} answers are empty; only their verdicts are trained")
    answers = sum(example.answer_length for example in train)
    return CheckResult("ok", f"{len(train):,} verdicts and {answers:,} answer tokens; every example has both")


def context(paper: Paper) -> CheckResult:
    room = context_length(paper.model.config, paper.tokenizer)
    longest = max(max(split_lengths) for split_lengths in paper.lengths.values() if split_lengths) + paper.block_length
    if longest > room:
        detail = f"the longest example has {longest:,} tokens with the few-shot block, but the model reads {room:,}"
        return CheckResult("fails", f"{detail}; use fewer query demonstrations or remove the question")
    if paper.layout(_likely(paper)).shared_block:
        read = max(max(paper.lengths[split], default=0) for split in TRAINING_SPLITS)
        check_window(paper.model.config, paper.block_length + read)
    assumed = "" if paper.is_curated else " (assumed)"
    return CheckResult("ok", f"the longest example has {longest:,} tokens{assumed}; the model reads {room:,}")


def batch(paper: Paper) -> CheckResult:
    size = paper.config.training.batch_size
    if size < paper.gpus:
        return CheckResult(
            "warning",
            f"{size} examples a step for {paper.gpus} GPUs: {paper.gpus - size} GPUs have nothing to do; raise "
            "training.batch_size or use fewer GPUs",
        )
    detail = f"{size} examples a step, {size / paper.gpus:g} on each GPU"
    sharding = _likely(paper)
    if (busy := paper.planned(sharding).busy) < BUSY:
        detail = f"{detail}; passes of unequal size leave the GPUs busy {busy:.0%} of the time"
    advice = larger_batch(paper, sharding) if paper.fits(sharding) else None
    return CheckResult("ok", detail if advice is None else f"{detail}; {advice}")


def _likely(paper: Paper) -> Sharding:
    """Return the first strategy that fits, as those that split less come first; without one, that which splits most."""
    return SHARDINGS[next(iter(fitting(paper)), "FSDP2")]


def memory(paper: Paper) -> CheckResult:
    engines = fitting(paper)
    if engines:
        return CheckResult("ok", f"fits with {', '.join(engines)}")
    hint = "lower training.tokens_per_batch, or set training.gradient_checkpointing or model.load_in_4bit"
    return CheckResult("fails", f"does not fit with any strategy; {hint}")


def whole_model(paper: Paper) -> CheckResult:
    """Check that the whole model fits on each GPU. Only training splits it."""
    needed, room = paper.base_bytes / GIB + CONTEXT, paper.gpu.memory
    detail = f"curation and evaluation put the whole model on each GPU: {needed:.1f} of {room:g} GiB"
    hint = "use a larger GPU" if paper.config.model.load_in_4bit else "set model.load_in_4bit, or use a larger GPU"
    return CheckResult("ok", detail) if needed < room else CheckResult("fails", f"{detail}; {hint}")


def disk(paper: Paper) -> CheckResult:
    from huggingface_hub.constants import HF_HUB_CACHE

    trained, _ = counts(paper.model)
    checkpoints = paper.config.training.keep_checkpoints
    # Weights and moments of each kept checkpoint, the best weights, the finished adapter, and the reference's states.
    files = trained * (12 * (checkpoints + 1) + 4 * 2)
    if paper.is_curated and keeps_reference(paper):
        width = paper.model.config.get_text_config().hidden_size
        files += states_size(paper.examples["train"], width, paper.dtype.itemsize)
    wanted: dict[Path, float] = {paper.config.output_dir: files}
    if not _is_here(paper.config.model.path) and not is_cached(paper.config.model):
        wanted[Path(HF_HUB_CACHE)] = paper.file_bytes
    disks: dict[int, float] = defaultdict(float)
    for folder, size in wanted.items():
        disks[nearest_existing(folder).stat().st_dev] += size
    details, is_short = [], False
    for folder, size in wanted.items():
        free = shutil.disk_usage(nearest_existing(folder)).free
        is_short |= free <= SPARE * disks[nearest_existing(folder).stat().st_dev]
        details.append(f"{free / GIB:.0f} GiB free at {folder}, about {size / GIB:.1f} GiB needed")
    if is_short:
        hint = "free some space, or move output_dir or the hub's cache (HF_HOME) to a larger disk"
        return CheckResult("fails", f"{'; '.join(details)}, {SPARE:g} times as much must be free; {hint}")
    return CheckResult("ok", "; ".join(details))


def _is_here(model: str) -> bool:
    return model.startswith(PYPI) or Path(model).is_dir()


def wandb(paper: Paper) -> CheckResult:
    settings = paper.config.tracking
    mode = wandb_mode(paper.config) if settings.to == "wandb" else f"not used (tracking.to: {settings.to})"
    if mode != "online":
        return CheckResult("ok", mode)
    import wandb

    if os.environ.get("WANDB_API_KEY") or wandb.login(prompt=False, verify=False):
        return CheckResult("ok", "online, with an API key")
    return CheckResult("fails", "online, but there is no API key; run `wandb login`, or set tracking.wandb=offline")


def hub(paper: Paper) -> CheckResult:
    from huggingface_hub import get_token

    if _is_here(paper.config.model.path):
        return CheckResult("ok", "the model is on this machine")
    if get_token():
        return CheckResult("ok", "a token is set")
    return CheckResult(
        "warning", "no token, so gated models cannot be downloaded and nothing can be published; run `hf auth login`"
    )


def passing(look: Callable[[Paper], str]) -> Callable[[Paper], CheckResult]:
    """The check that is ok with what `look` says, unless it raises."""
    return lambda paper: CheckResult("ok", look(paper))


CHECKS: dict[str, Callable[[Paper], CheckResult]] = {
    "packages": passing(surroundings.packages),
    "questions": passing(surroundings.questions),
    "driver": passing(surroundings.driver),
    "model": model,
    "answer tokens": answer_tokens,
    "chat template": chat_template,
    "curated set": curated_set,
    "answer mass": answer_mass,
    "leakage": leakage,
    "supervision": supervision,
    "context": context,
    "batch": batch,
    "memory": memory,
    "whole model": whole_model,
    "planned host memory": passing(surroundings.planned_host_memory),
    "disk": disk,
    "W&B": wandb,
    "hub": hub,
}


def findings(
    paper: Paper, checks: dict[str, Callable[[Paper], CheckResult]] = CHECKS
) -> Iterator[tuple[str, CheckResult]]:
    """Yield the name and the result of every check in `checks`.

    A check that raises `UserError` or `RunError`, because a file is damaged or the model cannot be reached, fails. One
    that fails for the same cause as an earlier one is skipped, so that a cause is said once.
    """
    causes: dict[str, str] = {}
    for name, check in checks.items():
        try:
            result = check(paper)
            if result.status == "fails":
                causes.setdefault(result.detail, name)
            yield name, result
        except (UserError, RunError) as error:
            cause = causes.setdefault(str(error), name)
            if cause == name:
                yield name, CheckResult("fails", str(error))
            else:
                yield name, CheckResult("skipped", f"depends on the check {cause!r}, which failed")
