"""Code: confidence in a whole program and in its single lines, against tests that were executed."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration_tuning.lm.models import load_tokenizer
from calibration_tuning.records import GradedAnswer
from evaluation.evidence import Evidence
from evaluation.passes.base import BOTH, State
from evaluation.schema import Code, CodeRow

SHOWN = ("brier", "ece", "auroc", "accuracy", "mean_confidence")
LEAST = 10


def code(evidence: Evidence) -> Code | None:
    """How well confidence in code is calibrated, before and after tuning.

    Metrics are given per `program` (mean token probability, likelihood, lowest token probability) and per `line` (mean
    token probability of the line). A line counts as correct if its program passes its tests, because execution says no
    more; lines of a program are resampled together. None with fewer than ten programs.
    """
    rows = [row for split in ("test", "evaluation") for row in evidence.splits.get(split, ()) if row.grader == "code"]
    written = [row for row in rows if _logprobs(evidence, "before", row)]
    if len(written) < LEAST:
        return None
    tokenizer = load_tokenizer(evidence.config.model)
    before, after = (_state(evidence, state, written, tokenizer) for state in BOTH)
    return Code(n=len(written), before=before, after=after)


def _state(evidence: Evidence, state: State, rows: list[GradedAnswer], tokenizer: Any) -> CodeRow:
    correct = np.array([row.correct for row in rows])
    groups = np.array([row.group for row in rows])
    logprobs = [_logprobs(evidence, state, row) for row in rows]
    program_scores = {
        "average_token_probability": [float(np.exp(tokens).mean()) for tokens in logprobs],
        "sequence_likelihood": [float(np.exp(np.sum(tokens))) for tokens in logprobs],
        "minimum_token_probability": [float(np.exp(np.min(tokens))) for tokens in logprobs],
    }
    by_row = [line_confidences(tokenizer, row, tokens) for row, tokens in zip(rows, logprobs, strict=True)]
    owner = np.repeat(np.arange(len(rows)), [len(lines) for lines in by_row])
    lines = np.array([value for lines in by_row for value in lines])
    return CodeRow(
        lines=len(lines),
        program={
            name: evidence.rated_against(np.array(values), correct, groups, SHOWN)
            for name, values in program_scores.items()
        },
        line=evidence.rated_against(lines, correct[owner], groups[owner], SHOWN),
    )


def _logprobs(evidence: Evidence, state: State, row: GradedAnswer) -> list[float]:
    return (evidence.findings.of("tokens", state, row) or {}).get("answer_logprobs", [])


def line_confidences(tokenizer: Any, row: GradedAnswer, logprobs: list[float]) -> list[float]:
    """Mean token probability of each line that is not blank; a token belongs to the line that it ends on, its closing
    line break aside."""
    by_line: dict[int, list[float]] = {}
    before = text = ""
    for count, logprob in enumerate(logprobs, 1):
        before, text = text, tokenizer.decode(row.token_ids[:count])
        written = text.rstrip("\n")
        line = written.count("\n") if len(written) > len(before) else before.count("\n")
        by_line.setdefault(line, []).append(float(np.exp(logprob)))
    shown = [number for number, line in enumerate(text.split("\n")) if line.strip()]
    return [float(np.mean(by_line[number])) for number in shown if number in by_line]
