"""python -m benchmarks claims RUN: how well confidences of claims tell right from wrong, on texts of known claims.

The demo's graded answers become sentences ("Salta is in Egypt."), five of them a text, so that every claim of the text
has a grade. Each is judged as `CalibratedModel.claims` does, and for comparison alone, as the answer to its question.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.loaded_answers import SPLITS
from benchmarks.paired import machine, markdown
from calibration_tuning.calibrated_model import CalibratedModel
from calibration_tuning.command_line import quiet_libraries
from calibration_tuning.config.run import load_run_config
from calibration_tuning.curated_set import CuratedSet
from calibration_tuning.metrics import confidence_metrics
from calibration_tuning.records import GradedAnswer
from calibration_tuning.runs.progress import progress
from evaluation.tables import number

SENTENCES = {
    r"What is (.+)\?": "{} is {}.",
    r"Which country is (.+) in\?": "{} is in {}.",
    r"What is the capital of (.+)\?": "The capital of {} is {}.",
    r"On which continent is (.+)\?": "The continent of {} is {}.",
    r"Which element has the chemical symbol (.+)\?": "The element with the chemical symbol {} is {}.",
    r"What is the chemical symbol of (.+)\?": "The chemical symbol of {} is {}.",
}
"""The sentence that a question of the demo's sets makes with its answer. The last pattern that matches counts."""
QUESTION = "What do you know about {}?"
SHOWN = ("brier", "auroc", "auroc_within_subjects", "mean_confidence")


def main(
    run: Annotated[Path, typer.Argument(help="Folder of the demo's run, trained.")] = Path("runs/demo"),
    per_text: Annotated[int, typer.Option(help="Claims in a text.")] = 5,
) -> None:
    quiet_libraries()
    curated = CuratedSet.read(load_run_config(run / "config.yaml", []).curation_dir)
    model = CalibratedModel.from_pretrained(run / "checkpoint")
    table = []
    for split in (name for name in SPLITS if curated.has(name)):
        texts = made_texts(curated.split(split), per_text)
        answers = [answer for text in texts for answer in text]
        alone = model.confidence_batch([row.text for row in answers], [row.answer for row in answers])
        claims = np.concatenate(list(judged(model, texts)))
        table += [[f"{split}, as claims", *scores(claims, texts)], [f"{split}, alone", *scores(np.array(alone), texts)]]
    print(f"{machine('transformers', 'peft')}\n\n{markdown(['', 'claims', *SHOWN], table)}")


def made_texts(rows: Sequence[GradedAnswer], per_text: int) -> list[list[GradedAnswer]]:
    """Texts of `per_text` answers of one subject, without those whose marks may end a sentence."""
    drawn = sorted(rows, key=lambda row: row.id)
    random.Random(0).shuffle(drawn)
    texts = []
    for _, group in groupby(sorted(drawn, key=lambda row: row.topic), key=lambda row: row.topic):
        same = [row for row in group if row.answer.strip() and not re.search(r"[.?!]", row.question[:-1] + row.answer)]
        texts += [same[i : i + per_text] for i in range(0, len(same) - per_text + 1, per_text)]
    return texts


def judged(model: CalibratedModel, texts: Sequence[Sequence[GradedAnswer]]) -> Iterator[np.ndarray]:
    """Confidences of the claims of each text, in their order."""
    with progress(len(texts), "judging claims", "texts") as bar:
        for text in texts:
            things, sentences = zip(*map(sentence, text), strict=True)
            claims = model.claims(QUESTION.format(", ".join(things)), " ".join(sentences)).claims
            if [claim.text for claim in claims] != list(sentences):
                raise ValueError(f"{sentences} were split into {[claim.text for claim in claims]}")
            yield np.array([claim.confidence for claim in claims])
            bar.update(1)


def sentence(row: GradedAnswer) -> tuple[str, str]:
    """What the question is about, and the answer as a sentence."""
    matches = [(match, form) for pattern, form in SENTENCES.items() if (match := re.fullmatch(pattern, row.question))]
    match, form = matches[-1]
    return match[1], form.format(match[1], row.answer)


def scores(confidences: np.ndarray, texts: Sequence[Sequence[GradedAnswer]]) -> list[str]:
    """Claims and `SHOWN` with 95% intervals over texts; `subjects` are the texts, so AUROC is also within them."""
    number_of = [str(number) for number, text in enumerate(texts) for _ in text]
    correct = [row.correct for text in texts for row in text]
    metrics = confidence_metrics(confidences, correct, groups=number_of, subjects=number_of)
    return [str(len(correct)), *(number(metrics[name]) for name in SHOWN)]


if __name__ == "__main__":
    typer.run(main)
