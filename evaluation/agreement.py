"""Sampled answers compared by meaning: which say the same, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from calibration_tuning.grading.answer_parsing import normalise
from calibration_tuning.grading.graders import GRADERS, grade
from calibration_tuning.records import GradedAnswer

Samples = Sequence[Mapping[str, Any]]


def same_answer(row: GradedAnswer, first: str, second: str) -> bool:
    """True if the question's grader accepts either answer for the other. Code, and what a judge grades, is compared as
    text."""
    if normalise(first) == normalise(second):
        return True
    if row.grader in ("code", "judge") or row.grader not in GRADERS or not (first.strip() and second.strip()):
        return False
    return _accepted(row, first, second) or _accepted(row, second, first)


def clusters(row: GradedAnswer, answers: Sequence[str]) -> list[list[int]]:
    """Indices of answers of one meaning, each compared with the first of a cluster."""
    groups: list[list[int]] = []
    for index, answer in enumerate(answers):
        for cluster in groups:
            if same_answer(row, answers[cluster[0]], answer):
                cluster.append(index)
                break
        else:
            groups.append([index])
    return groups


def agreement(row: GradedAnswer, samples: Samples) -> float | None:
    """Share of the sampled answers that say what the greedy one says (self-consistency, Wang et al. 2023)."""
    if not samples:
        return None
    return sum(same_answer(row, row.answer, sample["answer"]) for sample in samples) / len(samples)


def semantic_entropy(row: GradedAnswer, samples: Samples) -> float | None:
    """1 - H / log(n), H being the entropy of the shares of meanings among the n samples and the greedy answer: the
    discrete semantic entropy of Farquhar et al. 2024. A score in [0, 1], not a probability."""
    if not samples:
        return None
    answers = [row.answer, *(sample["answer"] for sample in samples)]
    shares = np.array([len(cluster) for cluster in clusters(row, answers)]) / len(answers)
    return float(np.clip(1 + (shares * np.log(shares)).sum() / np.log(len(answers)), 0, 1))


def cocoa(row: GradedAnswer, samples: Samples, logprobs: Sequence[float]) -> float | None:
    """log p(answer) x (1 - agreement), the logarithm of a score in [0, 1]: CoCoA of Vashurin et al. 2025 with the
    answer's sequence likelihood, its similarity to the samples being whether they say the same. `logprobs` are those of
    the answer's tokens. None without samples, and for an empty answer."""
    share = agreement(row, samples)
    return None if share is None or not logprobs else sum(logprobs) * (1 - share)


def majority(row: GradedAnswer, samples: Samples) -> tuple[float, float]:
    """(correctness, share) of the answer that most samples give; the first of equals."""
    largest = max(clusters(row, [sample["answer"] for sample in samples]), key=len)
    return float(samples[largest[0]]["correct"]), len(largest) / len(samples)


def _accepted(row: GradedAnswer, reference: str, answer: str) -> bool:
    return _graded(row.grader, row.style, tuple(row.choices or ()), reference, answer)


@lru_cache(maxsize=100_000)
def _graded(grader: str, style: str, choices: tuple[str, ...], reference: str, answer: str) -> bool:
    question = GradedAnswer.model_construct(
        id="",
        question="",
        grader=grader,
        style=style,
        choices=list(choices) or None,
        references=[reference],
        program=None,
    )
    return grade(question, answer) >= 0.5
